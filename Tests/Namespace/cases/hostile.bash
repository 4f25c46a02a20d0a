# What a client must not get away with: replayed and tampered handshakes, flows and datagrams, each against the real server
# by Tests/HostileClient. Beside each of them an honest flow goes on.
# shellcheck shell=bash disable=SC2154

# What the server counts of what it refuses.
hostile_counters=(authentication_failures sealing_failures datagrams_unsealable datagrams_replayed
    datagrams_without_association)

recorder_is_ready() { grep -q ready "$testbed_dir/recorder.log"; }

start_recorder() {
    mkdir -p "$testbed_dir/recorded"
    : >"$testbed_dir/recorder.log"
    ip netns exec "$web_ns" python3 -B "$here/programs/recorder.py" "$web_4" 7007 "$testbed_dir/recorded" </dev/null >"$testbed_dir/recorder.log" 2>&1 &
    remember recorder $!
    wait_until 5 "the recorder listens" recorder_is_ready
}

end_recorder() {
    stop recorder
    rm -rf "$testbed_dir/recorded"
}

# The counters, in their order, after asking for them.
refusals() {
    local counter line
    statistics server connections_open >/dev/null
    line=$(grep ' server: statistics ' "$testbed_dir/server.log" | tail -n 1)
    for counter in "${hostile_counters[@]}"; do grep -oE "(^| )$counter=[0-9]+" <<<"$line" | cut -d= -f2; done
}

# expect_only_good FILE COUNT: what arrived is so many good lines, and not a byte else.
expect_only_good() {
    if grep -qvxF good "$testbed_dir/recorded/$1"; then fail "by $1 arrived what should not have opened"; fi
    expect_equal "$(wc -c <"$testbed_dir/recorded/$1")" $(($2 * 5)) "bytes that arrived by $1"
}

# attack NAME COUNTER [OPTION...]
attack() {
    local name=$1 counter=$2 report before after index expected
    shift 2
    : >"$testbed_dir/recorded/tcp"
    : >"$testbed_dir/recorded/udp"
    mapfile -t before < <(refusals)
    report=$(in_client "$hostile" --server "$server_4:4433" --server-name server.test --ca "$testbed_dir/tls/ca.crt" \
        --server-key "$(cat "$testbed_dir/tunnel.pub")" --key-file "$testbed_dir/client.key" \
        --destination "$web_4:7007" "$@" "$name") || fail "${report:-$name: no report}"
    echo "$report"
    mapfile -t after < <(refusals)
    for index in "${!hostile_counters[@]}"; do
        expected=0
        [[ "${hostile_counters[index]}" != "$counter" ]] || expected=1
        expect_equal $((after[index] - before[index])) "$expected" "$name: ${hostile_counters[index]}"
    done
    [[ "$report" =~ lines=([0-9]+)\ datagrams=([0-9]+) ]]
    expect_only_good tcp "${BASH_REMATCH[1]}"
    expect_only_good udp "${BASH_REMATCH[2]}"
}

# hostile_attacks PREFIX: those of one kind, with either cipher in turn.
hostile_attacks() {
    local name counter count=0 ciphers=(aes-256-gcm chacha20-poly1305)
    [[ -x "$hostile" ]] || fail "there is no $hostile; run: swift build -c release --product hostile-client"
    # It would take the attacker's packets into its tunnel.
    stop client
    trap end_recorder EXIT
    start_recorder
    while read -r name counter; do
        [[ "$name" =~ ^($1)- ]] || continue
        attack "$name" "$counter" --cipher "${ciphers[count++ % 2]}"
    done < <("$hostile" --list)
    ((count >= $2)) || fail "only $count attacks were made"
}

case_hostile_handshakes_are_refused() { hostile_attacks 'handshake|rekey|login|control' 18; }
case_hostile_flows_are_refused() { hostile_attacks flow 24; }
case_hostile_datagrams_are_refused() { hostile_attacks datagram 12; }

# The other way about: a server that has every key sends what the real client must not believe.

hostile_is_ready() { grep -q ready "$testbed_dir/hostile.log"; }

# start_hostile WHAT PORT [OPTION...]: serve or relay, at the server's address and with its certificate.
start_hostile() {
    local what=$1 port=$2
    shift 2
    [[ -x "$hostile" ]] || fail "there is no $hostile; run: swift build -c release --product hostile-client" || return 1
    : >"$testbed_dir/hostile.log"
    ip netns exec "$server_ns" "$hostile" "$what" --listen "[::]:$port" --certificate "$testbed_dir/tls/server.crt" \
        --private-key "$testbed_dir/tls/server.key" "$@" </dev/null >"$testbed_dir/hostile.log" 2>&1 &
    remember hostile $!
    wait_until 5 "the hostile server listens" hostile_is_ready
}

# The client's counters of what it refuses, in their order.
client_refusals() {
    local counter line
    statistics client connects >/dev/null
    line=$(grep ' client: statistics ' "$testbed_dir/client.log" | tail -n 1)
    for counter in sealing_failures datagrams_unsealable datagrams_replayed; do
        grep -oE "(^| )$counter=[0-9]+" <<<"$line" | cut -d= -f2
    done
}

# victim PORT PLACE: an application that meets the trick of that port.
victim() { in_client python3 -B "$here/programs/victim.py" "$web_4" 7999 "$@"; }

is_connected_for_the_third_time() { [[ "$(lines_of client ' client: connected ')" == 1 ]]; }

case_hostile_server_is_not_believed() {
    local name place port counter expected before after index count=0
    local counters=(sealing_failures datagrams_unsealable datagrams_replayed)
    stop client
    stop server
    trap 'stop hostile' EXIT
    start_hostile serve 4433 --key-file "$testbed_dir/tunnel.key"
    : >"$testbed_dir/client.log"
    start_client
    # A changed answer to the key exchange, one of another connection, and then an honest one.
    wait_until 10 "the client is connected" is_connected_for_the_third_time
    expect_equal "$(lines_of client "the server does not have the key that 'server-key' names")" 2 "answers that were refused"
    mapfile -t before < <(client_refusals)
    while read -r name place port counter; do
        victim "$port" "$place" || fail "$name"
        mapfile -t after < <(client_refusals)
        for index in "${!counters[@]}"; do
            expected=0
            [[ "${counters[index]}" != "$counter" ]] || expected=1
            expect_equal $((after[index] - before[index])) "$expected" "$name: ${counters[index]}"
        done
        before=("${after[@]}")
        echo "refused $name"
        count=$((count + 1))
    done < <("$hostile" --list-tricks)
    ((count >= 21)) || fail "only $count tricks were played"
    expect_equal "$(lines_of client ' client: connected ')" 1 "connections of the client"
    stop client
}

# Whoever has the server's certificate and its TLS key can stand between the two, and still there is nothing to relay: the key
# exchange is bound to the TLS session.
case_hostile_man_in_the_middle_is_found() {
    local before after logins
    stop client
    trap 'stop hostile' EXIT
    start_hostile relay 4434 --server "$server_4:4433" --server-name server.test --ca "$testbed_dir/tls/ca.crt"
    write_client_config client.yaml
    sed -i "s/^server: .*/server: $server_4:4434/" "$testbed_dir/client.yaml"
    : >"$testbed_dir/client.log"
    before=$(statistics server authentication_failures)
    logins=$(statistics server logins)
    start_client
    wait_until 5 "the client is refused" grep -q 'the server refused the key exchange' "$testbed_dir/client.log"
    stop client
    after=$(statistics server authentication_failures)
    ((after > before)) || fail "the server has counted no failed key exchange"
    expect_equal "$(statistics server logins)" "$logins" "logins at the server"
    expect_equal "$(lines_of client ' client: connected ')" 0 "connections of the client"
}
