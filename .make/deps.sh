#!/bin/sh
# Makes sure that everything the build needs is there. Usage: .make/deps.sh DIR [PACKAGE...]
#
# PACKAGEs are what some part of the tests needs besides (tests/interop) and not everybody should have to install.
# Prints nothing when nothing is missing. Missing Debian packages are installed when run as root; anybody else is told the
# apt line to type. DIR receives deps.mk, which tells the Makefile where NNG is, and on Debian 12, whose NNG is too
# old (its TLS listener can stop accepting for ever), Debian 13's NNG and mbedTLS, unpacked and not installed.
set -eu

dir=${1:?usage: deps.sh DIR [PACKAGE...]}
shift
here=$(dirname "$0")
packages="gcc make pkg-config protobuf-compiler protobuf-c-compiler libprotobuf-c-dev libcmocka-dev libconfuse-dev libxxhash-dev
    libjansson-dev libyajl-dev libcurl4-openssl-dev zlib1g-dev openssl clang libclang-rt-dev $*"
backport="libnng-dev libmbedtls-dev"

die() {
    echo "deps: $*" >&2
    exit 1
}

mkdir -p "$dir"
exec 9>"$dir/lock"
flock 9 # two makes may start at the same moment

. /etc/os-release
[ "${ID:-}" = debian ] || die "Debian 12 or 13 is needed, this is ${PRETTY_NAME:-unknown}"
case ${VERSION_ID:-} in
12) unpack=yes ;;
13) unpack=no packages="$packages $backport" ;;
*) die "Debian 12 or 13 is needed, this is ${PRETTY_NAME:-unknown}" ;;
esac

installed() {
    dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

# --- Packages of this machine's own release -------------------------------------------------------------------------

missing=
for p in $packages; do
    installed "$p" || missing="$missing $p"
done
if [ -n "$missing" ]; then
    if [ "$(id -u)" != 0 ]; then
        echo "deps: packages are missing. Please type:" >&2
        echo "    sudo apt-get update && sudo apt-get install -y --no-install-recommends$missing" >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    echo "deps: installing$missing"
    log=$dir/apt.log
    install() { apt-get install -y -qq --no-install-recommends $missing >"$log" 2>&1; }
    # The lists may be absent or old, which only the attempt tells.
    install || { apt-get update -qq >"$log" 2>&1 && install; } || {
        tail -n 20 "$log" >&2
        die "apt-get install$missing failed, see $log"
    }
fi

# --- Debian 13's NNG and mbedTLS on Debian 12 -----------------------------------------------------------------------

# Where this machine gets its own release from: "URI component" lines, whatever format its source lists have.
own_sources() {
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        awk -v suite="$VERSION_CODENAME" '$2 == suite && $3 == "main" && !seen[$1]++ { print $1 }'
}

fetch_backport() {
    tmp=$dir/tmp
    rm -rf "$tmp"
    mkdir -p "$tmp/parts" "$tmp/state" "$tmp/lists/partial" "$tmp/cache/archives/partial" "$tmp/deb"
    : >"$tmp/status"

    keys=
    for k in stable automatic; do
        f=/usr/share/keyrings/debian-archive-trixie-$k.gpg
        [ ! -r "$f" ] || keys="$keys${keys:+,}$f"
    done
    [ -n "$keys" ] || die "no trixie archive keys; please upgrade the package debian-archive-keyring"
    own_sources | sed "s|.*|deb [signed-by=$keys] & trixie main|" >"$tmp/sources.list"
    [ -s "$tmp/sources.list" ] || die "apt knows no source of $VERSION_CODENAME main to derive that of trixie from"

    # Everything apt writes goes below $tmp, so neither root nor the system's own lists are involved.
    set -- -qq -o "Dir::Etc::SourceList=$tmp/sources.list" -o "Dir::Etc::SourceParts=$tmp/parts" \
        -o "Dir::State=$tmp/state" -o "Dir::State::status=$tmp/status" -o "Dir::State::Lists=$tmp/lists" \
        -o "Dir::Cache=$tmp/cache" -o "APT::Sandbox::User=" -o "Acquire::Languages=none" \
        -o "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false" \
        -o "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false"
    (
        apt-get "$@" update -o APT::Update::Error-Mode=any && cd "$tmp/deb" && apt-get "$@" download $backport
    ) >"$tmp/apt.log" 2>&1 || {
        cat "$tmp/apt.log" >&2
        die "could not fetch $backport of Debian 13"
    }
    for deb in "$tmp"/deb/*.deb; do
        dpkg -x "$deb" "$tmp/root"
    done
    # Only headers and static archives are used; the dangling .so links would win over the archives.
    find "$tmp/root/usr/lib" -name '*.so' -delete
    rm -rf "$dir/usr"
    mv "$tmp/root/usr" "$dir/usr"
    rm -rf "$tmp"
}

# Our programs have NNG in them on both releases: what is tested on one is what runs on the other, since the TLS engine leans on
# NNG's inner order. The price: a new mbedTLS wants a new build. (A program that links libactivity on Debian 13 shares both.)
libs="-l:libnng.a -l:libmbedtls.a -l:libmbedx509.a -l:libmbedcrypto.a"
mk=$dir/deps.mk
if [ $unpack = yes ]; then
    dir=$(cd "$dir" && pwd)
    triplet=$(gcc -dumpmachine)
    [ -e "$dir/usr/include/nng/nng.h" ] && [ -e "$dir/usr/lib/$triplet/libmbedtls.a" ] || {
        echo "deps: fetching $backport of Debian 13 (unpacked in $dir, not installed)"
        fetch_backport
    }
    # The archives were built against glibc 2.38: the shim has the few names that glibc 2.36 lacks.
    text="NNG_CFLAGS := -isystem \$(DEPS)/usr/include
NNG_LIBS := -L\$(DEPS)/usr/lib/$triplet $libs
NNG_ARCHIVES := \$(patsubst -l:%,\$(DEPS)/usr/lib/$triplet/%,$libs)
NNG_SHIM := $here/glibc_shim.c"
else
    text="NNG_CFLAGS :=
NNG_LIBS := $libs
NNG_ARCHIVES :=
NNG_SHIM :="
fi
[ -e "$mk" ] && [ "$text" = "$(cat "$mk")" ] || printf '%s\n' "$text" >"$mk"
touch "$mk" # newer than this script: the Makefile need not ask again
