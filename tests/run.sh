#!/bin/sh
# Runs test programs, two at a time, and adds up their cmocka counts. Usage: tests/run.sh LOGDIR PROGRAM...
#
# Of a program that passes its closing lines are shown, of any other everything (V=1: of all). The whole output is kept in
# LOGDIR. A program fails as a whole (one more failure) when it crashes, leaks, runs out of time, leaves a process behind or
# runs no test. The last line is "N passed, N failed".
#
# TEST_TIMEOUT: seconds per program (300). TEST_JOBS: programs at once (2).
set -u

running_in_group() { # PGID
    cat /proc/[0-9]*/stat 2>/dev/null | sed 's/^[0-9]* (.*) //' | awk -v g="$1" '$3 == g && $1 != "Z" { n = 1 } END { exit !n }'
}

# A program's output without the name of the group, which cmocka 1.1.7 (Debian 13) puts in front of its counts.
plain() { # LOG
    sed 's/^\(\[[ =A-Z]*\] \)[A-Za-z0-9_]*: /\1/' "$1"
}

# Prints "passed failed skipped" of one program's output. Each group announces its number of tests and closes with a line of
# its own, so a test that neither passed nor was skipped has failed, and a missing close is a crash.
count() { # LOG EXIT-STATUS
    plain "$1" | awk -v rc="$2" '
        /^\[==========\] Running [0-9]+ test/ { total += $3; groups++; next }
        /^\[==========\] [0-9]+ test\(s\) run/ { groups--; next }
        /^\[       OK \] / { ok++; next }
        /^\[  SKIPPED \] [0-9]+ test/ { skipped += $4; next }
        /^\[  FAILED  \] [0-9]+ test/ { listed = 1 }
        /^\[  FAILED  \] / && !listed { seen++ }
        END {
            failed = groups > 0 ? seen + 1 : total - ok - skipped
            if (failed < 1 && (rc != 0 || total == 0)) failed = 1
            print ok + 0, failed, skipped + 0
        }'
}

one() { # PROGRAM
    log=$LOGS/$(echo "$1" | sed "s|^$LOGS/\.\./||; s|^\./||; s|/|.|g").log
    began=$(date +%s)
    # `timeout` makes a process group of its own, by which everything that the program starts can be found again.
    timeout -k 10 "$TEST_TIMEOUT" "$1" </dev/null >"$log" 2>&1 &
    group=$!
    trap 'kill -TERM -$group; sleep 1; kill -KILL -$group; exit 130' INT TERM HUP
    wait $group 2>/dev/null
    rc=$?
    note=
    [ $rc != 124 ] && [ $rc != 137 ] || note="took more than $TEST_TIMEOUT s, or was killed"
    tries=0
    while running_in_group $group; do
        tries=$((tries + 1))
        if [ $tries = 20 ]; then
            note="left processes running" rc=1
            kill -KILL -$group
            break
        fi
        sleep 0.1
    done
    [ -z "$note" ] || echo "run.sh: $1 $note" >>"$log"
    set -- "$1" $(count "$log" $rc)
    (
        flock 8
        printf '\n-- %s: %s passed, %s failed, exit status %s, %s s\n' "$1" "$2" "$3" $rc $(($(date +%s) - began))
        if [ "$3" != 0 ] || [ -n "${V:-}" ]; then
            cat "$log"
        else
            # Of those that were skipped the names, and why.
            plain "$log" | awk '/^\[==========\] [0-9]+ test|^\[  PASSED  / || (/^skipped: / && !told[$0]++)
                /^\[  SKIPPED \] [0-9]+ test/ { listed = 1 }
                listed && /^\[  SKIPPED \]/'
        fi
        echo "$2 $3 $4 $1" >>"$LOGS/counts"
    ) 8>"$LOGS/lock"
}

if [ "$1" = --one ]; then
    one "$2"
    exit 0
fi

export LOGS="$1" TEST_TIMEOUT="${TEST_TIMEOUT:-300}"
shift
unset CMOCKA_MESSAGE_OUTPUT CMOCKA_XML_FILE CMOCKA_TEST_ABORT
mkdir -p "$LOGS"
: >"$LOGS/counts"
[ $# = 0 ] || printf '%s\n' "$@" | xargs -P "${TEST_JOBS:-2}" -I '{}' "$0" --one '{}'

echo
awk -v programs=$# '
    { passed += $1; failed += $2; skipped += $3 }
    $2 > 0 { print "FAILED: " $4 }
    END {
        if (NR != programs) { print "FAILED: " programs - NR " programs were not run"; failed += programs - NR }
        if (skipped > 0) print skipped " skipped"
        print passed + 0 " passed, " failed + 0 " failed"
        exit failed > 0 || passed == 0
    }' "$LOGS/counts"
