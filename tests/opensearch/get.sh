#!/bin/sh
# Makes sure that a real OpenSearch is there to test against: jars from Maven Central and our main, below build/opensearch or
# $OPENSEARCH_CACHE. Prints nothing when nothing is missing. Usage: tests/opensearch/get.sh [--no-packages] [secure]
#
# secure          the security plugin, too: 40 MB to fetch besides the 50 MB
# --no-packages   installs no Debian packages; else, as root, Java and Maven are installed when there are none
#
# Exits with status 69 and says why in one line when it cannot be had here: no Java, no Maven, or no way to Maven Central.
set -eu
cd "$(dirname "$0")/../.."
own=tests/opensearch
cache=${OPENSEARCH_CACHE:-build/opensearch}

unavailable() {
    echo "opensearch: $*" >&2
    exit 69
}

packages=yes secure=
for word; do
    case $word in
    --no-packages) packages=no ;;
    secure) secure=secure ;;
    *) sed -n '2,/^set/{/^#/p}' "$0" && exit 2 ;;
    esac
done

need() { # PROGRAM...
    for program; do
        command -v "$program" >/dev/null && continue
        missing="$program is missing; it is in Debian's default-jdk-headless and maven"
        [ $packages = yes ] && [ "$(id -u)" = 0 ] || unavailable "$missing"
        .make/deps.sh "${DEPS:-build/deps}" default-jdk-headless maven >&2 || unavailable "$missing, which cannot be installed"
    done
}

# Fetches into a folder that takes its place when it is complete.
fetch() {
    need java javac jar mvn
    new=$cache/new
    rm -rf "$new"
    mkdir -p "$new/lib"
    echo "opensearch: fetching the jars of $own/pom.xml into $cache" >&2
    # With a local repository of its own nothing is left behind at home; -C: a wrong checksum is an error.
    mvn -B -ntp -q -C -f $own/pom.xml ${secure:+-Psecure} -Dmaven.repo.local="$new/repository" \
        dependency:copy-dependencies -DoutputDirectory="$new/lib" -DincludeScope=runtime >"$cache/mvn.log" 2>&1 ||
        unavailable "mvn cannot fetch the jars (no network, or no mirror of Maven Central?), see $cache/mvn.log"
    # What was tested is what is run, wherever it came from. The sums of the zip are looked at only when it was asked for.
    grep ${secure:+-e zip} -e '\.jar$' $own/jars.sha256 >"$new/sums"
    (cd "$new/lib" && sha256sum --status --strict -c ../sums 2>"$cache/sums.log") && [ "$(ls "$new/lib" | wc -l)" = "$(wc -l <"$new/sums")" ] || {
        echo "opensearch: what was fetched is not what $own/jars.sha256 lists" >&2
        exit 1
    }
    if [ -n "$secure" ]; then
        mkdir "$new/secure"
        (cd "$new/secure" && jar xf ../lib/opensearch-security-*.zip && rm -rf ../lib/opensearch-security-*.zip tools)
        rm -rf "$cache/secure"
        mv "$new/secure" "$cache/secure"
    fi
    rm -rf "$cache/lib"
    mv "$new/lib" "$cache/lib"
    rm -rf "$new"
    cat $own/pom.xml $own/jars.sha256 >"$cache/have"
}

compile() {
    need java javac
    rm -rf "$cache/classes"
    javac -Xlint:all,-classfile -Werror -cp "$cache/lib/*" -d "$cache/classes" $own/RealNode.java >&2
    cp $own/RealNode.java "$cache/classes/"
}

mkdir -p "$cache"
cache=$(cd "$cache" && pwd) # mvn would start a relative path beside its pom.xml
exec 9>"$cache/lock"
flock 9 # two test programs may start at the same moment

need java
cat $own/pom.xml $own/jars.sha256 | cmp -s - "$cache/have" || rm -rf "$cache/have" "$cache/secure"
[ -e "$cache/have" ] && [ -z "$secure" -o -d "$cache/secure" ] || fetch
cmp -s $own/RealNode.java "$cache/classes/RealNode.java" || compile
