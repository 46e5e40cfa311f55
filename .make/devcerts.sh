#!/bin/sh
# Certificates for development and tests: ECDSA P-256, PKCS#8 keys, key files with mode 0600.
#
#   devcerts.sh DIR                          a development set, as far as it is missing:
#                                            DIR/tls/{ca,server,client,admin}.{crt,key}, DIR/policy.conf, and
#                                            DIR/{activityctl,admin}.conf, which spare activityctl's users the paths
#   devcerts.sh ca DIR NAME [DAYS]           a certificate authority: DIR/NAME.crt, DIR/NAME.key
#   devcerts.sh issue DIR NAME CA EKU SANS [DAYS]
#                                            a certificate signed by DIR/CA.crt. EKU: serverAuth, clientAuth, both, or -
#                                            for none. SANS as openssl spells them, "URI:spiffe://a/b,DNS:c", or - for
#                                            none. DAYS below 1: it expired that many days (and one) ago.
#   devcerts.sh crl DIR CA DAYS [NAME]...    the authority's list of revocations, DIR/CA.crl, with the certificates
#                                            DIR/NAME.crt. DAYS below 1: it is that many days (and one) out of date.
set -eu
umask 077

new_key() { # FILE.key
    openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null ||
        openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null
}

# Signs DIR/NAME.key's certificate. `openssl ca` is used since it alone can date a certificate into the past.
sign() { # DIR NAME ISSUER-OPTIONS EXTENSIONS DAYS
    work=$(mktemp -d)
    : >"$work/index"
    cat >"$work/conf" <<END
[ca]
default_ca = this
[this]
database = $work/index
new_certs_dir = $work
default_md = sha256
rand_serial = yes
unique_subject = no
policy = any
[any]
commonName = supplied
[req]
distinguished_name = name
[name]
[ext]
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
$4
END
    openssl req -new -config "$work/conf" -key "$1/$2.key" -subj "/CN=$2" -out "$work/csr"
    if [ "$5" -ge 1 ]; then
        start=$(date -u -d '1 hour ago' +%Y%m%d%H%M%SZ)
    else
        start=$(date -u -d "$((2 - $5)) days ago" +%Y%m%d%H%M%SZ)
    fi
    end=$(date -u -d "$([ "$5" -ge 1 ] && echo "$5" || echo "$(($5 - 1))") days" +%Y%m%d%H%M%SZ)
    # shellcheck disable=SC2086 # the issuer is several words
    openssl ca -batch -notext -config "$work/conf" -extensions ext -startdate "$start" -enddate "$end" \
        -in "$work/csr" -out "$1/$2.crt" $3 2>"$work/err" || {
        cat "$work/err" >&2
        rm -rf "$work"
        exit 1
    }
    rm -rf "$work"
    chmod 644 "$1/$2.crt"
}

ca() { # DIR NAME [DAYS]
    new_key "$1/$2.key"
    sign "$1" "$2" "-selfsign -keyfile $1/$2.key" "basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign" "${3:-3650}"
}

issue() { # DIR NAME CA EKU SANS [DAYS]
    ext="basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature"
    case $4 in
    -) ;;
    both) ext="$ext
extendedKeyUsage = serverAuth, clientAuth" ;;
    *) ext="$ext
extendedKeyUsage = $4" ;;
    esac
    [ "$5" = - ] || ext="$ext
subjectAltName = $5"
    new_key "$1/$2.key"
    sign "$1" "$2" "-cert $1/$3.crt -keyfile $1/$3.key" "$ext" "${6:-825}"
}

crl() { # DIR CA DAYS [NAME]...
    dir=$1 ca=$2 days=$3
    shift 3
    work=$(mktemp -d)
    : >"$work/index"
    cat >"$work/conf" <<END
[ca]
default_ca = this
[this]
database = $work/index
default_md = sha256
unique_subject = no
crl_extensions = ext
[ext]
authorityKeyIdentifier = keyid:always
END
    for name; do
        openssl ca -config "$work/conf" -cert "$dir/$ca.crt" -keyfile "$dir/$ca.key" -revoke "$dir/$name.crt" 2>/dev/null
    done
    last=$(date -u -d "$([ "$days" -ge 1 ] && echo 1 || echo "$((2 - days))") days ago" +%Y%m%d%H%M%SZ)
    next=$(date -u -d "$([ "$days" -ge 1 ] && echo "$days" || echo "$((days - 1))") days" +%Y%m%d%H%M%SZ)
    openssl ca -config "$work/conf" -cert "$dir/$ca.crt" -keyfile "$dir/$ca.key" -gencrl -crl_lastupdate "$last" \
        -crl_nextupdate "$next" -out "$dir/$ca.crl" 2>/dev/null
    rm -rf "$work"
}

dev() { # DIR
    tls=$1/tls
    mkdir -p "$tls"
    if ! [ -e "$tls/ca.crt" ]; then
        ca "$tls" ca
        rm -f "$tls/server.crt" "$tls/client.crt" "$tls/admin.crt" # they would be another authority's
    fi
    host=$(uname -n)
    [ -e "$tls/server.crt" ] || issue "$tls" server ca serverAuth "DNS:localhost,DNS:$host,IP:127.0.0.1,IP:::1"
    [ -e "$tls/client.crt" ] || issue "$tls" client ca clientAuth "URI:spiffe://dev.activityd/service/demo"
    [ -e "$tls/admin.crt" ] || issue "$tls" admin ca clientAuth "URI:spiffe://dev.activityd/service/admin"
    [ -e "$1/policy.conf" ] || policy >"$1/policy.conf"
    dir=$(cd "$1" && pwd)
    [ -e "$1/activityctl.conf" ] || profile "$dir" client "user = \"$(id -un)\"" >"$1/activityctl.conf"
    [ -e "$1/admin.conf" ] || profile "$dir" admin >"$1/admin.conf"
}

policy() {
    cat <<'END'
# Who may do what on this development server. server/policy.conf.example explains every key.

rule "spiffe://dev.activityd/service/demo" {
    methods = {read, write}
    tenant = "demo"
    delegate = {demo}
}

rule "spiffe://dev.activityd/service/admin" {
    methods = {"*"}
    tenant = "demo"
    delegate = {"*"}
    admin = all
    feed = true
}
END
}

profile() { # DIR NAME [LINE]
    cat <<END
# activityctl reads .data/activityctl.conf by itself when it is started beside it; any other: activityctl --profile FILE
server = {"tls+tcp://127.0.0.1:7401"}
ca = "$1/tls/ca.crt"
cert = "$1/tls/$2.crt"
key = "$1/tls/$2.key"
tenant = "demo"
${3:-}
END
}

case ${1:-} in
ca | issue | crl) "$@" ;;
'' | -*) sed -n '2,/^set/{/^#/p}' "$0" && exit 2 ;;
*) dev "$1" ;;
esac
