# Checks #include lines against layers.txt. Usage: awk -f includes.awk layers.txt FILE... (paths relative to the root)

function fits(name, pattern) {
    if (pattern ~ /[*\/]$/) {
        sub(/\*$/, "", pattern)
        return index(name, pattern) == 1
    }
    return name == pattern
}

function library_of(name,    p) {
    for (p in library)
        if (fits(name, p)) return library[p]
    return "std"
}

function folder_of(path) {
    sub(/[^\/]*$/, "", path)
    return path
}

# The allowed words of the longest scope that holds the file.
function rules_for(file,    scope, best) {
    best = ""
    for (scope in allowed)
        if (fits(file, scope) && length(scope) > length(best)) best = scope
    return best == "" ? "?" : allowed[best]
}

function permitted(header, angle, file,    words, n, i, lib) {
    n = split(rules, words, " ")
    lib = library_of(header)
    for (i = 1; i <= n; i++) {
        if (words[i] == "{std}" && angle && lib == "std") return 1
        if (words[i] == "{free}" && angle && header in freestanding) return 1
        if (words[i] == "{" lib "}" && lib != "std") return 1
        if (words[i] == "<" header ">" && angle) return 1
        if (angle || lib != "std") continue
        if (words[i] == "own" && folder_of(header) == folder_of(file)) return 1
        if (fits(header, words[i])) return 1
    }
    return 0
}

BEGIN {
    split("float.h iso646.h limits.h stdalign.h stdarg.h stdbool.h stddef.h stdint.h stdnoreturn.h", f, " ")
    for (i in f) freestanding[f[i]] = 1
}

FILENAME == ARGV[1] {
    sub(/#.*/, "")
    if ($1 == "lib") for (i = 3; i <= NF; i++) library[$i] = $2
    else if ($1 ~ /:$/) {
        scope = substr($1, 1, length($1) - 1)
        $1 = ""
        allowed[scope] = $0
    }
    next
}

FNR == 1 { rules = rules_for(FILENAME) }

/^[ \t]*#[ \t]*include/ {
    line = $0
    sub(/^[ \t]*#[ \t]*include[ \t]*/, "", line)
    if (line !~ /^(<[^>]+>|"[^"]+")/) {
        print FILENAME ":" FNR ": includes: neither <header> nor \"header\""
        bad = 1
        next
    }
    angle = substr(line, 1, 1) == "<"
    header = substr(line, 2)
    sub(/[>"].*/, "", header)
    if (!permitted(header, angle, FILENAME)) {
        print FILENAME ":" FNR ": includes: " (angle ? "<" header ">" : "\"" header "\"") " is not for this folder, see layers.txt"
        bad = 1
    }
}

END { exit bad }
