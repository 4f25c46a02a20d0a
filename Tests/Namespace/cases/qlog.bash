# The record of a connection, packet by packet.
# shellcheck shell=bash disable=SC2154

case_qlog_of_both_sides_can_be_read() {
    stop client
    stop server
    rm -rf "$testbed_dir/qlog"
    mkdir "$testbed_dir/qlog"
    ip netns exec "$server_ns" "${default_signals[@]}" "$penstock" server --config "$testbed_dir/server.yaml" \
        --qlog "$testbed_dir/qlog" </dev/null >>"$testbed_dir/server.log" 2>&1 &
    remember server $!
    wait_until 10 "the server listens" server_listens
    ip netns exec "$client_ns" "${default_signals[@]}" "$penstock" client --config "$testbed_dir/client.yaml" \
        --qlog "$testbed_dir/qlog" </dev/null >>"$testbed_dir/client.log" 2>&1 &
    remember client $!
    wait_for_tunnel
    stop client
    stop server
    expect_equal "$(find "$testbed_dir/qlog" -name '*.sqlog' | wc -l)" 2 "files"
    python3 -B - "$testbed_dir"/qlog/*.sqlog <<'END'
import json, sys
for name in sys.argv[1:]:
    records = [json.loads(record) for record in open(name, "rb").read().split(b"\x1e") if record.strip()]
    assert records[0]["qlog_format"] == "JSON-SEQ", name
    events = {record["name"] for record in records[1:]}
    assert {"transport:packet_sent", "transport:packet_received"} <= events, (name, events)
END
}

# A folder that is not there is a warning; the tunnel works all the same.
case_qlog_that_cannot_be_written_is_a_warning() {
    stop client
    ip netns exec "$client_ns" "${default_signals[@]}" "$penstock" client --config "$testbed_dir/client.yaml" \
        --qlog "$testbed_dir/no-such-folder" </dev/null >>"$testbed_dir/client.log" 2>&1 &
    remember client $!
    wait_for_tunnel
    grep -q 'no qlog of this connection' "$testbed_dir/client.log" || fail "nothing was said"
    stop client
}
