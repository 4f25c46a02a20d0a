# Starting, stopping, losing the server and finding it again.
# shellcheck shell=bash disable=SC2154

# Nothing of the client is left in its namespace.
expect_no_traces() {
    expect_equal "$(ip -n "$client_ns" -o link show type tun)" "" "TUN devices"
    expect_equal "$(ip -n "$client_ns" route show table 20563 2>/dev/null)" "" "IPv4 routes"
    expect_equal "$(ip -n "$client_ns" -6 route show table 20563 2>/dev/null)" "" "IPv6 routes"
    expect_equal "$(ip -n "$client_ns" rule show | grep -vcE '^(0|32766|32767):')" 0 "IPv4 rules"
    expect_equal "$(ip -n "$client_ns" -6 rule show | grep -vcE '^(0|32766|32767):')" 0 "IPv6 rules"
}

# exit_code_after SIGNAL NAME: of a program that this shell has started itself.
exit_code_after() {
    local status=0
    stop "$2" "$1"
    wait "$(pid_of "$2")" || status=$?
    echo "$status"
}

# Starts the client anew as a child of this shell, signals it and prints its exit code.
client_exit_code_after() {
    stop client
    start_client
    wait_for_tunnel
    exit_code_after "$1" client
}

case_client_stops_cleanly_on_sigterm() {
    expect_equal "$(client_exit_code_after TERM)" 0 "the exit code"
    expect_no_traces
}

case_client_stops_cleanly_on_sigint() {
    expect_equal "$(client_exit_code_after INT)" 0 "the exit code"
    expect_no_traces
}

case_client_starts_again_after_sigkill() {
    stop client KILL
    start_client
    wait_for_tunnel
    stop client
    expect_no_traces
}

case_client_finds_a_killed_server_again() {
    stop server KILL
    start_server
    wait_for_tunnel 20
}

case_client_outlives_a_server_that_is_away() {
    stop server KILL
    sleep 8
    is_running client || fail "the client gave up"
    tun_is_up || fail "the client dropped its routes while the server was away: packets would leak"
    start_server
    wait_for_tunnel 20
}

case_server_stops_cleanly_on_sigterm() {
    stop server
    expect_equal "$(start_server && wait_for_tunnel 20 && exit_code_after TERM server)" 0 "the exit code"
    start_server
    wait_for_tunnel 20
}

case_client_may_start_before_the_server() {
    stop client
    stop server
    start_client
    sleep 1
    start_server
    wait_for_tunnel 20
}
