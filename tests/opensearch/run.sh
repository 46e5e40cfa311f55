#!/bin/bash
# Starts a real OpenSearch in the foreground, to try out; Ctrl-C ends it. Usage: tests/opensearch/run.sh HOME [secure] [SETTING=VALUE]...
#
# HOME keeps its data. OPENSEARCH_PORT: 9200, or the next free one. secure: TLS, client certificate and users, see secure.sh.
set -euo pipefail
home=${1:?usage: run.sh HOME [secure] [SETTING=VALUE]...}
shift
secure=
if [ "${1:-}" = secure ]; then
    secure=secure home=$home-secure
    shift
fi
cd "$(dirname "$0")/../.."
cache=${OPENSEARCH_CACHE:-build/opensearch}
tests/opensearch/get.sh $secure
mkdir -p "$home"
home=$(cd "$home" && pwd)
[ -z "$secure" ] || set -- $(tests/opensearch/secure.sh "$home") "$@"

port=${OPENSEARCH_PORT:-9200}
while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done

url=http://127.0.0.1:$port options=
if [ -n "$secure" ]; then
    url=https://127.0.0.1:$port config=$home/config
    options=" --cacert $config/ca.crt --cert $config/client.crt --key $config/client.key -u 'boss:boss of the tests'"
fi

printf 'OpenSearch: %s, as soon as it says that it listens\n    curl%s %s\n    Ctrl-C ends it; its data is in %s\n' \
    "$url" "$options" "$url" "$home"
set -- java -Xmx512m -XX:TieredStopAtLevel=1 -Dlog4j2.level=WARN -cp "$cache/classes:$cache/lib/*:$cache/secure/*" \
    RealNode "$home" "$port" "$@"
[ -t 0 ] || exec "$@"
# On a terminal `set -m` gives the node the foreground: Ctrl-C reaches it alone, and neither this script nor make dies of it.
set -m
status=0
"$@" || status=$?
[ $status = 130 ] || exit $status # what Java ends with when it was interrupted
