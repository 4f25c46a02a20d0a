# SIGHUP: settings that change under running flows.
# shellcheck shell=bash disable=SC2154

# has_said NAME PATTERN COUNT: more than so many lines of this log match.
has_said() { (($(grep -cE "$2" "$testbed_dir/$1.log") > $3)); }
count_of() { grep -cE "$2" "$testbed_dir/$1.log" || true; }

# reload NAME PATTERN: sends SIGHUP and waits for a new line that matches.
reload() {
    local before
    before=$(count_of "$1" "$2")
    kill -HUP "$(pid_of "$1")"
    wait_until 5 "the $1 says $2" has_said "$1" "$2" "$before"
}

# A download that takes a while: started before the change, whole after it.
start_slow_download() {
    in_client curl -s -f --limit-rate 2M --max-time 60 -o "$testbed_dir/slow.out" "http://$web_4/slow.bin" &
    slow=$!
}

expect_slow_download_is_whole() {
    # Otherwise it would prove nothing.
    kill -0 "$slow" 2>/dev/null || fail "the download had ended before the changes were made"
    wait "$slow" || fail "the download that ran meanwhile has failed"
    expect_equal "$(sha256sum <"$testbed_dir/slow.out")" "$(sha256sum <"$testbed_dir/www/slow.bin")" "the bytes downloaded"
}

case_reload_server_without_dropping_a_flow() {
    head -c 16000000 /dev/urandom >"$testbed_dir/www/slow.bin"
    start_slow_download
    sleep 0.5
    write_server_config 'dial: { deny: [203.0.113.0/24] }
drain-time: 9s
loops: 1'
    reload server 'configuration reloaded'
    has_said server 'setting changed setting="dial.deny: \[\] -> \[203.0.113.0/24\]"' 0 || fail "the change is not in the log"
    has_said server 'needs a restart setting="loops: ' 0 || fail "what needs a restart is not in the log"
    ! tunnel_works || fail "a new flow went where the new policy forbids"
    # A broken file is refused whole: neither its good nor its bad part holds.
    write_server_config 'dial: { deny: [] }
drain-time: soon'
    reload server 'the configuration was not reloaded'
    has_said server 'server.yaml:[0-9]+:[0-9]+: .drain-time. is .soon.' 0 || fail "the error does not name its line"
    ! tunnel_works || fail "a part of a broken file was taken over"
    write_server_config
    reload server 'configuration reloaded'
    tunnel_works || fail "the former policy does not hold again"
    expect_slow_download_is_whole
}

case_reload_certificate_for_new_connections() {
    local before
    rm -rf "$testbed_dir/pki"
    "$penstock" pki init --folder "$testbed_dir/pki"
    "$penstock" pki server server.test --folder "$testbed_dir/pki" --output "$testbed_dir/pki/new"
    write_server_config
    sed -i 's|tls/server|pki/new|' "$testbed_dir/server.yaml"
    reload server 'configuration reloaded'
    tunnel_works || fail "the connection ended with the change of the certificate"
    before=$(count_of client 'not issued by the authority')
    stop client
    start_client
    wait_until 10 "the client sees the new certificate" has_said client 'not issued by the authority' "$before"
    # A key that does not belong to the certificate is refused, too.
    sed -i 's|pki/new.crt|tls/server.crt|' "$testbed_dir/server.yaml"
    reload server "server.yaml:[0-9]+:[0-9]+: 'private-key-file' .*does not belong .*; name the two files"
    write_server_config
    reload server 'configuration reloaded'
    wait_for_tunnel
}

# A client that is taken out of the list goes at once, and comes in again when it is back.
case_reload_clients() {
    local before
    wait_for_tunnel
    write_server_config
    sed -i 's/^clients: .*/clients: []/' "$testbed_dir/server.yaml"
    before=$(count_of client 'the server does not know this client')
    reload server 'configuration reloaded'
    has_said server 'setting changed setting="clients\[1\].name: client -> \(none\)"' 0 || fail "the change is not in the log"
    wait_until 10 "the client is sent away" has_said client 'the server does not know this client' "$before"
    ! tunnel_works || fail "pages came through for a client that is not in the list"
    write_server_config
    reload server 'configuration reloaded'
    # It would wait long before it asks again.
    stop client
    start_client
    wait_for_tunnel
}

case_reload_client_routes_and_log_level() {
    head -c 16000000 /dev/urandom >"$testbed_dir/www/slow.bin"
    start_slow_download
    sleep 0.5
    write_client_config client.yaml '' 'routes: { capture: ["0.0.0.0/0"], exclude: [198.51.100.0/24] }
tun: { mtu: 1400 }'
    reload client 'configuration reloaded'
    has_said client 'needs a restart setting="tun.mtu: 1500 -> 1400"' 0 || fail "what needs a restart is not in the log"
    expect_match "$(ip -n "$client_ns" route show table 20563)" 'throw 198.51.100.0/24' "the routes"
    expect_equal "$(ip -n "$client_ns" -6 route show table 20563)" "" "the IPv6 routes"
    expect_equal "$(ip -n "$client_ns" -6 rule | grep -c 20563 || true)" 0 "the IPv6 rules"
    tunnel_works || fail "IPv4 does not go through any more"
    sed -i 's/^routes: .*//; s/level: debug/level: error/' "$testbed_dir/client.yaml"
    kill -HUP "$(pid_of client)"
    wait_until 5 "IPv6 is captured again" ipv6_is_captured
    expect_equal "$(ip -n "$client_ns" route show table 20563 | grep -c throw || true)" 0 "routes that are thrown back"
    local before
    before=$(count_of client ' info ')
    kill -USR1 "$(pid_of client)"
    sleep 0.5
    expect_equal "$(count_of client ' info ')" "$before" "lines of the level info after it was raised to error"
    expect_slow_download_is_whole
    write_client_config client.yaml
    kill -HUP "$(pid_of client)"
    stop client
}

ipv6_is_captured() {
    [[ -n "$(ip -n "$client_ns" -6 route show table 20563)" ]] && ip -n "$client_ns" -6 rule | grep -q 20563
}
