# A server with several loops on one port.
# shellcheck shell=bash disable=SC2154

restore_loops() {
    stop server
    write_server_config
    start_server
    wait_for_tunnel
}

server_threads() { cat "/proc/$(pid_of server)"/task/*/comm | grep -c '^penstock-'; }

# Twelve connections, each at the loop that its first packet named by chance: all are served, none is lost between them.
case_loops_share_a_port() {
    trap restore_loops EXIT
    start_target
    stop server
    write_server_config 'loops: 3'
    start_server
    expect_equal "$(in_server ss -H -u -l -n 'sport = :4433' | wc -l)" 3 "sockets of the port"
    expect_equal "$(server_threads)" 2 "threads beside the first"
    wait_for_tunnel
    local before
    before=$(statistics server connections_accepted)
    load in_client loops --via quic --config "$testbed_dir/client.yaml" --connections 12 --workload churn --flows 24 \
        --duration 2s
    load_holds loops "$all_good"
    load_holds loops '.connections == 12'
    expect_equal "$(statistics server connections_accepted)" $((before + 12)) "connections of all loops together"
    expect_equal "$(statistics server flows_open)" 0 "flows left"
    # SIGTERM ends all of them.
    stop server
    tail -n 1 "$testbed_dir/server.log" | grep -q 'info server: stopped' || fail "the server did not end in order"
}

# A client that comes from another address still reaches its loop: of eight, chance alone would lose it seven times of eight.
case_loops_follow_a_client_that_moves() {
    trap 'restore_first_uplink; restore_loops' EXIT
    stop server
    write_server_config 'loops: 8'
    start_server
    stop client
    start_client
    wait_for_tunnel
    expect_one_move lose_first_address
}
