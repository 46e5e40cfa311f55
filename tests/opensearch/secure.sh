#!/bin/sh
# Prepares a node that talks TLS only, to clients with a certificate of its authority and a user. Usage: tests/opensearch/secure.sh
# HOME. Prints the words that RealNode needs for it, one in a line; what exists already is left alone.
#
# HOME/config gets ca.crt and, each with its .key: node, admin (the plugin's own administrator) and client.
# Users, with "NAME of the tests" as password: boss may do everything, writer what activityd needs, in indices docs* only.
set -eu
home=${1:?usage: secure.sh HOME}
here=$(dirname "$0")
certs=$here/../../.make/devcerts.sh
umask 077
mkdir -p "$home/config/opensearch-security"
config=$(cd "$home/config" && pwd)

if ! [ -e "$config/client.crt" ]; then
    "$certs" ca "$config" ca
    "$certs" issue "$config" node ca both DNS:localhost,IP:127.0.0.1
    "$certs" issue "$config" admin ca clientAuth -
    "$certs" issue "$config" client ca clientAuth -
fi

file() { # TYPE, and the text
    { printf '_meta:\n  type: "%s"\n  config_version: 2\n' "$1" && cat; } >"$config/opensearch-security/${2:-$1}.yml"
}

file config <<'END'
config:
  dynamic:
    authc:
      basic:
        http_enabled: true
        order: 0
        http_authenticator:
          type: basic
          challenge: false
        authentication_backend:
          type: intern
END
# The hashes are bcrypt's, which is what the plugin knows.
file internalusers internal_users <<'END'
boss:
  hash: "$2y$12$RkdCm/UzIvO/x41CCeQlNuJWAeCSTHBD8yesCQyn8HpWd2rHr4CE6"
writer:
  hash: "$2y$12$WfEv59DoavqWvOB/idDtjuIla5QT85arWzWbjdTy5w/DA8K0CiSRm"
END
file roles <<'END'
documents:
  cluster_permissions:
    - "cluster_composite_ops"
    - "cluster:monitor/main"
    - "cluster:monitor/health"
    - "cluster:admin/script/put"
  index_permissions:
    - index_patterns:
        - "docs*"
      allowed_actions:
        - "crud"
        - "create_index"
        - "indices:admin/mapping/put"
        - "indices:admin/refresh*"
        - "indices:monitor/settings/get"
END
file rolesmapping roles_mapping <<'END'
all_access:
  users:
    - "boss"
documents:
  users:
    - "writer"
END
for empty in actiongroups:action_groups tenants:tenants nodesdn:nodes_dn; do
    file "${empty%:*}" "${empty#*:}" </dev/null
done

tls=plugins.security.ssl
printf '%s\n' --plugin org.opensearch.security.OpenSearchSecurityPlugin
for layer in transport http; do
    printf '%s\n' $tls.$layer.enabled=true $tls.$layer.pemcert_filepath=node.crt $tls.$layer.pemkey_filepath=node.key \
        $tls.$layer.pemtrustedcas_filepath=ca.crt
done
printf '%s\n' $tls.transport.enforce_hostname_verification=false $tls.http.clientauth_mode=REQUIRE \
    plugins.security.nodes_dn=CN=node plugins.security.authcz.admin_dn=CN=admin \
    plugins.security.allow_default_init_securityindex=true plugins.security.audit.type=noop
