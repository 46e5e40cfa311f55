#!/bin/bash
# Starts a server, lets a client in another language do its work, kills the server when the client asks for it and starts it
# again. Prints cmocka's lines, one test per step. Usage: tests/interop/run.sh NAME STEPS COMMAND...
#
# COMMAND gets: the URL, the file with the CA, the one with its certificate and key, its principal; and in INTEROP_FILES a folder
# that has also foreign.crt, a CA that the server does not know, and foreign.pem, a certificate of that. It prints "ok STEP" for
# each of the STEPS, and "restart" to have the server killed. ACTIVITY_BIN names the folder with activityd and activityctl.
# INTEROP_TLS, 1.2 or 1.3, is for COMMAND: the only version that it shall speak.
set -euo pipefail
cd "$(dirname "$0")/../.."
name=$1 steps=$2
shift 2
limit=60 # seconds

work=$(mktemp -d)
server= client=
finish() {
    [ -z "$client" ] || kill -TERM "$client" 2>/dev/null || true
    [ -z "$server" ] || kill -KILL "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

free_port() { # FROM
    port=$1
    while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
    echo "$port"
}

start() {
    "$ACTIVITY_BIN/activityd" --data-dir "$work/data" --listen "$url" --feed-listen "$feed_url" --policy tests/interop/policy.conf \
        --cert "$work/server.crt" --key "$work/server.key" --ca "$work/ca.crt" >>"$work/log" 2>&1 &
    server=$!
    disown
    for _ in $(seq 300); do
        "$ACTIVITY_BIN/activityctl" --profile "$work/profile" --timeout 300 health >"$work/health" 2>&1 && return
        kill -0 "$server" 2>/dev/null || break
        sleep 0.05
    done
    echo "interop: the server does not serve: $(cat "$work/health")"
    return 1
}

restart() {
    sleep 0.3 # calls are under way by then
    kill -KILL "$server"
    while kill -0 "$server" 2>/dev/null; do sleep 0.01; done # it holds its data until it is gone
    start
}

port=$(free_port $((20000 + RANDOM % 10000)))
url=tls+tcp://127.0.0.1:$port
feed_url=tls+tcp://127.0.0.1:$(free_port $((port + 1)))
principal=spiffe://interop/$name
.make/devcerts.sh ca "$work" ca
.make/devcerts.sh issue "$work" server ca serverAuth DNS:localhost
.make/devcerts.sh issue "$work" client ca clientAuth "URI:$principal"
.make/devcerts.sh ca "$work" foreign
.make/devcerts.sh issue "$work" guest foreign clientAuth "URI:$principal"
cat "$work/client.crt" "$work/client.key" >"$work/client.pem"
cat "$work/guest.crt" "$work/guest.key" >"$work/foreign.pem"
export INTEROP_FILES=$work
printf '%s\n' "server = {\"$url\"}" 'server_name = "localhost"' "ca = \"$work/ca.crt\"" "cert = \"$work/client.crt\"" \
    "key = \"$work/client.key\"" >"$work/profile"

echo "[==========] Running $(echo $steps | wc -w) test(s)."
start
began=$(date +%s%N)
mkfifo "$work/said"
timeout -k 5 $limit "$@" "$url" "$work/ca.crt" "$work/client.pem" "$principal" >"$work/said" 2>"$work/errors" &
client=$!
passed=
while read -r word step; do
    case $word in
    ok) passed="$passed $step" ;;
    restart) restart ;;
    *) echo "$word $step" ;;
    esac
done <"$work/said"
status=0
wait $client || status=$?
client=
took=$((($(date +%s%N) - began) / 1000000))
cat "$work/errors"
for step in $steps; do
    case " $passed " in
    *" $step "*) echo "[       OK ] ${name}_$step" ;;
    *) echo "[  FAILED  ] ${name}_$step" ;;
    esac
done
if [ "$passed" != " $steps" ] || [ $status != 0 ]; then
    echo "interop: the client ended with status $status after $took ms; the server said:"
    tail -n 50 "$work/log"
    exit 1
fi
set -- $passed
echo "[==========] $# test(s) run in $took ms."
echo "[  PASSED  ] $# test(s)."
