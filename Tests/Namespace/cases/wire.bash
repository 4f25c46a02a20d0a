# What can be seen between client and server.
# shellcheck shell=bash disable=SC2154

case_wire_shows_one_connection_and_no_text() {
    local marker="marker-$RANDOM-$RANDOM-$RANDOM" i
    echo "$marker" >"$testbed_dir/www/$marker"
    start_capture wire "$server_ns" clients
    start_capture beyond "$server_ns" web
    for ((i = 0; i < 10; i++)); do
        in_client curl -sS -f -o /dev/null --max-time 10 "http://$web_4/$marker"
        in_client curl -sS -f -o /dev/null --max-time 10 "http://[$web_6]/$marker"
    done
    stop_capture wire
    stop_capture beyond

    (($(occurrences "$marker" beyond) > 0)) || fail "the search finds nothing where the page is readable"
    expect_equal "$(occurrences "$marker" wire)" 0 "readable markers between client and server"
    expect_equal "$(occurrences "GET /" wire)" 0 "readable requests between client and server"

    # Both directions of one connection are one pair of endpoints.
    local pairs
    pairs=$(tcpdump -r "$testbed_dir/wire.pcap" -nn -q udp 2>/dev/null |
        sed -nE 's/^[^ ]+ IP6? ([^ ]+) > ([^ ]+): .*/\1 \2/p' |
        awk '{ print ($1 < $2) ? $1 " " $2 : $2 " " $1 }' | sort -u)
    expect_equal "$(wc -l <<<"$pairs")" 1 "UDP endpoint pairs ($pairs)"
    expect_equal "$(tcpdump -r "$testbed_dir/wire.pcap" -nn tcp 2>/dev/null | wc -l)" 0 "TCP packets on the wire"
}

case_wire_has_one_stream_for_each_flow() {
    local flows streams i
    flows=$(statistics client flows_opened)
    streams=$(statistics client streams_opened)
    for ((i = 0; i < 10; i++)); do in_client curl -sS -f -o /dev/null --max-time 10 "http://$web_4/index.html"; done
    expect_equal $(($(statistics client flows_opened) - flows)) 10 "flows opened"
    expect_equal $(($(statistics client streams_opened) - streams)) 10 "streams opened"
}
