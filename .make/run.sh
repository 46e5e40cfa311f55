#!/bin/sh
# Starts activityd in the foreground for development. Usage: .make/run.sh ACTIVITYD DATA-DIR [ARGUMENTS]
set -eu
server=$1 data=$2
shift 2
set -- "$server" --dev --data-dir "$data" "$@"
[ -t 0 ] || exec "$@"
# On a terminal `set -m` gives the server the foreground and a process group of its own: Ctrl-C reaches it alone, it drains and
# exits 0, and so does the make above, which would otherwise die of the same signal.
set -m
"$@"
