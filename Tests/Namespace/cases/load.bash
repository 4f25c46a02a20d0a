# The load harness: the target in the web's namespace, load from the others, for seconds.
# shellcheck shell=bash disable=SC2154

load_port=7400

start_target() {
    is_running target && return 0
    ip netns exec "$web_ns" "${default_signals[@]}" "$penstock" load serve --listen "[::]:$load_port" \
        </dev/null >>"$testbed_dir/target.log" 2>&1 &
    remember target $!
    wait_until 10 "the target listens on TCP port $load_port" target_listens || {
        tail -n 5 "$testbed_dir/target.log" >&2
        return 1
    }
}

target_listens() { [[ -n "$(in_web ss -H -t -l -n "sport = :$load_port")" ]]; }

# load IN NAME ARGUMENTS...: load from a namespace, for two seconds; the result is $testbed_dir/NAME.json.
load() {
    local in=$1 name=$2
    shift 2
    "$in" timeout 60 "$penstock" load run --target "$web_4:$load_port" --json "$testbed_dir/$name.json" "$@"
}

# load_holds NAME EXPRESSION: what jq says of the result.
load_holds() {
    jq -e "$2" "$testbed_dir/$1.json" >/dev/null || {
        echo "the result $1 does not hold: $2" >&2
        jq 'del(.workloads[].series, .workloads[].latency.distribution?, .workloads[].connectLatency.distribution?)' \
            "$testbed_dir/$1.json" >&2
        return 1
    }
}

# Every byte right, every flow ended as it should, and something was done.
all_good='all(.workloads[]; .wrongBytes == 0 and .failures == {} and .operations > 0
    and .flows.begun == .flows.completed and .flows.failed == 0)'

# load_each IN WAY ARGUMENTS...: every workload of streams, one after the other.
load_each() {
    local in=$1 way=$2 workload
    shift 2
    for workload in bulk-up bulk-down bulk-both requests churn; do
        load "$in" "$way-$workload" --workload "$workload" --duration 2s "$@"
        load_holds "$way-$workload" "$all_good"
        load_holds "$way-$workload" '.workloads[0].seconds < 8'
    done
    for workload in bulk-up bulk-both; do load_holds "$way-$workload" '.workloads[0].bytesSent > 10000000'; done
    for workload in bulk-down bulk-both; do load_holds "$way-$workload" '.workloads[0].bytesReceived > 10000000'; done
    for workload in requests churn; do
        load_holds "$way-$workload" '.workloads[0].latency | .p50 > 0 and .p50 <= .p99 and .p99 <= .maximum'
    done
    load "$in" "$way-rate" --workload requests --rate 200 --duration 2s "$@"
    load_holds "$way-rate" "$all_good"
    load_holds "$way-rate" '.workloads[0].operations == 400'
    load "$in" "$way-idle" --workload idle --flows 1000 --touch 500ms --duration 2s "$@"
    load_holds "$way-idle" "$all_good"
    load_holds "$way-idle" '.workloads[0].flows.peak == 1000'
}

case_load_quic() {
    start_target
    load_each in_client quic --via quic --config "$testbed_dir/client.yaml" --watch "server=$(pid_of server)"
    load_holds quic-bulk-down '.via == "quic" and .connections == 1'
    load_holds quic-bulk-down '[.processes[].name] == ["load", "server"] and all(.processes[]; .cpuSeconds > 0 and .residentPeak > 1000000)'
}

case_load_quic_datagrams() {
    local way=(--via quic --config "$testbed_dir/client.yaml" --workload udp --duration 2s)
    start_target
    load in_client quic-udp "${way[@]}" --rate 2000 --flows 4
    load_holds quic-udp "$all_good"
    load_holds quic-udp '.workloads[0].datagrams | .sent == 4000 and .lost < 40 and .duplicated == 0'
    load in_client quic-udp-sink "${way[@]}" --rate 2000 --echo false
    load_holds quic-udp-sink '.workloads[0].datagrams | .sent == 4000 and .received > 3900'
    # Larger than a packet there and back: the target's answers leave in fragments.
    load in_client quic-udp-large "${way[@]}" --rate 100 --size 8000B
    load_holds quic-udp-large "$all_good"
    load_holds quic-udp-large '.workloads[0].datagrams | .sent == 200 and .received == 200'
}

# Nobody answers at the first of the server's addresses: all links go on to the second.
case_load_quic_second_address() {
    trap 'rm -rf "/etc/netns/$client_ns"' EXIT
    start_target
    mkdir -p "/etc/netns/$client_ns"
    printf '%s two.test\n' 2001:db8:1::99 "$server_4" >"/etc/netns/$client_ns/hosts"
    sed 's/^server: .*/server: "two.test:4433"/' "$testbed_dir/client.yaml" >"$testbed_dir/two.yaml"
    load in_client two --via quic --config "$testbed_dir/two.yaml" --connections 3 --workload churn --rate 50 --duration 1s
    load_holds two "$all_good"
    load_holds two '.connections == 3 and .workloads[0].operations == 50'
}

# The programs of an ordinary application: through the TUN.
case_load_tun() {
    local before after
    start_target
    before=$(statistics client flows_opened)
    load_each in_client tun --via tcp --watch "client=$(pid_of client)"
    after=$(statistics client flows_opened)
    ((after - before >= 1000)) || fail "only $((after - before)) flows went through the tunnel"
}

case_load_direct() {
    start_target
    load_each in_server direct --via tcp
    load in_server direct-udp --workload udp --rate 2000 --flows 2 --duration 2s
    load_holds direct-udp "$all_good"
    load_holds direct-udp '.workloads[0].datagrams | .sent == 4000 and .lost < 40 and .duplicated == 0'
    load in_server direct-udp-sink --workload udp --rate 2000 --echo false --duration 2s
    load_holds direct-udp-sink '.workloads[0].datagrams | .sent == 4000 and .received > 3900'
}

case_load_socks5() {
    start_target
    ip netns exec "$server_ns" python3 -B "$here/programs/socks.py" 1080 </dev/null >"$testbed_dir/socks.log" 2>&1 &
    remember socks $!
    wait_until 10 "the proxy listens" proxy_listens
    load in_server socks --via socks5://127.0.0.1:1080 --workload churn --rate 50 --duration 2s
    load_holds socks "$all_good"
    load_holds socks '.workloads[0].operations == 100 and .via == "socks5://127.0.0.1:1080"'
    # A port where nobody listens: the proxy's reply is told as what it says.
    expect_equal "$(exit_code_of in_server timeout 60 "$penstock" load run --target "$web_4:9000" \
        --via socks5://127.0.0.1:1080 --workload churn --rate 10 --duration 1s \
        --json "$testbed_dir/socks-refused.json")" 1 "the exit code behind a proxy when flows failed"
    load_holds socks-refused '.workloads[0].failures == { refused: 10 }'
    stop socks
}

proxy_listens() { [[ -n "$(in_server ss -H -t -l -n 'sport = :1080')" ]]; }

# Several workloads at once from a file; the page; ratios; Ctrl-C; exit codes.
case_load_scenario() {
    start_target
    cat >"$testbed_dir/scenario.yaml" <<END
duration: 2s
workloads:
  - { name: download, workload: bulk-down, flows: 2, start: 500ms }
  - { name: pages, workload: requests, rate: 100, response-size: 16KiB }
  - { name: sleepers, workload: idle, flows: 100, touch: 1s }
END
    load in_client mixed --via quic --config "$testbed_dir/client.yaml" --connections 2 \
        --scenario "$testbed_dir/scenario.yaml" --report "$testbed_dir/mixed.html"
    load_holds mixed "$all_good"
    load_holds mixed '[.workloads[].name] == ["download", "pages", "sleepers"] and .connections == 2'
    grep -q '</html>' "$testbed_dir/mixed.html"
    expect_equal "$(grep -cE '<script|https?://' "$testbed_dir/mixed.html")" 0 "lines that need something from elsewhere"
    load in_client mixed-tun --scenario "$testbed_dir/scenario.yaml"
    "$penstock" load compare "$testbed_dir/mixed.json" "$testbed_dir/mixed-tun.json" >"$testbed_dir/compare.txt"
    grep -q 'via: quic and tcp' "$testbed_dir/compare.txt"
    grep -qE 'down .* [0-9.]+×$' "$testbed_dir/compare.txt"
    expect_equal "$(exit_code_of "$penstock" load compare "$testbed_dir/mixed.json" "$testbed_dir/scenario.yaml")" 2 \
        "the exit code for a file that is no result"
    expect_match "$(output)" 'is no result of penstock load' "the message"
}

# Ten thousand flows at once on one connection. All must still answer at the end.
case_load_ten_thousand_idle_flows() {
    start_target
    stop server
    write_server_config "limits: { flows-per-connection: 11000 }"
    start_server
    load in_client many --via quic --config "$testbed_dir/client.yaml" --workload idle --flows 10000 --duration 6s \
        --watch "server=$(pid_of server)"
    load_holds many "$all_good"
    load_holds many '.workloads[0].flows.peak == 10000'
    # Others want it as it is usually configured.
    stop server
}

case_load_ends_early_with_results() {
    start_target
    ip netns exec "$client_ns" "${default_signals[@]}" "$penstock" load run --target "$web_4:$load_port" \
        --workload bulk-up --duration 100s --json "$testbed_dir/early.json" </dev/null >"$testbed_dir/early.log" 2>&1 &
    remember load $!
    sleep 1
    stop load INT
    load_holds early "$all_good"
    load_holds early '.interrupted and .seconds < 20'
}

case_load_failures_have_an_exit_code() {
    start_target
    local run=(in_client timeout 60 "$penstock" load run)
    local quic=(--via quic --config "$testbed_dir/client.yaml")
    expect_equal "$(exit_code_of "${run[@]}" "${quic[@]}" --target "$web_4:9000" --workload churn --rate 10 \
        --duration 1s --json "$testbed_dir/refused.json")" 1 "the exit code when flows failed"
    load_holds refused '.workloads[0].failures == { refused: 10 }'
    expect_equal "$(exit_code_of "${run[@]}" "${quic[@]}" --target "$web_4:$load_port" --workload idle --flows 5000 \
        --duration 1s)" 1 "the exit code when the server does not allow so many flows"
    expect_match "$(output)" \
        'the server allows 4096 a connection; raise its limits.flows-per-connection, or give --connections 2' "the message"
    expect_equal "$(exit_code_of "${run[@]}" --target "$web_4:$load_port" --workload bulk-up --rate 3)" 2 \
        "the exit code for a workload that cannot be"
}
