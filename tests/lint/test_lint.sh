#!/bin/sh
# Proves the lint: every rule passes on this tree, and fires on a violation that is seeded in a scratch copy of it.
# Prints cmocka's lines, so that tests/run.sh counts it like any other test.
set -u

lint=tests/lint/lint.sh
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM HUP
passed=0 failures=

verdict() { # NAME, after a command whose status is the verdict
    if [ $? = 0 ]; then
        passed=$((passed + 1))
        echo "[       OK ] $1"
    else
        failures="$failures $1"
        echo "[  FAILED  ] $1"
    fi
}

tree() { # RULE: it finds nothing here
    echo "[ RUN      ] tree_$1"
    findings=$("$lint" "$1") || printf '%s\n' "$findings"
    [ -z "$findings" ]
    verdict "tree_$1"
}

seeds=0
seed() { # RULE FILE TEXT: the file is added to the copy, and then the rule complains about it and did not before
    seeds=$((seeds + 1))
    name=$(echo "seed_$1_$seeds" | tr -c 'a-z0-9_\n' _)
    echo "[ RUN      ] $name ($2)"
    had=
    [ ! -e "$scratch/$2" ] || had=$(mktemp)
    [ -z "$had" ] || cp "$scratch/$2" "$had"
    mkdir -p "$scratch/$(dirname "$2")"
    printf '%b\n' "$3" >>"$scratch/$2"
    after=$("$lint" -C "$scratch" "$1" 2>&1 | grep -F "$1: " | grep -E "^(${2%/*}|$2):")
    if [ -n "$had" ]; then mv "$had" "$scratch/$2"; else rm -f "$scratch/$2"; fi
    before=$("$lint" -C "$scratch" "$1" 2>&1 | grep -F "$2:")
    [ -n "$after" ] && [ -z "$before" ]
    verdict "$name"
}

quiet() { # RULE FILE TEXT: the rule says nothing about this
    seeds=$((seeds + 1))
    name=quiet_$1_$seeds
    echo "[ RUN      ] $name ($2)"
    mkdir -p "$scratch/$(dirname "$2")"
    printf '%b\n' "$3" >"$scratch/$2"
    findings=$("$lint" -C "$scratch" "$1" 2>&1 | grep -F "$2:")
    rm -f "$scratch/$2"
    [ -z "$findings" ] || echo "$findings"
    [ -z "$findings" ]
    verdict "$name"
}

rules="layout includes banned format size words symbols headers gcc clang buf"

echo "[==========] Running $(($(echo $rules | wc -w) + $(grep -cE '^(seed|quiet) ' "$0"))) test(s)."
for rule in $rules; do
    tree "$rule"
done

# A small copy is enough, and quick. The compilers go on finding generated headers and libraries.
mkdir -p "$scratch/proto" "$scratch/server/core"
cp -r proto/activity proto/buf.yaml proto/limits.h "$scratch/proto"
here=$(pwd)
LINT_FLAGS=$(echo "$LINT_FLAGS" | sed "s|-I\([^/. ]\)|-I$here/\1|g; s|-isystem \([^/]\)|-isystem $here/\1|g;
    s|-I$here/client|-Iclient|")
case $LINT_BUF in /*) ;; *) LINT_BUF=$here/$LINT_BUF ;; esac
export LINT_FLAGS LINT_BUF

seed layout   common/list.c              'int list;'
seed layout   server/common/list.c       'int list;'
seed layout   server/core/util.c         'int util;'
seed layout   server/extra/extra.c       'int extra;'
seed layout   tests/unit/proto/extra.c   'int extra;'
seed includes server/core/seed.c         '#include <stdlib.h>'
seed includes server/core/seed.c         '#include <time.h>'
seed includes server/core/seed.c         '#include "server/log.h"'
seed includes server/core/seed.c         '#include "proto/frame.h"'
seed includes server/core/seed.c         '#include <xxhash.h>'
seed includes server/wire/seed.c         '#include "server/engine/engine.h"'
seed includes server/wire/seed.c         '#include <nng/nng.h>'
seed includes server/journal/seed.c      '#include "server/core/core.h"'
seed includes server/journal/seed.c      '  #  include <nng/nng.h>'
seed includes server/engine/seed.c       '#include "server/journal/journal_file.h"'
seed includes server/rpc/seed.c          '#include "server/core/state.h"'
seed includes server/rpc/seed.c          '#include <protobuf-c/protobuf-c.h>'
seed includes server/net/seed.c          '#include "server/core/core.h"'
seed includes server/feed/seed.c         '#include "server/index/index.h"'
seed includes server/index/seed.c        '#include "server/feed/ring.h"'
seed includes server/ops/seed.c          '#include "server/core/state.h"'
seed includes server/seed.c              '#include <confuse.h>'
seed includes client/lib/seed.c          '#include "server/check.h"'
seed includes client/ctl/seed.c          '#include "proto/limits.h"'
seed includes client/ctl/seed.c          '#include "client/lib/call.h"'
seed includes client/examples/seed.c     '#include <nng/nng.h>'
seed includes proto/seed.c               '#include <pthread.h>'
seed includes proto/seed.c               '#include "server/core/core.h"'
seed includes server/core/seed.c         '#include SEED'
quiet includes server/core/seed.c        '#include <stdint.h>\n#include <string.h>\n#include "proto/limits.h"\n#include "server/core/core.h"'
seed banned   server/journal/seed.c      'void f(char *a) { sprintf(a, "b"); }'
seed banned   server/wire/seed.c         'int f(const char *a) { return atoi (a); }'
seed banned   client/ctl/seed.c          'void f(char *a, char *b) { /* why */ strcpy(a, b); }'
seed banned   server/net/seed.c          'void f(nng_aio *a) { nng_aio_cancel(a); }'
seed banned   server/net/seed.c          'void f(nng_aio *a) { nng_aio_set_timeout(a, 1); }'
seed banned   client/lib/seed.c          'void f(nng_msg *m) { nng_msg_insert(m, 0, 0); }'
seed banned   server/ops/seed.c          'void f(void) { nng_http_server_start(0); }'
seed banned   client/lib/seed.c          'void f(void) { printf("x"); }'
seed banned   client/lib/seed.c          'void f(void) { exit(1); }'
seed banned   client/lib/seed.c          'void f(void) { pthread_create(0, 0, 0, 0); }'
seed banned   server/engine/seed.c       'void f(void) { fprintf(stderr, "x"); }'
quiet banned  server/engine/seed.c       'void f(struct s *s) { s->random(s); (*s).system(s); }'
quiet banned  client/lib/seed.c          '/* exit(1)\n printf("x") */ // strcpy(a, b)\nconst char *s = "\\"system(1)";'
seed format   server/core/seed.c         'int\ta;'
seed format   server/core/seed.c         'int a; '
seed format   server/core/seed.c         "$(printf '%0101d' 0)"
seed size     server/core/seed.c         "$(yes '' | head -n 901 | sed 's/$/;/')"
quiet size    server/core/seed.c         "$(yes '' | head -n 899 | sed 's/$/;/')"
seed words    server/core/seed.c         '/* TO''DO: the rest */'
seed words    tests/seed.sh              '# FIX''ME later'
seed symbols  server/core/seed.c         '#include <stdlib.h>\nvoid *f(void);\nvoid *f(void) { return malloc(9); }'
seed symbols  server/core/seed.c         '#include <time.h>\nlong f(void);\nlong f(void) { return time(0); }'
seed symbols  server/core/seed.c         '#include <stdio.h>\nint f(int);\nint f(int a) { return printf("%%d", a); }'
seed symbols  server/core/seed.c         'int f(void);\nint f(void) { static int n; return ++n; }'
seed symbols  server/core/seed.c         'unsigned XXH_versionNumber(void);\nunsigned f(void);\nunsigned f(void) { return XXH_versionNumber(); }'
quiet symbols server/core/seed.c         '#include <string.h>\nvoid f(char *);\nvoid f(char *a) { static const char *const t[] = {"a"}; memcpy(a, t[0], 1); }'
seed headers  server/core/seed.h         'uint8_t f(void);'
seed headers  server/core/seed.h         'struct seed { int a; };'
seed gcc      server/core/seed.c         'int f(void) { return 0; }'
seed gcc      server/core/seed.c         'int f(long a);\nint f(long a) { return a; }'
seed clang    server/core/seed.c         'int f(int a);\nint f(int a) { return a = a; }'
# Without npm there is no buf, and the lint has said so.
if "$LINT_BUF/node_modules/.bin/buf" --version >/dev/null 2>&1; then
seed buf      proto/activity/v1/seed.proto 'syntax = "proto3";\npackage activity.v1;\nmessage lower { int32 A = 1; }'
else
    echo "[  SKIPPED ] 1 test(s), listed below:"
    echo "[  SKIPPED ] seed_buf"
fi

set -- $failures
echo "[==========] $((passed + $#)) test(s) run."
echo "[  PASSED  ] $passed test(s)."
if [ $# -gt 0 ]; then
    echo "[  FAILED  ] $# test(s), listed below:"
    printf '[  FAILED  ] %s\n' "$@"
    exit 1
fi
