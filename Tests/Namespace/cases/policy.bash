# Where the server may dial. What sockets of applications see of it is in sockets/policy.py.
# shellcheck shell=bash disable=SC2154

# `penstock load` names the first of its ports; its requests (churn) go to the fourth.
policy_port=7777
policy_dialled=7780

start_policy_traps() {
    # A service on every address of the server, and one of the web's: what is dialled would be reached.
    : >"$testbed_dir/trap.log"
    ip netns exec "$server_ns" python3 -B "$here/programs/trap.py" "$policy_dialled" </dev/null >"$testbed_dir/trap.log" 2>&1 &
    remember trap $!
    wait_until 5 "the trap is set" grep -q ready "$testbed_dir/trap.log"
}

# start_answers NAME=ADDRESS…: a name server in the web's namespace, which the server asks.
start_answers() {
    : >"$testbed_dir/answers.log"
    ip netns exec "$web_ns" python3 -B "$here/programs/answers.py" "$web_4" "$@" </dev/null >"$testbed_dir/answers.log" 2>&1 &
    remember answers $!
    wait_until 5 "the name server answers" grep -q ready "$testbed_dir/answers.log"
}

end_policy_case() {
    stop trap
    stop answers
    stop target
    # Others want the server as it is usually configured.
    stop server
}

restart_server_with() {
    stop server
    write_server_config "$1"
    start_server
}

# ask TARGET NAME [RATE [DURATION]]: requests that the tunnel's protocol carries as they are, since no kernel of the client
# stands before them; prints why they failed, or "ok".
ask() {
    in_client timeout 60 "$penstock" load run --target "$1" --via quic --config "$testbed_dir/client.yaml" \
        --workload churn --rate "${3:-10}" --duration "${4:-200ms}" --json "$testbed_dir/ask-$2.json" \
        >"$testbed_dir/ask-$2.log" 2>&1 || true
    jq -r '.workloads[0].failures | if . == {} then "ok" else keys | join(" ") end' "$testbed_dir/ask-$2.json"
}

expect_not_reached() { expect_equal "$(grep -c reached "$testbed_dir/trap.log" || true)" 0 "connections to the server's own services"; }

# One address of each kind that a client could name, also those that its own kernel would never send.
case_policy_every_kind_is_refused() {
    local kind address
    trap end_policy_case EXIT
    start_policy_traps
    restart_server_with ""
    while read -r kind address; do
        expect_equal "$(ask "$address:$policy_port" refused)" not-allowed "$address ($kind)"
        grep -qE " denied .*by=$kind .*destination=\"?\\[?${address//[\[\]]/}\\]?:" "$testbed_dir/server.log" ||
            fail "the log does not say that $address was denied as $kind: $(grep ' denied ' "$testbed_dir/server.log" | tail -n 1)"
    done <<END
own 203.0.113.1
own 192.0.2.2
own 203.0.113.255
own [2001:db8:3::1]
loopback 127.0.0.1
loopback [::1]
loopback 127.9.9.9
this-network 0.0.0.0
this-network 0.1.2.3
this-network [::]
private 10.0.0.1
private 172.16.0.1
private 192.168.1.1
carrier-grade-nat 100.64.0.1
link-local 169.254.169.254
link-local [fe80::1]
protocol-assignments 192.0.0.8
benchmarking 198.18.5.5
multicast 224.0.0.1
multicast [ff02::1]
reserved 240.0.0.1
broadcast 255.255.255.255
unique-local [fd00::1]
site-local [fec0::1]
v4-mapped [::ffff:7f00:1]
v4-mapped [::ffff:cb00:7102]
v4-compatible [::7f00:1]
v4-translated [::ffff:0:7f00:1]
nat64 [64:ff9b::7f00:1]
nat64-local [64:ff9b:1::7f00:1]
6to4 [2002:7f00:1::1]
teredo [2001::1]
discard [100::1]
END
    expect_not_reached
    (($(statistics server dials_denied) >= 60)) || fail "the denials were not counted"
    grep -qE ' policy by=own count=[0-9]+' "$testbed_dir/server.log" || fail "the statistics do not tell of own addresses"
}

# A name that answers with a public address first and with the server's own services next: what is judged is what is dialled.
case_policy_rebinding_name() {
    trap end_policy_case EXIT
    start_policy_traps
    start_target
    start_answers "rebind.test=$web_4,127.0.0.1" "inside.test=127.0.0.1+10.0.0.1+::1+fd00::1" "mixed.test=127.0.0.1+$web_4" \
        "own.test=203.0.113.1+2001:db8:3::1"
    restart_server_with "names: { servers: [$web_4], minimum-ttl: 0s }"
    expect_equal "$(ask "rebind.test:$load_port" first 5)" ok "the first answer of the name that changes"
    expect_equal "$(ask "rebind.test:$policy_port" next)" not-allowed "the next answers"
    expect_equal "$(ask "inside.test:$policy_port" inside)" not-allowed "a name of inner addresses"
    expect_equal "$(ask "own.test:$policy_port" own)" not-allowed "a name of the server's own addresses"
    expect_equal "$(ask "mixed.test:$load_port" mixed)" ok "a name of which one address is public"
    expect_equal "$(ask "nowhere.test:$load_port" nowhere)" host-unreachable "a name that there is not"
    grep -q '^rebind.test 4 \[.127.0.0.1.\]' "$testbed_dir/answers.log" || fail "the name has not changed its address"
    expect_not_reached
}

# Names of both families: IPv6 is taken where it answers, and IPv4 soon where it does not.
case_policy_names_by_happy_eyeballs() {
    trap end_policy_case EXIT
    start_target
    start_answers "both.test=$web_4+$web_6" "half.test=$web_4+$silent_6" "six.test=$web_6"
    restart_server_with "names: { servers: [$web_4] }"
    expect_equal "$(ask "both.test:$load_port" both)" ok "a name with both families"
    expect_equal "$(ask "six.test:$load_port" six)" ok "a name with IPv6 alone"
    expect_equal "$(ask "half.test:$load_port" half)" ok "a name whose IPv6 address is silent"
    load_holds ask-half '.workloads[0].seconds < 10'
    statistics server dials >/dev/null
    grep -qE ' names .*attempts_beaten=[1-9]' "$testbed_dir/server.log" || fail "no attempt was beaten"
}

# Rules decide in their order, are counted by name, and a rule by name opens no inner address.
case_policy_rules() {
    trap end_policy_case EXIT
    start_policy_traps
    start_target
    start_answers "open.test=127.0.0.1" "blocked.test=$web_4"
    restart_server_with "names: { servers: [$web_4] }
dial:
  rules:
    - { name: by-name, action: allow, domain: open.test }
    - { name: no-name, action: deny, domain: [.blocked.test] }
    - { name: one-port, action: allow, to: [203.0.113.1], ports: $policy_dialled, protocol: tcp }
    - { name: no-web, action: deny, to: [$web_6], ports: 80-90 }"
    expect_equal "$(ask "open.test:$policy_port" open)" not-allowed "a name that is allowed and points inside"
    expect_equal "$(ask "blocked.test:$load_port" blocked)" not-allowed "a name that is refused"
    expect_equal "$(ask "[$web_6]:80" web6)" not-allowed "a port that is refused"
    expect_not_reached
    expect_equal "$(ask "203.0.113.1:$((policy_port + 1))" other-port)" not-allowed "another port of an own address"
    ask "203.0.113.1:$policy_port" own >/dev/null
    grep -q 'reached by TCP' "$testbed_dir/trap.log" || fail "the rule has not opened the server's own address"
    statistics server dials >/dev/null
    for rule in no-name one-port no-web; do
        grep -qE " policy by=\"rule $rule\" count=[1-9]" "$testbed_dir/server.log" || fail "rule $rule was not counted"
    done
}

# What is an own address may change while the server runs.
case_policy_own_addresses_change() {
    trap end_policy_case EXIT
    start_policy_traps
    restart_server_with ""
    # The web's second network, of which the server learns an address only now.
    ip -n "$web_ns" address add 198.51.100.2/24 dev uplink
    ip -n "$server_ns" address add 198.51.100.1/24 dev web
    wait_until 5 "the new address is refused" own_address_is_refused 198.51.100.1
    expect_not_reached
    ip -n "$server_ns" address del 198.51.100.1/24 dev web
    ip -n "$web_ns" address del 198.51.100.2/24 dev uplink
}

own_address_is_refused() { [[ "$(ask "$1:$policy_port" own-new)" == not-allowed ]]; }

# With an interface by configuration, TCP and UDP leave by that one whatever the routes say.
case_policy_interface() {
    trap end_policy_case EXIT
    start_target
    restart_server_with "dial: { interface: web }"
    expect_equal "$(ask "$web_4:$load_port" interface)" ok "through the interface"
    restart_server_with "dial: { interface: clients }"
    [[ "$(ask "$web_4:$load_port" wrong-interface)" != ok ]] || fail "the web was reached by the wrong interface"
}
