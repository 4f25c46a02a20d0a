# Which packets go into the tunnel.
# shellcheck shell=bash disable=SC2154

case_routes_capture_everything_but_the_servers_packets() {
    expect_match "$(ip -n "$client_ns" route get 198.51.100.7)" 'dev penstock0' "a captured destination"
    expect_match "$(ip -n "$client_ns" -6 route get 2001:db8:ffff::7)" 'dev penstock0' "a captured IPv6 destination"
    expect_match "$(ip -n "$client_ns" route get "$server_4" mark 20563)" 'dev uplink' "a marked packet to the server"
    expect_equal "$(ip -n "$client_ns" route show "$server_4/32" table all)" "" "host routes to the server"
}

case_routes_leave_out_what_is_excluded() {
    # What is left out takes the main table, so that table gets a way for it here.
    ip -n "$client_ns" route replace 203.0.113.0/25 via "$server_4" dev uplink
    stop client
    write_client_config client.yaml "{ ca-file: tls/ca.crt }" "routes: { exclude: [203.0.113.0/25] }"
    start_client
    wait_until 15 "IPv6 goes through the tunnel" in_client curl -s -f --max-time 2 "http://[$web_6]/index.html"
    local left_out beside
    left_out=$(ip -n "$client_ns" route get "$web_4")
    beside=$(ip -n "$client_ns" route get 203.0.113.129)
    stop client
    ip -n "$client_ns" route del 203.0.113.0/25
    expect_match "$left_out" 'dev uplink' "an excluded destination"
    expect_match "$beside" 'dev penstock0' "a destination beside the excluded ones"
}
