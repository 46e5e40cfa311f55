# Checks the text of C files line by line. Usage: awk -v rule=banned|format -f source.awk banned.txt FILE...

function fits(name, pattern) {
    if (pattern ~ /[*\/]$/) {
        sub(/\*$/, "", pattern)
        return index(name, pattern) == 1
    }
    return name == pattern
}

function report(text) {
    print FILENAME ":" FNR ": " rule ": " text
    bad = 1
}

# The line without comments, and with empty strings; in_comment goes on over lines.
function code(line,    out, c, two, quote) {
    out = ""
    while (line != "") {
        two = substr(line, 1, 2)
        if (in_comment) {
            if (!match(line, /\*\//)) return out
            line = substr(line, RSTART + 2)
            in_comment = 0
            out = out " "
            continue
        }
        if (two == "//") return out
        if (two == "/*") {
            in_comment = 1
            line = substr(line, 3)
            continue
        }
        c = substr(line, 1, 1)
        line = substr(line, 2)
        out = out c
        if (c != "\"" && c != "'") continue
        quote = c
        while (line != "" && (c = substr(line, 1, 1)) != quote) line = substr(line, c == "\\" ? 3 : 2)
        line = substr(line, 2)
        out = out quote
    }
    return out
}

function banned_here(name,    i) {
    for (i = 1; i <= exceptions; i++)
        if (fits(FILENAME, exception_scope[i]) && fits(name, exception_name[i])) return 0
    for (i = 1; i <= bans; i++)
        if (fits(FILENAME, ban_scope[i]) && fits(name, ban_name[i])) return 1
    return 0
}

# A member of a structure may have any name.
function check_calls(line,    name, before) {
    while (match(line, /[A-Za-z_][A-Za-z0-9_]*[ \t]*\(/)) {
        name = substr(line, RSTART, RLENGTH - 1)
        before = substr(line, 1, RSTART - 1)
        sub(/[ \t]+$/, "", name)
        if (before !~ /(\.|->)[ \t]*$/ && banned_here(name)) report(name "() is banned here, see banned.txt")
        line = substr(line, RSTART + RLENGTH)
    }
}

FILENAME == ARGV[1] {
    sub(/#.*/, "")
    if (!match($0, /:/)) next
    scopes = split(substr($0, 1, RSTART - 1), scope, " ")
    names = split(substr($0, RSTART + 1), name, " ")
    allow = scopes > 1 && scope[scopes] == "allow"
    for (s = 1; s <= scopes - allow; s++)
        for (n = 1; n <= names; n++) {
            if (allow) {
                exception_scope[++exceptions] = scope[s]
                exception_name[exceptions] = name[n]
            } else {
                ban_scope[++bans] = scope[s]
                ban_name[bans] = name[n]
            }
        }
    next
}

FNR == 1 { in_comment = 0 }

rule == "banned" {
    text = code($0)
    if (text ~ /\(/) check_calls(text)
}

rule == "format" {
    if ($0 ~ /\t/) report("a tab, where 4 spaces are used")
    if ($0 ~ /[ \r]$/) report("blanks at the end of the line")
    # The rows of a table of macros may be longer: they are read down, not across.
    if (length($0) > 100 && $0 !~ /\\$/) report(length($0) " columns, where 100 are the limit")
}

END { exit bad }
