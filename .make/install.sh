#!/bin/sh
# Installs what `make` built. Usage: .make/install.sh DESTDIR PREFIX BUILD-FOLDER ARCHIVES
#
# ARCHIVES are those of an NNG and mbedTLS that are not packages of this system (Debian 12). They are merged into the installed
# libactivity.a, so that a program that links it needs nothing that the system does not have.
set -eu
dest=$1$2 prefix=$2 built=$3 archives=$4

put() { # MODE FOLDER FILE...: those that exist
    mode=$1 folder=$dest/$2
    shift 2
    for f in "$@"; do
        [ ! -e "$f" ] || install -D -m "$mode" "$f" "$folder/$(basename "$f")"
    done
}

put 755 bin "$built/activityd" "$built/activityctl"
put 644 include client/include/*.h
put 644 share/activityd server/*.conf.example proto/PROTOCOL.md
put 644 share/activityd/proto/activity/v1 proto/activity/v1/*.proto
put 644 share/doc/activityd README.md CHANGELOG.md LICENSE
put 644 share/doc/activityd/examples client/examples/*.c
for man in server/*.[158] server/*/*.[158] client/*/*.[1357]; do
    put 644 "share/man/man${man##*.}" "$man"
done

mkdir -p "$dest/lib/pkgconfig"
if [ -z "$archives" ]; then
    put 644 lib "$built/libactivity.a"
    nng="-lnng -lmbedtls -lmbedx509 -lmbedcrypto "
else
    nng=
    {
        echo "create $built/libactivity-full.a"
        for a in "$built/libactivity.a" $archives; do echo "addlib $a"; done
        echo save
    } | ar -M
    install -m 644 "$built/libactivity-full.a" "$dest/lib/libactivity.a"
fi
cat >"$dest/lib/pkgconfig/activity.pc" <<END
prefix=$prefix
Name: activity
Description: client library of the activity service
Version: $(sed -n 's/^## \[*\([0-9][0-9.]*\).*/\1/p' CHANGELOG.md 2>/dev/null | head -n 1 | grep . || echo 0.1.0)
Cflags: -I\${prefix}/include
Libs: -L\${prefix}/lib -lactivity ${nng}-lprotobuf-c -pthread
END
