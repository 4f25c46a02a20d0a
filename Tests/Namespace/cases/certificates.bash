# Certificates of clients: who comes in, and who is sent away when the list of the revoked changes.
# shellcheck shell=bash disable=SC2154

# An authority with two clients, and a server that demands its certificates.
client_authority() {
    rm -rf "$testbed_dir/clients"
    "$penstock" pki init --folder "$testbed_dir/clients" --name 'Test clients'
    "$penstock" pki client alice --folder "$testbed_dir/clients"
    "$penstock" pki client bob --folder "$testbed_dir/clients"
}

# write_configs NAME: of a server that demands certificates and a client that has this one; without a name it has none.
write_certificate_configs() {
    write_server_config 'client-certificates: { demand: required, ca-file: clients/ca.crt, crl-file: clients/ca.crl }'
    write_client_config client.yaml '' "${1:+certificate-file: clients/$1.crt
private-key-file: clients/$1.key}"
}

# said NAME PATTERN COUNT: more than so many lines of this log match.
said() { (($(grep -cE "$2" "$testbed_dir/$1.log") > $3)); }

case_certificate_of_a_client() {
    stop client
    stop server
    client_authority
    write_certificate_configs alice
    start_server
    start_client
    wait_for_tunnel
    stop client
    stop server
}

case_certificate_missing_or_of_another_authority_is_refused() {
    stop client
    stop server
    client_authority
    write_certificate_configs
    start_server
    local before
    before=$(lines_of client 'no tunnel: .*refused by the other side during the handshake')
    start_client
    wait_until 10 "the client is refused" said client 'no tunnel: .*refused by the other side during the handshake' "$before"
    stop client
    # Another authority of the same name: the client offers its certificate, and the server sees through it.
    mv "$testbed_dir/clients" "$testbed_dir/others"
    client_authority
    cp "$testbed_dir/others"/alice.* "$testbed_dir/clients/"
    stop server
    write_certificate_configs alice
    start_server
    before=$(lines_of client 'no tunnel: ')
    start_client
    wait_until 10 "the client is refused" said client 'no tunnel: ' "$before"
    ! tunnel_works || fail "pages came through with a certificate of another authority"
    rm -rf "$testbed_dir/others"
    stop client
    stop server
}

# The server is not restarted and gets no signal: it sees the new list by itself.
case_certificate_revoked_ends_a_session_within_a_second() {
    stop client
    stop server
    client_authority
    write_certificate_configs alice
    start_server
    start_client
    wait_for_tunnel
    local before started milliseconds
    "$penstock" pki revoke bob --folder "$testbed_dir/clients"
    wait_until 5 "the server reads the list" said server 'revocation list read' 0
    tunnel_works || fail "the revocation of another client ended the tunnel"
    before=$(lines_of server 'certificate refused .*name=alice')
    expect_equal "$before" 0 "refusals of alice before she was revoked"
    "$penstock" pki revoke alice --folder "$testbed_dir/clients"
    started=$(date +%s%N)
    while ! said server 'certificate refused .*name=alice' 0; do
        milliseconds=$((($(date +%s%N) - started) / 1000000))
        expect_at_most "$milliseconds" 5000 "milliseconds until the session ended"
        sleep 0.02
    done
    milliseconds=$((($(date +%s%N) - started) / 1000000))
    echo "the session ended after $milliseconds ms"
    expect_at_most "$milliseconds" 1000 "milliseconds until the session ended"
    wait_until 10 "the client is refused with the reason" said client 'no tunnel: .*revoked' 0
    ! tunnel_works || fail "pages came through with a revoked certificate"
    # A list that is broken changes nothing.
    echo junk >"$testbed_dir/clients/ca.crl"
    wait_until 5 "the server complains" said server 'the revocation list was not read' 0
    ! tunnel_works || fail "pages came through after the list was broken"
    stop client
    stop server
}
