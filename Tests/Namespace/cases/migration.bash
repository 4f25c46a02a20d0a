# The network below the client changes while bytes flow: the connection goes on.
# shellcheck shell=bash disable=SC2154

movie=$((48 << 20))

make_movie() {
    [[ -e "$testbed_dir/www/movie" ]] && return 0
    head -c "$movie" /dev/zero |
        openssl enc -aes-128-ctr -K 0f0e0d0c0b0a09080706050403020100 -iv 00000000000000000000000000000000 \
            >"$testbed_dir/www/movie"
}

# A second way from the client to the server, by which packets go when there is no other.
make_second_uplink() {
    testbed_link "$client_ns" uplink2 192.0.4.1 2001:db8:4::1 "$server_ns" clients2 192.0.4.2 2001:db8:4::2
    ip -n "$client_ns" route add 192.0.2.0/24 via 192.0.4.2 dev uplink2 metric 500
    ip -n "$client_ns" -6 route add 2001:db8:1::/64 via 2001:db8:4::2 dev uplink2 metric 5000
}

restore_first_uplink() {
    ip -n "$client_ns" link del uplink2 2>/dev/null || true
    ip -n "$client_ns" link set uplink up
    ip -n "$client_ns" address replace 192.0.2.1/24 dev uplink
    ip -n "$client_ns" address replace 2001:db8:1::1/64 dev uplink nodad
}

# expect_transfers_through COMMAND...: a download and an upload, in the midst of which the command runs.
expect_transfers_through() {
    local before down up
    before=$(statistics client connects)
    in_client curl -sS -f --max-time 100 --limit-rate 12M -o "$testbed_dir/movie.down" "http://$web_4/movie" &
    down=$!
    in_client curl -sS -f --max-time 100 --limit-rate 12M -T "$testbed_dir/www/movie" "http://$web_4/uploads/movie" &
    up=$!
    sleep 1.5
    kill -0 "$down" "$up" || fail "the transfers were over before anything happened"
    "$@"
    wait "$down" || fail "the download failed"
    wait "$up" || fail "the upload failed"
    cmp "$testbed_dir/www/movie" "$testbed_dir/movie.down"
    cmp "$testbed_dir/www/movie" "$testbed_dir/uploads/movie"
    rm -f "$testbed_dir/movie.down" "$testbed_dir/uploads/movie"
    expect_equal "$(statistics client connects)" "$before" "connections made by the client"
}

has_moved_times() { (($(grep -c ' moved ' "$testbed_dir/client.log") >= $1)); }
moves() { grep -c ' moved ' "$testbed_dir/client.log" || true; }

lose_first_address() { ip -n "$client_ns" address del 192.0.2.1/24 dev uplink; }
lose_first_interface() { ip -n "$client_ns" link set uplink down; }

# Transfers go on while the client loses its way, and it moves once.
expect_one_move() {
    make_movie
    make_second_uplink
    local before
    before=$(moves)
    expect_transfers_through "$1"
    expect_equal "$(moves)" $((before + 1)) "moves"
}

case_migration_when_the_address_is_lost() {
    trap restore_first_uplink EXIT
    expect_one_move lose_first_address
    # And back again.
    local before
    before=$(moves)
    ip -n "$client_ns" address replace 192.0.2.1/24 dev uplink
    wait_until 5 "the client has moved back" has_moved_times $((before + 1))
    tunnel_works
}

case_migration_when_the_interface_goes_down() {
    trap restore_first_uplink EXIT
    # Another connection than that of the case before: a server follows one change at a time.
    stop client
    start_client
    wait_for_tunnel
    expect_one_move lose_first_interface
}

end_ipv6() {
    stop client
    restore_first_uplink
}

case_migration_over_ipv6() {
    trap end_ipv6 EXIT
    stop client
    sed -i 's/^server: .*/server: "[2001:db8:1::2]:4433"/' "$testbed_dir/client.yaml"
    start_client
    wait_for_tunnel
    expect_one_move lose_first_interface
}

# Without any way for a while, flows wait for one.
interrupt_network() {
    ip -n "$client_ns" link set uplink down
    sleep 1.5
    ip -n "$client_ns" link set uplink up
}

case_migration_not_needed_when_the_same_network_comes_back() {
    trap restore_first_uplink EXIT
    make_movie
    expect_transfers_through interrupt_network
}

# A router with NAT between client and server.
router_ns="$testbed_id-router"

make_router() {
    ip netns add "$router_ns"
    ip -n "$router_ns" link set lo up
    testbed_link "$client_ns" uplink2 192.0.4.1 2001:db8:4::1 "$router_ns" inside 192.0.4.2 2001:db8:4::2
    testbed_link "$router_ns" outside 192.0.5.1 2001:db8:5::1 "$server_ns" clients2 192.0.5.2 2001:db8:5::2
    ip netns exec "$router_ns" sysctl -q -w net.ipv4.ip_forward=1
    ip netns exec "$router_ns" nft -f - <<'END'
table ip nat {
    chain outwards {
        type nat hook postrouting priority 100;
        oifname "outside" ip protocol udp masquerade to :20000-60000 random
    }
}
END
    ip -n "$router_ns" route add 192.0.2.0/24 via 192.0.5.2
    ip -n "$client_ns" route add "$server_4/32" via 192.0.4.2 dev uplink2
}

connect_through_router() {
    make_movie
    stop client
    make_router
    start_client
    wait_for_tunnel
}

end_router() {
    stop client
    ip -n "$client_ns" link del uplink2 2>/dev/null || true
    ip netns del "$router_ns" 2>/dev/null || true
}

# The kernel forgets all masqueraded connections of an address that goes, and gives new ports to what comes next.
rebind() {
    ip -n "$router_ns" address del 192.0.5.1/24 dev outside
    ip -n "$router_ns" address add 192.0.5.1/24 dev outside
    ip -n "$router_ns" route replace 192.0.2.0/24 via 192.0.5.2
}

case_migration_by_a_nat_that_rebinds() {
    trap end_router EXIT
    connect_through_router
    local before
    before=$(statistics server migrations)
    expect_transfers_through rebind
    (($(statistics server migrations) > before)) || fail "the server has seen no other address"
}

shrink_path() {
    ip -n "$router_ns" link set outside mtu 1300
    ip -n "$router_ns" link set inside mtu 1300
}

# Another route behind the same address, which carries less: both sides notice that only small packets arrive.
case_migration_not_needed_when_the_path_shrinks() {
    trap end_router EXIT
    connect_through_router
    local before
    before=$(statistics server black_holes)
    expect_transfers_through shrink_path
    expect_equal "$(statistics client black_holes)" 1 "black holes that the client has noticed"
    (($(statistics server black_holes) == before + 1)) || fail "the server has noticed none"
}
