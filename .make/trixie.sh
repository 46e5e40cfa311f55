#!/bin/sh
# The suite on Debian 13: a small one is made in a scratch folder, what is committed is copied inside, built and tested there,
# and everything is removed again. Usage: .make/trixie.sh FOLDER [COMMAND...]
#
# FOLDER is where the scratch folder goes: it needs 3 GB, and a file system with devices and programs. COMMANDs run in the tree,
# one after the other, also after one that failed. How each ended is told at the end; the exit status is that of the first one that
# failed. An OpenSearch that the tests have fetched before (tests/opensearch/get.sh) is taken along, with a Java for it; what else is
# not there, like npm for buf, is left out by the suite's own rules, which name it. COMMIT: what is tested (HEAD).
#
# What runs inside has its own mounts and its own processes (unshare): both are gone as soon as its first process is, however that
# ends, and nothing outside ever sees a mount below the scratch folder. Needs root.
set -eu

die() {
    echo "trixie: $*" >&2
    exit 1
}

# --- Inside: in namespaces of its own, but not yet in Debian 13 -----------------------------------------------------------

# Where this machine gets its own release from: "URI component" lines, whatever format its source lists have.
own_sources() {
    . /etc/os-release
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        awk -v suite="$VERSION_CODENAME" '$2 == suite && $3 == "main" && !seen[$1]++ { print $1 }'
}

# The first of the sources that has it.
make_root() { # ROOT
    log=$1.log
    for uri in $(own_sources); do
        rm -rf "$1"
        # make is what `make deps` cannot install; the rest is for the tests that mount file systems.
        ! debootstrap --variant=minbase --include=make,mount,e2fsprogs trixie "$1" "$uri" >"$log" 2>&1 || return 0
    done
    tail -n 20 "$log" >&2
    die "debootstrap failed"
}

# What this machine knows about its network, and what programs expect to find. ROOT becomes a mount of its own, since `/` has to be
# one for programs that change how mounts spread.
furnish() { # ROOT
    mount --bind "$1" "$1"
    own_sources | sed 's|.*|deb & trixie main|' >"$1/etc/apt/sources.list"
    apt-config dump | grep -E '^Acquire::(http|Retries|Check)' >"$1/etc/apt/apt.conf.d/90machine" || :
    for f in /etc/resolv.conf /etc/hosts; do
        [ ! -e $f ] || cat $f >"$1$f"
    done
    mount -t proc proc "$1/proc"
    mount -t sysfs -o ro sysfs "$1/sys"
    mount --rbind /dev "$1/dev"
}

in_root() { # ROOT COMMAND
    # Nothing of the make that called: its variables would come along in MAKEFLAGS.
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 ${http_proxy:+http_proxy="$http_proxy"} \
        ${https_proxy:+https_proxy="$https_proxy"} ${no_proxy:+no_proxy="$no_proxy"} \
        chroot "$1" sh -c "cd /root/activityd && $2"
}

run_inside() { # SCRATCH COMMAND...
    trap 'exit 130' INT TERM HUP # the first process of its namespace is deaf without
    scratch=$1 root=$1/root status=0
    shift
    echo "trixie: making a Debian 13 in $root"
    make_root "$root"
    furnish "$root"
    mv "$scratch/tree" "$root/root/activityd"
    in_root "$root" 'make deps'
    [ ! -d "$root/root/activityd/build/opensearch" ] || in_root "$root" '.make/deps.sh build/deps default-jdk-headless'
    in_root "$root" 'dpkg-query -W -f "trixie: \${Package} \${Version}\n" gcc clang libc6 libnng-dev libmbedtls-dev libprotobuf-c-dev'
    for command in "$@"; do
        echo "trixie: $command"
        {
            rc=0
            in_root "$root" "$command" || rc=$?
            echo $rc >"$scratch/status"
        } 2>&1 | tee "$scratch/output"
        rc=$(cat "$scratch/status")
        counts=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$scratch/output" | tail -n 1) || :
        echo "Debian 13: $command: ${counts:+$counts, }exit status $rc" >>"$scratch/summary"
        [ $status != 0 ] || status=$rc
    done
    echo
    cat "$scratch/summary"
    exit $status
}

if [ "$1" = --inside ]; then
    shift
    run_inside "$@"
fi

# --- Outside --------------------------------------------------------------------------------------------------------------

folder=${1:?usage: trixie.sh FOLDER [COMMAND...]}
shift
[ $# != 0 ] || set -- 'make WERROR=1 check' 'make WERROR=1 VARIANT=asan test'
[ "$(id -u)" = 0 ] || die "this needs root, for debootstrap, chroot and mounts"
[ -r /usr/share/keyrings/debian-archive-trixie-stable.gpg ] ||
    die "no trixie archive keys; please upgrade the package debian-archive-keyring"
if ! command -v debootstrap >/dev/null; then
    echo "trixie: installing debootstrap"
    apt-get install -y -qq --no-install-recommends debootstrap >/dev/null ||
        { apt-get update -qq && apt-get install -y -qq --no-install-recommends debootstrap >/dev/null; } ||
        die "debootstrap cannot be installed"
fi

mkdir -p "$folder"
scratch=$(cd "$folder" && mktemp -d "$PWD/trixie.XXXXXX")
inside=

clean() {
    trap - EXIT INT TERM HUP
    # Its first process goes with it, and takes all others and every mount along, which may take the kernel a moment.
    [ -z "$inside" ] || kill -KILL "$inside" 2>/dev/null || :
    if findmnt -rno TARGET | grep -qF "$scratch"; then
        die "something is mounted below $scratch: please unmount and remove it"
    fi
    tries=0
    until rm -rf --one-file-system "$scratch" 2>/dev/null; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || die "$scratch cannot be removed"
        sleep 0.1
    done
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

top=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$scratch/tree/build"
git -C "$top" archive "${COMMIT:-HEAD}" | tar -x -C "$scratch/tree"
opensearch=${OPENSEARCH_CACHE:-$top/build/opensearch}
[ ! -e "$opensearch/have" ] || cp -r "$opensearch" "$scratch/tree/build/opensearch"
# In the background, since only `wait` lets the traps run at once; the shell would have it ignore SIGINT there.
env --default-signal=INT,QUIT unshare --mount --pid --fork --kill-child "$0" --inside "$scratch" "$@" &
inside=$!
status=0
wait $inside || status=$?
inside=
exit $status
