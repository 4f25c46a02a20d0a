# Who may come in, and what keys do while pages go through the tunnel.
# shellcheck shell=bash disable=SC2154

case_login_of_an_unknown_key_is_refused() {
    write_client_config bad.yaml
    rm -f "$testbed_dir/stranger.key"
    "$penstock" keygen --output "$testbed_dir/stranger.key" >/dev/null
    sed -i 's/^key-file: .*/key-file: stranger.key/' "$testbed_dir/bad.yaml"
    local before
    before=$(statistics server logins_refused)
    expect_client_says 'the server does not know this client' 10
    wait_until 5 "the server logs the refusal" \
        grep -q 'login refused .*reason=wrong-credentials' "$testbed_dir/server.log"
    expect_at_most "$(($(statistics server logins_refused) - before))" 1 "logins of a client that should wait"
}

# A client without a key of its own makes one for each run; nobody knows that one.
case_login_without_a_key_is_refused() {
    write_client_config bad.yaml
    sed -i '/^key-file: /d' "$testbed_dir/bad.yaml"
    expect_client_says 'the server does not know this client' 10
}

case_login_with_a_cipher_that_the_server_does_not_take() {
    stop client
    stop server
    write_server_config 'ciphers: [aes-256-gcm]'
    start_server
    write_client_config bad.yaml '{ ca-file: tls/ca.crt }' 'cipher: chacha20-poly1305'
    expect_client_says 'does not take this cipher' 10
    stop server
}

case_login_with_either_cipher() {
    local cipher
    for cipher in aes-256-gcm chacha20-poly1305; do
        stop client
        write_client_config client.yaml '' "cipher: $cipher"
        start_client
        wait_for_tunnel
    done
    stop client
}

# Keys are made anew while one download goes on: after every MiB, and not more often than every two seconds.
case_rekey_in_the_midst_of_a_download() {
    stop client
    write_client_config client.yaml '' 'rekey: { bytes: 1MiB }'
    start_client
    wait_for_tunnel
    head -c 30000000 /dev/urandom >"$testbed_dir/www/rekey.bin"
    local before expected found
    before=$(statistics client rekeys)
    expected=$(sha256sum <"$testbed_dir/www/rekey.bin")
    found=$(in_client curl -s -f --max-time 40 --limit-rate 4M "http://$web_4/rekey.bin" | sha256sum)
    rm -f "$testbed_dir/www/rekey.bin"
    expect_equal "$found" "$expected" "what was downloaded"
    (($(statistics client rekeys) >= before + 2)) || fail "the keys were made anew $(($(statistics client rekeys) - before)) times"
    expect_equal "$(statistics client sealing_failures)" 0 "sealing failures of the client"
    expect_equal "$(statistics server sealing_failures)" 0 "sealing failures of the server"
    expect_equal "$(statistics client connects)" 1 "connections"
    stop client
}

# Neither key nor password is in what others can see.
case_secrets_are_not_shown() {
    wait_for_tunnel
    local secret
    for secret in "$(cat "$testbed_dir/tunnel.key")" "$(cat "$testbed_dir/client.key")"; do
        if cat "/proc/$(pid_of client)/cmdline" "/proc/$(pid_of client)/environ" | tr "\0" "\n" | grep -q -F -- "$secret"; then
            fail "a private key is in the client's arguments or environment"
        fi
        if grep -q -F -- "$secret" "$testbed_dir/client.log" "$testbed_dir/server.log"; then
            fail "a private key is in a log"
        fi
    done
}
