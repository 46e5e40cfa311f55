#!/bin/sh
# The house's rules that a machine can check. Usage: tests/lint/lint.sh [-C ROOT] [RULE...]   (without a rule: all)
#
# Prints "FILE:LINE: RULE: TEXT" per finding; the exit status tells. The Makefile sets:
#   LINT_FLAGS  warning and include flags of the C compilers (relative to ROOT)
#   LINT_BUF    folder that buf is fetched into
set -u
tools=$(cd "$(dirname "$0")" && pwd)
all="layout includes banned format size words symbols headers gcc clang buf"
buf_version=1.75.0

[ "${1:-}" != -C ] || { cd "$2" && shift 2; }
set -f # the lists below are words, not patterns
flags="-std=gnu11 ${LINT_FLAGS:--I. -Iclient/include} -Werror"

files() { # find's name tests...
    find proto server client tests bench .make -type f "$@" 2>/dev/null | sort
}
c_files() {
    files '(' -name '*.c' -o -name '*.h' ')'
}

# Only what the house has room for: no folder of odds and ends, and no source in a place that the Makefile does not build.
rule_layout() {
    find . -mindepth 1 -maxdepth 1 ! -name '.*' | sed 's|^\./||' |
        grep -vxE 'proto|server|client|tests|bench|build|Makefile|README\.md|LICENSE|CHANGELOG\.md' |
        sed 's|$|:1: layout: the top level has no place for this|'
    find proto server client bench -type d -name 'common' 2>/dev/null | sed 's|$|:1: layout: name the noun instead|'
    c_files | grep -E '/(utils?|helpers?|misc|common)[^/]*$' | sed 's|$|:1: layout: name the noun instead|'
    c_files | grep -E '\.c$' | grep -vE '^(proto(/tls(/stock)?)?|server(/(core|wire|journal|engine|rpc|net|feed|index|ops))?)/[^/]*$' |
        grep -vE '^(client/(lib|ctl|examples)|tests/(sim|e2e|fuzz|interop|lint)|bench|\.make)/[^/]*$' |
        grep -vE '^tests/unit/(.*/)?test_[^/]*$' | while read -r f; do
            # What unit tests share is a file that they include.
            case $f in tests/unit/*) ! grep -rqF "#include \"$f\"" tests/unit || continue ;; esac
            echo "$f:1: layout: the Makefile builds nothing here"
        done
}

rule_includes() {
    awk -f "$tools/includes.awk" "$tools/layers.txt" $(c_files)
}

rule_banned() {
    awk -v rule=banned -f "$tools/source.awk" "$tools/banned.txt" $(c_files)
}

rule_format() {
    awk -v rule=format -f "$tools/source.awk" "$tools/banned.txt" $(c_files)
}

rule_size() {
    for f in $(c_files) $(files '(' -name '*.proto' -o -name '*.sh' -o -name '*.awk' ')'); do
        n=$(wc -l <"$f")
        [ "$n" -le 900 ] || echo "$f:901: size: $n lines, where 900 are the limit"
    done
}

# What is not finished is an issue, not a remark.
rule_words() {
    grep -nIE "\\b(TO""DO|FIX""ME|X""XX|HA""CK)\\b" $(files) Makefile README.md CHANGELOG.md 2>/dev/null |
        sed 's|^\([^:]*:[0-9]*\):.*|\1: words: a remark about unfinished work|'
}

# The core is compiled as it is released, and may need nothing from outside but these. Writable data would be state
# that no snapshot holds.
allowed_symbols='memcpy|memmove|memset|memcmp|__stack_chk_fail|__mem(cpy|move|set)_chk|_GLOBAL_OFFSET_TABLE_|check_failed'
rule_symbols() {
    work=$(mktemp -d)
    for f in $(find server/core -name '*.c' 2>/dev/null); do
        o=$work/$(basename "$f" .c).o
        gcc $flags -Wno-error -O2 -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE -c -o "$o" "$f" || {
            echo "$f:1: symbols: does not compile"
            continue
        }
        echo "$f $(size -A "$o" | awk '$1 ~ /^\.(data|bss|tdata|tbss)(\.|$)/ && $1 !~ /^\.data\.rel\.ro/ { n += $2 } END { print n + 0 }')" |
            awk '$2 > 0 { print $1 ":1: symbols: has " $2 " bytes of writable data" }'
        nm --defined-only "$o" | awk 'NF == 3 && $2 ~ /[A-TV-Z]/ { print $3 }' >>"$work/defined"
        nm -u "$o" | awk -v f="$f" '{ print $2, f }' >>"$work/undefined"
    done
    if [ -s "$work/undefined" ]; then
        sort -u "$work/defined" >"$work/known"
        grep -vE "^($allowed_symbols) " "$work/undefined" | grep -vE '^XXH[A-Za-z0-9_]* server/core/digest\.c$' |
            awk -v known="$work/known" 'BEGIN { while ((getline s < known) > 0) have[s] = 1 }
                !($1 in have) { print $2 ":1: symbols: the core may not need " $1 }'
    fi
    rm -rf "$work"
}

# Includes every header alone, twice.
rule_headers() {
    work=$(mktemp -d)
    for h in $(c_files | grep '\.h$'); do
        printf '#include "%s"\n#include "%s"\n' "$h" "$h" >"$work/alone.c"
        gcc $flags -fsyntax-only "$work/alone.c" 2>"$work/err" || {
            echo "$h:1: headers: does not stand alone"
            sed 's/^/    /' "$work/err"
        }
    done
    rm -rf "$work"
}

compile_all() { # COMPILER
    c_files | grep '\.c$' | xargs -r -P 2 -n 8 "$1" $flags -Wno-unused-command-line-argument -fsyntax-only 2>&1 |
        sed "s/^\([^: ]*:[0-9]*\):[0-9]*: \(error\|fatal error\): /\1: $1: /"
}

rule_gcc() {
    compile_all gcc
}

rule_clang() {
    compile_all clang
}

# buf comes from npm. Where that cannot be had the rest of the lint goes on.
rule_buf() {
    folder=${LINT_BUF:-build/buf}
    buf=$folder/node_modules/.bin/buf
    if ! "$buf" --version 2>/dev/null | grep -qx "$buf_version"; then
        mkdir -p "$folder"
        if ! command -v npm >/dev/null ||
            ! npm install --silent --no-save --no-audit --no-fund --ignore-scripts --prefix "$folder" \
                "@bufbuild/buf@$buf_version" >"$folder/npm.log" 2>&1; then
            echo "lint: buf $buf_version cannot be had here (npm), buf lint is left out" >&2
            return
        fi
    fi
    HOME=$folder "$buf" lint proto 2>&1 | sed 's/^\([^:]*:[0-9]*\):[0-9]*:/\1: buf: /'
}

status=0
for rule in ${*:-$all}; do
    findings=$(rule_"$rule")
    if [ -n "$findings" ]; then
        printf '%s\n' "$findings"
        status=1
    fi
done
exit $status
