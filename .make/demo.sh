#!/bin/bash
# The main job on real input, as a person would like to see it: an upload, batch updates, model changes, and a SIGKILL to the server
# in the middle, while a subscriber counts what happens and misses nothing. Usage: ACTIVITY_BIN=build/plain .make/demo.sh
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$ACTIVITY_BIN
jobs=10000
rounds=100
work=$(mktemp -d)
server=
subscriber=
watcher=
finish() {
    for p in $subscriber $watcher; do kill "$p" 2>/dev/null || true; done
    [ -z "$server" ] || kill -KILL "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n%s\n' "$*"; }
ctl() { "$bin/activityctl" --profile "$work/profile" --timeout 30000 "$@"; }
fail() {
    printf 'demo: %s\n' "$*" >&2
    tail -n 20 "$work/log" "$work/subscriber" >&2 || true
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

profile() { # NAME: of whose certificate
    cat <<END
server = {"tls+tcp://127.0.0.1:$port"}
server_name = "localhost"
ca = "$tls/ca.crt"
cert = "$tls/$1.crt"
key = "$tls/$1.key"
END
}

# The running count of the subscriber.
count() { echo "the subscriber has counted $(wc -l <"$work/events") events"; }

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
profile client >"$work/profile"
profile admin >"$work/admin"
start
ctl server-info | sed -n '1,7p'

say "A subscriber that follows everything, from the first event on"
echo "activityctl changes --follow --since oldest --all-tenants --json"
"$bin/activityctl" --profile "$work/admin" changes --follow --since oldest --all-tenants --json \
    >"$work/events" 2>"$work/subscriber" &
subscriber=$!
disown

file=$(large_file)
size=$(stat -c %s "$file")
say "An upload: $file ($((size / 1000000)) MB), its percent follows the bytes"
"$bin/activityctl" --profile "$work/profile" watch --type upload >"$work/seen" 2>&1 &
watcher=$!
ctl pipe "$file" | gzip -1 >"$work/copy.gz"
for _ in $(seq 100); do
    grep -q COMPLETED "$work/seen" && break
    sleep 0.05
done
{ kill "$watcher" && wait "$watcher"; } 2>/dev/null || true
watcher=
gzip -dc "$work/copy.gz" | cmp - "$file" || fail "the copy differs"
grep -q COMPLETED "$work/seen" || fail "activityctl watch did not see the end: $(cat "$work/seen")"
echo "what \`activityctl watch\` said meanwhile:"
cut -c -100 "$work/seen" |
    awk '{ line[NR] = $0 }
        END { for (i = 1; i <= NR; i++) if (NR < 12 || i < 6 || i > NR - 5) print "  " line[i]; else if (i == 6) print "  ..." }'
upload=$(ctl find --activities --type upload --json | sed -n 's/.*"jobId":\([0-9]*\).*/\1/p')
ctl result "$upload"
count

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
count

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
count

say "Ctrl-C, and a start from the snapshot"
kill -INT "$server"
while kill -0 "$server" 2>/dev/null; do sleep 0.02; done
start
again=$(ctl find --activities --type batchUpdate --state completed --json | wc -l)
[ "$again" = $jobs ] || fail "$again of $jobs jobs after the restart"

say "Did the subscriber miss anything?"
head=$(ctl server-info --json | sed 's/.*"headSequence":\([0-9]*\).*/\1/')
for _ in $(seq 200); do
    [ "$(wc -l <"$work/events")" -ge "$head" ] && break
    sleep 0.05
done
kill "$subscriber"
while kill -0 "$subscriber" 2>/dev/null; do sleep 0.02; done
subscriber=
counted=$(awk -v head="$head" -v jobs=$((jobs + 1)) -v changes="$sent" '
    /"event":"POSITION"/ { next }
    { match($0, /"event":"[A-Z_]*"/); n[substr($0, RSTART + 9, RLENGTH - 10)]++
      match($0, /"cursor":"[0-9a-f]*:[0-9]*"/); split(substr($0, RSTART + 10, RLENGTH - 11), part, ":")
      if (!(part[1] in epochs)) { epochs[part[1]]; histories++ }
      if (part[2] != last + 1) { print "event " part[2] " follows " last; bad = 1; exit }
      last = part[2] }
    END { if (bad) exit
          if (histories != 1) print histories + 0 " histories"
          else if (last != head) print "the last event is " last ", the server is at " head
          else if (n["ACTIVITY_CREATED"] != jobs) print n["ACTIVITY_CREATED"] " of " jobs " created activities"
          else if (n["ACTIVITY_ENDED"] != jobs) print n["ACTIVITY_ENDED"] " of " jobs " ended activities"
          else if (n["MODEL_CHANGED"] != changes) print n["MODEL_CHANGED"] " of " changes " model changes"
          else print jobs " created, " jobs " ended, " changes " model changes, " n["INDEX_CHANGED"] " in Elasticsearch"
    }' "$work/events")
case $counted in
*" created, "*) echo "no: 1 to $head without a gap; $counted" ;;
*) fail "the subscriber: $counted" ;;
esac

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
row "events that the subscriber got, in order, each once" "$head of $head"
row "acknowledged and missing" "0"
