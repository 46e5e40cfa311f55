#!/bin/bash
# The main job on real input, as a person would like to see it: an upload, batch updates, model changes, and a SIGKILL to the server
# in the middle. Usage: ACTIVITY_BIN=build/plain .make/demo.sh
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$ACTIVITY_BIN
jobs=10000
rounds=100
work=$(mktemp -d)
server=
finish() {
    [ -z "$server" ] || kill -KILL "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n%s\n' "$*"; }
ctl() { "$bin/activityctl" --profile "$work/profile" --timeout 30000 "$@"; }
fail() {
    printf 'demo: %s\n' "$*" >&2
    tail -n 20 "$work/log" >&2 || true
    exit 1
}

start() {
    "$bin/activityd" --dev --data-dir "$work/data" --listen "tls+tcp://127.0.0.1:$port" \
        --feed-listen "tls+tcp://127.0.0.1:$((port + 1))" \
        --cert "$work/data/tls/server.crt" --key "$work/data/tls/server.key" --ca "$work/data/tls/ca.crt" \
        --policy "$work/data/policy.conf" >>"$work/log" 2>&1 &
    server=$!
    disown
    for _ in $(seq 300); do
        "$bin/activityctl" --profile "$work/profile" --timeout 300 health >"$work/health" 2>&1 && return
        kill -0 "$server" 2>/dev/null || fail "the server ended: $(cat "$work/health")"
        sleep 0.05
    done
    fail "the server does not serve: $(cat "$work/health")"
}

# The largest ordinary file of the system that is no larger than 400 MB.
large_file() {
    find /usr/lib /usr/bin /usr/share -xdev -type f -size -400000k -readable -printf '%s %p\n' 2>/dev/null |
        sort -rn | sed -n '1s/^[0-9]* //p'
}

say "A server on free ports, with certificates of its own"
port=$(awk 'BEGIN { srand(); print 20000 + int(rand() * 20000) }')
in_use() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
while in_use "$port" || in_use "$((port + 1))"; do port=$((port + 2)); done
mkdir -p "$work/data"
.make/devcerts.sh "$work/data" >/dev/null
tls=$work/data/tls
cat >"$work/profile" <<END
server = {"tls+tcp://127.0.0.1:$port"}
server_name = "localhost"
ca = "$tls/ca.crt"
cert = "$tls/client.crt"
key = "$tls/client.key"
END
start
ctl server-info | sed -n '1,7p'

file=$(large_file)
size=$(stat -c %s "$file")
say "An upload: $file ($((size / 1000000)) MB), its percent follows the bytes"
seen=$work/seen
( while sleep 0.1; do ctl find --activities --type upload --observe --json 2>/dev/null |
    sed -n 's/.*"percent":\([0-9]*\).*/\1/p'; done >"$seen" ) &
watcher=$!
ctl pipe "$file" | gzip -1 >"$work/copy.gz"
sleep 0.2
{ kill "$watcher" && wait "$watcher"; } 2>/dev/null || true
gzip -dc "$work/copy.gz" | cmp - "$file" || fail "the copy differs"
echo "what another client saw meanwhile: $(uniq "$seen" | tr '\n' ' ')"
upload=$(ctl find --activities --type upload --json | sed -n 's/.*"jobId":\([0-9]*\).*/\1/p')
ctl result "$upload"

say "$jobs jobs, driven to 100 % by $((jobs * rounds)) updates, 1,000 in a request; SIGKILL to the server in the middle"
ctl create batchUpdate "Set the copyright field" --count $jobs >"$work/jobs"
[ "$(sort -u "$work/jobs" | wc -l)" = $jobs ] || fail "job ids are not unique"
awk -v rounds=$rounds '{ id[NR] = $1 }
    END { for (r = 1; r <= rounds; r++) for (i = 1; i <= NR; i++) printf "{\"jobId\":%s,\"percent\":%d}\n", id[i], r * 100 / rounds }' \
    "$work/jobs" >"$work/updates"
began=$(date +%s%N)
ctl batch - <"$work/updates" >"$work/batch" 2>&1 &
batch=$!
sleep 0.4
done_before=$(kill -0 "$batch" 2>/dev/null && echo no || echo yes)
kill -KILL "$server"
killed=$(date +%s%N)
while kill -0 "$server" 2>/dev/null; do sleep 0.01; done # it holds the journal until it is gone
start
restarted=$(date +%s%N)
wait "$batch" || fail "batch: $(cat "$work/batch")"
ended=$(date +%s%N)
cat "$work/batch"
completed=$(ctl find --activities --type batchUpdate --state completed --json | wc -l)
[ "$completed" = $jobs ] || fail "$completed of $jobs jobs are complete"
[ "$done_before" = no ] || echo "(the updates were faster than the kill)"

say "Model changes: one for each Debian package known to this machine"
awk -v q='"' '/^Package: / { name = $2 } /^Version: / { version = $2 } /^Section: / { section = $2 }
    /^$/ { if (name) printf "{\"model\":\"package\",\"id\":\"%s\",\"affectedModel\":\"Package\",\"groups\":[\"*\"],\"json\":{\"version\":\"%s\",\"section\":\"%s\"}}\n", name, version, section
           name = version = section = "" }' /var/lib/dpkg/status >"$work/changes"
sent=$(wc -l <"$work/changes")
ctl record - <"$work/changes"
documents=$(sed 's/.*"id":"\([^"]*\)".*/\1/' "$work/changes" | sort -u | wc -l)
in_database=$(ctl find --changes --json | wc -l)
for _ in $(seq 100); do
    in_index=$(ctl find --changes-es --json | wc -l)
    [ "$in_index" = "$documents" ] && break
    sleep 0.05
done
ctl find --changes-es --json | sed -n '1,2p'
[ "$in_database" = "$documents" ] && [ "$in_index" = "$documents" ] ||
    fail "$documents documents, $in_database in modelChanges, $in_index in modelChangesES"

say "Ctrl-C, and a start from the snapshot"
kill -INT "$server"
while kill -0 "$server" 2>/dev/null; do sleep 0.02; done
start
again=$(ctl find --activities --type batchUpdate --state completed --json | wc -l)
[ "$again" = $jobs ] || fail "$again of $jobs jobs after the restart"

say "Summary"
row() { printf '  %-52s %s\n' "$1" "$2"; }
row "bytes uploaded, compared with the original" "$size"
row "jobs created, ids unique" "$jobs"
row "updates sent" "$(wc -l <"$work/updates")"
row "updates per second, with the kill and restart in it" "$((jobs * rounds * 1000 / ((ended - began) / 1000000)))"
row "from SIGKILL to serving again" "$(((restarted - killed) / 1000000)) ms"
row "jobs complete after it" "$completed of $jobs"
row "model changes recorded" "$sent"
row "documents in modelChanges, in modelChangesES" "$in_database, $in_index"
row "jobs complete after a clean stop and start" "$again of $jobs"
row "acknowledged and missing" "0"
