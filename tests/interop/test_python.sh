#!/bin/sh
# The Python client against a server: its libraries come from pip and its messages from protoc, both below INTEROP_DIR.
# Usage: INTEROP_DIR=build/interop DEPS=build/deps ACTIVITY_BIN=build/plain tests/interop/test_python.sh
set -eu
cd "$(dirname "$0")/../.."
dir=$INTEROP_DIR/python
venv=$dir/venv
wanted=tests/interop/python/requirements.txt

python3 -c 'import ensurepip, venv' 2>/dev/null || .make/deps.sh "$DEPS" python3-venv
if ! cmp -s "$wanted" "$dir/requirements.txt" || ! "$venv/bin/python" -c 'import pynng, google.protobuf' 2>/dev/null; then
    rm -rf "$dir"
    mkdir -p "$dir"
    echo "interop: fetching pynng and protobuf"
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check --require-hashes --only-binary :all: -r "$wanted" || {
        echo "interop: pip cannot install $wanted for $(python3 --version): no network, or no wheel for this Python" >&2
        exit 1
    }
    cp "$wanted" "$dir/requirements.txt"
fi
protoc -Iproto --python_out="$dir" proto/activity/v1/*.proto
export PYTHONPATH="$dir" PYTHONDONTWRITEBYTECODE=1
status=0
steps="connect create update batch find result record subscribe progress gap restart reset refused"
for version in 1.2 1.3; do
    INTEROP_TLS=$version tests/interop/run.sh "python_tls_$version" "$steps" "$venv/bin/python" tests/interop/python/check.py ||
        status=1
done
tests/interop/run.sh document "call follow" "$venv/bin/python" tests/interop/python/document.py || status=1
exit $status
