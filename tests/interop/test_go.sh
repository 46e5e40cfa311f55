#!/bin/sh
# The Go client against a server: its modules, the generator of its messages and all that is built are below INTEROP_DIR.
# Usage: INTEROP_DIR=build/interop DEPS=build/deps ACTIVITY_BIN=build/plain tests/interop/test_go.sh
set -eu
cd "$(dirname "$0")/../.."
mkdir -p "$INTEROP_DIR/go/src"
dir=$(cd "$INTEROP_DIR/go" && pwd)

# Go's own archive installs there, and does not enter PATH by itself.
PATH=$PATH:/usr/local/go/bin
command -v go >/dev/null || .make/deps.sh "$DEPS" golang-go
# The versions are those of go.mod and go.sum, whatever is set elsewhere; where modules come from is as configured.
export GOPATH="$dir/path" GOCACHE="$dir/cache" GOFLAGS='-mod=readonly -modcacherw' GOTOOLCHAIN=local GOWORK=off CGO_ENABLED=0

cp tests/interop/go/go.mod tests/interop/go/go.sum tests/interop/go/*.go "$dir/src/"
cd "$dir/src"
go mod download go.nanomsg.org/mangos/v3 google.golang.org/protobuf || {
    echo "interop: go cannot fetch the modules of tests/interop/go/go.mod: no network, or no module proxy" >&2
    exit 1
}
go build -o "$dir/bin/protoc-gen-go" google.golang.org/protobuf/cmd/protoc-gen-go
cd - >/dev/null
set --
for proto in proto/activity/v1/*.proto; do
    set -- "$@" "--go_opt=M${proto#proto/}=interop/activity/v1"
done
PATH=$dir/bin:$PATH protoc -Iproto --go_out="$dir/src" --go_opt=paths=source_relative "$@" proto/activity/v1/*.proto
(cd "$dir/src" && go vet . && go build -o "$dir/bin/interop" .)
status=0
steps="connect create update batch find result record subscribe progress gap restart reset refused"
for version in 1.2 1.3; do
    INTEROP_TLS=$version tests/interop/run.sh "go_tls_$version" "$steps" "$dir/bin/interop" || status=1
done
exit $status
