# UDP of real programs through the tunnel. What sockets see is in sockets/datagrams.py.
# shellcheck shell=bash disable=SC2154

web_name_server_answers() { grep -q ready "$testbed_dir/web-dns.log"; }

end_web_name_server() {
    stop web-dns
    rm -rf "/etc/netns/$client_ns"
}

# A name server in the web's namespace, and nowhere else: questions and answers go through the tunnel.
start_web_name_server() {
    : >"$testbed_dir/web-dns.log"
    ip netns exec "$web_ns" python3 -B "$here/programs/dns.py" "$web_4" "$web_4" </dev/null >"$testbed_dir/web-dns.log" 2>&1 &
    remember web-dns $!
    wait_until 5 "the name server answers" web_name_server_answers
}

case_udp_dig() {
    trap end_web_name_server EXIT
    start_web_name_server
    expect_equal "$(in_client dig +short +tries=3 +time=2 "@$web_4" anything.test)" "$web_4" "the address"
}

# A page by name: curl asks the resolver, the resolver asks through the tunnel.
case_udp_page_by_name() {
    trap end_web_name_server EXIT
    start_web_name_server
    mkdir -p "/etc/netns/$client_ns"
    echo "nameserver $web_4
options timeout:2 attempts:3" >"/etc/netns/$client_ns/resolv.conf"
    fetch_page http://web.test/index.html
}

udp_iperf_listens() { [[ -n "$(in_web ss -H -t -l -n 'sport = :5201')" ]]; }

# iperf3 numbers its datagrams: at a gentle rate most of them arrive, up and down, and none out of order. How many get lost at
# a high rate depends on what else the machine does: scripts/measure tells.
case_udp_iperf() {
    local direction lost packets
    ip netns exec "$web_ns" iperf3 -s </dev/null >"$testbed_dir/udp-iperf.log" 2>&1 &
    remember udp-iperf $!
    trap 'stop udp-iperf' EXIT
    wait_until 5 "iperf3 listens" udp_iperf_listens
    for direction in "" -R; do
        # shellcheck disable=SC2086
        in_client iperf3 -J -u -b 5M -l 1200 -t 3 -c "$web_4" $direction >"$testbed_dir/udp-iperf.json"
        packets=$(jq '.end.sum.packets' "$testbed_dir/udp-iperf.json")
        lost=$(jq '.end.sum.lost_packets' "$testbed_dir/udp-iperf.json")
        echo "iperf3 ${direction:-up}: $lost of $packets datagrams lost"
        ((packets > 500)) || fail "only $packets datagrams were sent"
        expect_at_most $((lost * 2)) "$packets" "twice the lost datagrams"
        expect_equal "$(jq '.end.sum.out_of_order // 0' "$testbed_dir/udp-iperf.json")" 0 "datagrams out of order"
    done
}

# A client that stops takes its sockets at the server with it.
case_udp_sockets_end_with_the_client() {
    trap end_web_name_server EXIT
    start_web_name_server
    in_client dig +short +tries=3 +time=2 "@$web_4" one.test >/dev/null
    (($(statistics server associations_open) > 0)) || fail "the server knows of no association"
    stop client
    wait_until 5 "the server has no association" no_associations
}

no_associations() { [[ "$(statistics server associations_open)" == 0 ]]; }
