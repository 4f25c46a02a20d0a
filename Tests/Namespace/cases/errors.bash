# Errors that a newcomer meets have an answer in plain words.
# shellcheck shell=bash disable=SC2154

# expect_client_says REGEX SECONDS: a client with bad.yaml, in place of the usual one, writes a line that matches,
# as a warning or worse.
expect_client_says() {
    local pattern="(warning|error|critical)\\b.*($1)" limit=$2
    stop client
    : >"$testbed_dir/bad.log"
    ip netns exec "$client_ns" "$penstock" client --config "$testbed_dir/bad.yaml" </dev/null >"$testbed_dir/bad.log" 2>&1 &
    remember bad $!
    local status=0
    wait_until "$limit" "the client says $pattern" grep -qiE "$pattern" "$testbed_dir/bad.log" || status=1
    ! tunnel_works || status=2
    stop bad
    if ((status > 0)); then
        tail -n 10 "$testbed_dir/bad.log" >&2
        fail "status $status (1: not said, 2: pages came through all the same)"
    fi
}

case_error_wrong_pin() {
    write_client_config bad.yaml '{ pin: "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" }'
    expect_client_says 'pin' 10
}

case_error_wrong_authority() {
    write_client_config bad.yaml '{ ca-file: web-tls/ca.crt }'
    expect_client_says 'certificate' 10
}

case_error_name_mismatch() {
    write_client_config bad.yaml
    sed -i 's/^server-name: .*/server-name: other.test/' "$testbed_dir/bad.yaml"
    expect_client_says 'other\.test' 10
}

case_error_wrong_server_key() {
    write_client_config bad.yaml
    rm -f "$testbed_dir/other.key"
    local other
    other=$("$penstock" keygen --output "$testbed_dir/other.key")
    sed -i "s|^server-key: .*|server-key: $other|" "$testbed_dir/bad.yaml"
    expect_client_says "is 'server-key' the key of this server" 10
}

case_error_name_that_does_not_resolve() {
    write_client_config bad.yaml
    sed -i 's/^server: .*/server: nowhere.invalid:4433/' "$testbed_dir/bad.yaml"
    expect_client_says 'nowhere\.invalid' 25
}

case_error_server_that_does_not_answer() {
    write_client_config bad.yaml
    sed -i 's/^server: .*/server: 192.0.2.77:4433/' "$testbed_dir/bad.yaml"
    expect_client_says 'answer|unreachable|no route' 25
}

# The client's own packets do not fall into its tunnel, which would take them anywhere.
case_error_no_route_to_the_server() {
    write_client_config bad.yaml
    sed -i 's/^server: .*/server: 198.51.100.9:4433/' "$testbed_dir/bad.yaml"
    expect_client_says 'unreachable' 4
}

case_error_port_in_use() {
    expect_equal "$(exit_code_of in_server timeout 10 "$penstock" server --config "$testbed_dir/server.yaml")" 1 \
        "the exit code"
    expect_match "$(output)" '4433' "the message"
    expect_match "$(output)" 'in use' "the message"
}

case_error_no_capability() {
    stop client
    local drop=(setpriv --bounding-set=-net_admin --inh-caps=-net_admin --)
    expect_equal "$(exit_code_of in_client "${drop[@]}" timeout 10 "$penstock" client --config "$testbed_dir/client.yaml")" 1 \
        "the exit code"
    expect_match "$(output)" 'CAP_NET_ADMIN' "the message"
}

case_error_no_configuration() {
    expect_equal "$(exit_code_of "$penstock" client --config "$testbed_dir/none.yaml")" 2 "the exit code"
    expect_match "$(output)" 'none\.yaml: .*there is no such file' "the message"
}

case_error_unknown_key() {
    write_client_config bad.yaml '{ ca-file: tls/ca.crt }' 'tun: { adress: [] }'
    expect_equal "$(exit_code_of "$penstock" client --config "$testbed_dir/bad.yaml")" 2 "the exit code"
    expect_match "$(output)" "bad\.yaml:[0-9]+:[0-9]+: unknown key 'adress' in 'tun'; did you mean 'addresses'" "the message"
}

case_error_usage() {
    expect_equal "$(exit_code_of "$penstock" client)" 64 "the exit code"
}
