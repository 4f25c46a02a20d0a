# Users of a server: logins, limits, usage, and what an administrator changes.
# shellcheck shell=bash disable=SC2154

users_db() { "$penstock" user "$@" --config "$testbed_dir/server.yaml"; }

# users_server [LINES]: a server with a database of users and no clients of its own; the lines go into the section.
users_server() {
    trap users_end EXIT
    stop client
    stop server
    write_server_config "users:
  database: users.db
${1:-}"
    sed -i '/^clients:/d' "$testbed_dir/server.yaml"
    rm -f "$testbed_dir"/users.db*
    : >"$testbed_dir/server.log"
}

# The other cases want a server without users.
users_end() {
    stop users-iperf
    stop client
    stop server
}

# users_login USER PASSWORD: the client logs in by password, with another key each time.
users_login() {
    (umask 077 && printf '%s\n' "$2" >"$testbed_dir/password")
    write_client_config client.yaml "" "login: { user: $1, password-file: password }"
    sed -i '/^key-file:/d' "$testbed_dir/client.yaml"
}

users_add() {
    local name=$1 password=$2
    shift 2
    users_db add "$name" --stdin "$@" <<<"$password"
}

log_has() { grep -qE "$2" "$testbed_dir/$1.log"; }

# users_refused REASON: the client starts, and both sides tell the reason.
users_refused() {
    : >"$testbed_dir/client.log"
    local before
    before=$(lines_of server "reason=$1")
    start_client
    wait_until 10 "the server refuses for $1" users_more_lines "reason=$1" "$before"
    wait_until 10 "the client says why ($2)" log_has client "$2"
    tunnel_works && fail "the tunnel works although the login was refused"
    stop client
}

users_more_lines() { (($(lines_of server "$1") > $2)); }

# Each kind of login accepted and refused, and what is seen of it outside.
case_users_logins() {
    users_server
    users_add anna "sesame opens" --expires 2099-01-01
    users_db add carl --key "$(cat "$testbed_dir/client.pub")"
    start_server

    users_login anna "sesame opens"
    start_client
    wait_for_tunnel
    log_has server 'client connected .*user=anna' || fail "the log does not name the user"
    stop client
    users_login anna "sesame closes"
    users_refused wrong-credentials 'wrong key, user name or password'
    users_login nobody "sesame opens"
    users_refused wrong-credentials 'wrong key, user name or password'

    write_client_config client.yaml # with the key that is carl's
    start_client
    wait_for_tunnel
    log_has server 'client connected .*user=carl' || fail "the log does not name the owner of the key"
    stop client
    users_db set carl --remove-key "$(cat "$testbed_dir/client.pub")"
    users_refused wrong-credentials 'wrong key, user name or password'

    users_login anna "sesame opens"
    users_db disable anna
    users_refused disabled 'disabled'
    users_db enable anna
    users_db set anna --expires 2020-01-01
    users_refused expired 'expired'

    sed -n '/^```ini/,/^```/p' "$root/docs/USERS.md" | grep -v '^```' >"$testbed_dir/penstock.conf"
    python3 -B "$here/programs/failregex.py" "$testbed_dir/penstock.conf" "$testbed_dir/server.log" >"$testbed_dir/banned"
    expect_equal "$(wc -l <"$testbed_dir/banned")" "$(lines_of server 'login failed')" "lines that fail2ban counts"
    expect_equal "$(sort -u "$testbed_dir/banned")" "192.0.2.1" "whom fail2ban would ban"
    ! grep -qF sesame "$testbed_dir"/*.log || fail "a log shows a password"
}

# Both of two kinds are asked for, and one is not enough.
case_users_two_kinds_required() {
    users_server "  require: [key, password]"
    users_add anna "sesame opens" --key "$(cat "$testbed_dir/client.pub")"
    start_server
    users_login anna "sesame opens"
    users_refused wrong-credentials 'wrong key, user name or password'
    write_client_config client.yaml
    users_refused wrong-credentials 'wrong key, user name or password'
    write_client_config client.yaml "" "login: { user: anna, password-file: password }"
    start_client
    wait_for_tunnel
}

# A certificate, and besides a key or a password: what is enough comes in, and each part alone does not.
case_users_alternatives_required() {
    users_server '  require: [certificate, [key, password]]
client-certificates: { demand: optional, ca-file: clients/ca.crt, crl-file: clients/ca.crl }'
    client_authority
    users_add alice "sesame opens" --key "$(cat "$testbed_dir/client.pub")"
    start_server
    users_certificate alice # with another key than hers
    users_refused wrong-credentials 'wrong key, user name or password'
    write_client_config client.yaml # the key
    users_refused wrong-credentials 'wrong key, user name or password'
    users_login alice "sesame opens" # the password
    users_refused wrong-credentials 'wrong key, user name or password'
    write_client_config client.yaml "" "login: { user: alice, password-file: password }" # both of them
    users_refused wrong-credentials 'wrong key, user name or password'

    write_client_config client.yaml
    users_show_certificate alice # with the key
    start_client
    wait_for_tunnel
    stop client
    users_login alice "sesame opens"
    users_show_certificate alice # with the password
    start_client
    wait_for_tunnel
    expect_equal "$(lines_of server 'client connected .*user=alice')" 2 "logins of alice"
}

# A certificate that names a user logs that user in, and one that names nobody does not.
case_users_by_certificate() {
    users_server 'client-certificates: { demand: optional, ca-file: clients/ca.crt, crl-file: clients/ca.crl }'
    client_authority
    users_add alice "sesame opens"
    start_server
    users_certificate alice
    start_client
    wait_for_tunnel
    log_has server 'client connected .*user=alice' || fail "the log does not name the user of the certificate"
    stop client
    users_certificate bob
    users_refused wrong-credentials 'wrong key, user name or password'
    # The certificate together with a password: neither is enough by itself.
    users_server '  require: [certificate, password]
client-certificates: { demand: optional, ca-file: clients/ca.crt, crl-file: clients/ca.crl }'
    users_add alice "sesame opens"
    start_server
    users_certificate alice
    users_refused wrong-credentials 'wrong key, user name or password'
    users_login alice "sesame opens"
    users_refused wrong-credentials 'wrong key, user name or password'
    users_login alice "sesame opens"
    users_show_certificate alice
    start_client
    wait_for_tunnel
    # Revoked, it is of no use with the password either.
    "$penstock" pki revoke alice --folder "$testbed_dir/clients"
    wait_until 5 "the session ends" log_has server 'certificate refused .*name=alice'
}

# users_certificate NAME: the client has this certificate, and nothing else to show.
users_certificate() {
    write_client_config client.yaml
    sed -i '/^key-file:/d' "$testbed_dir/client.yaml"
    users_show_certificate "$1"
}

users_show_certificate() {
    printf '%s\n' "certificate-file: clients/$1.crt" "private-key-file: clients/$1.key" >>"$testbed_dir/client.yaml"
}

# users_gone_within MILLISECONDS REASON COMMAND...: the command, and until the client is told.
users_gone_within() {
    local limit=$1 reason=$2 before start
    shift 2
    before=$(lines_of client "$reason")
    start=$(date +%s%3N)
    "$@"
    wait_until 3 "the client is told: $reason" users_client_told "$reason" "$before"
    expect_at_most $(($(date +%s%3N) - start)) "$limit" "milliseconds until the client is told"
}

users_client_told() { (($(lines_of client "$1") > $2)); }

case_users_change_while_they_are_there() {
    users_server
    users_add anna "sesame opens"
    start_server
    users_login anna "sesame opens"
    : >"$testbed_dir/client.log"
    start_client
    wait_for_tunnel
    users_gone_within 1000 'an administrator ended the session' users_db kick anna
    wait_for_tunnel # who was kicked may come back
    # A connection that is open when its destination is taken away is reset.
    in_client python3 -c "
import socket
connection = socket.create_connection(('$web_4', 80))
print('open', flush=True)
try:
    connection.recv(1)
except ConnectionResetError:
    print('reset', flush=True)" >"$testbed_dir/held" &
    wait_until 5 "a connection is open" grep -q open "$testbed_dir/held"
    users_db set anna --allow 192.0.2.0/24
    wait_until 2 "it is reset" grep -q reset "$testbed_dir/held"
    expect_equal "$(exit_code_of in_client curl -s --max-time 3 "http://$web_4/")" 7 "curl where the user may not go"
    users_db set anna --allow any
    sleep 1
    wait_for_tunnel
    users_gone_within 1000 'the account was disabled' users_db disable anna
    wait_until 10 "the server refuses who is disabled" log_has server 'login refused .*reason=disabled'
    users_db enable anna
    stop client
    start_client
    wait_for_tunnel
    users_gone_within 1000 'the account was removed' users_db remove anna
    wait_until 10 "the server refuses who was removed" log_has server 'login failed .*reason=wrong-credentials user=anna'
}

users_iperf_listens() { [[ -n "$(in_web ss -H -t -l -n 'sport = :5201')" ]]; }

# users_load NAME ARGUMENTS...: a second client of the same user, which speaks the tunnel's protocol itself; it may fail.
users_load() {
    local name=$1
    shift
    rm -f "$testbed_dir/$name.json"
    load in_client "$name" --via quic --config "$testbed_dir/client.yaml" --duration 2s "$@" >/dev/null || true
}

# Each count of a user is reached and held, from the database to the sockets.
case_users_counts() {
    users_server
    start_target
    users_add anna "sesame opens" --sessions 2 --flows 8 --udp-associations 2
    start_server
    users_login anna "sesame opens"
    # Eight flows at once, and not one more, whichever session they belong to.
    users_load counts-flows --workload idle --flows 10
    load_holds counts-flows '.workloads[0] | .flows.peak == 8 and .flows.completed == 8 and .failures["too-many-flows"] > 0'
    users_load counts-udp --workload udp --flows 4 --rate 200
    load_holds counts-udp '.workloads[0] | .datagrams.received > 0 and .failures["too-many-flows"] > 0'
    expect_equal "$(statistics server associations_opened)" 2 "associations of a user who may have two"
    # Dials that nobody answers: three, and what is asked for besides is refused at once.
    users_db set anna --half-open 3
    sleep 1
    web_4=$silent_4 users_load counts-three-dials --workload idle --flows 3
    load_holds counts-three-dials '.workloads[0] | .flows.completed == 0 and .failures["too-many-flows"] == null'
    web_4=$silent_4 users_load counts-four-dials --workload idle --flows 4
    load_holds counts-four-dials '.workloads[0] | .flows.completed == 0 and .failures["too-many-flows"] > 0'
    users_db set anna --half-open none
    # Two sessions: the client's, and one of the load; the third is refused and told why.
    start_client
    wait_for_tunnel
    local before third
    before=$(lines_of server 'client connected .*user=anna')
    ip netns exec "$client_ns" "$penstock" load run --target "$web_4:$load_port" --via quic \
        --config "$testbed_dir/client.yaml" --workload idle --flows 1 --duration 20s </dev/null >/dev/null 2>&1 &
    remember second-session $!
    wait_until 5 "the second session is in" users_more_lines 'client connected .*user=anna' "$before"
    third=$(in_client "$penstock" load run --target "$web_4:$load_port" --via quic \
        --config "$testbed_dir/client.yaml" --workload idle --flows 1 --duration 1s 2>&1 || true)
    expect_match "$third" 'too many sessions' "what the third session is told"
    stop second-session
}

# The rate of a user holds: within 5 % for TCP and UDP, up and down, whatever the number of connections.
case_users_rate() {
    local rate=20000000 what direction passed
    users_server
    users_add anna "sesame opens" --rate-up 20Mbit --rate-down 20Mbit
    start_server
    users_login anna "sesame opens"
    ip netns exec "$web_ns" iperf3 -s </dev/null >"$testbed_dir/users-iperf.log" 2>&1 &
    remember users-iperf $!
    wait_until 5 "iperf3 listens" users_iperf_listens
    start_client
    wait_for_tunnel
    for what in "-P 1" "-P 4" "-u -b 40M -l 1200"; do
        for direction in "" -R; do
            # The first second fills what lies on the way: it is left out.
            # shellcheck disable=SC2086
            in_client iperf3 -J -O 1 -t 5 -c "$web_4" $what $direction >"$testbed_dir/users-iperf.json"
            passed=$(jq '.end.sum_received.bits_per_second // (.end.sum.bits_per_second * (100 - .end.sum.lost_percent) / 100) | floor' \
                "$testbed_dir/users-iperf.json")
            echo "iperf3 $what ${direction:-up}: $passed bit/s"
            ((passed >= rate * 95 / 100 && passed <= rate * 105 / 100)) || fail "iperf3 $what ${direction:-up}: $passed bit/s, set are $rate"
        done
    done
}

# What was used before the server's restart counts after it.
case_users_quota_over_a_restart() {
    users_server
    head -c 3000000 /dev/zero >"$testbed_dir/www/three.bin"
    users_add anna "sesame opens" --quota 5MB
    start_server
    users_login anna "sesame opens"
    : >"$testbed_dir/client.log"
    start_client
    wait_for_tunnel
    in_client curl -s -f -o /dev/null --max-time 20 "http://$web_4/three.bin"
    stop server # writes what was used
    local used
    used=$(users_db show anna --json | jq '[.usage[0].up, .usage[0].down] | add')
    ((used > 3000000 && used < 3100000)) || fail "$used bytes were written down of 3 MB"
    start_server
    wait_for_tunnel 30
    # What is left does not do for another one.
    expect_match "$(exit_code_of in_client curl -s -f -o /dev/null --max-time 20 "http://$web_4/three.bin")" "^(18|28|52|56)$" "curl beyond the quota"
    wait_until 10 "the client is told" log_has client 'the quota of this month is spent|quota is spent'
    wait_until 10 "no login without a quota" log_has server 'login refused .*reason=quota-spent'
    sleep 2.5
    used=$(users_db show anna --json | jq '[.usage[0].up, .usage[0].down] | add')
    ((used >= 5000000 && used < 5500000)) || fail "$used bytes passed of a quota of 5 MB"
    users_db set anna --quota none
    stop client # it would wait for minutes by itself
    start_client
    wait_for_tunnel 30
}

# A server that is killed while it writes usage leaves a whole database, and what was written stays.
case_users_kill_while_usage_is_written() {
    local round used before=0
    users_server
    head -c 1000000 /dev/zero >"$testbed_dir/www/one.bin"
    users_add anna "sesame opens"
    for ((round = 0; round < 6; round++)); do
        start_server
        users_login anna "sesame opens"
        is_running client || start_client
        wait_for_tunnel 30
        in_client curl -s -f -o /dev/null --max-time 20 "http://$web_4/one.bin"
        # Writes come every two seconds; each round is killed at another moment of that.
        sleep "$((round * 4 / 10 + 1)).$((round * 4 % 10))"
        stop server KILL
        expect_equal "$(sqlite3 "$testbed_dir/users.db" 'PRAGMA integrity_check')" ok "what SQLite says after round $round"
        used=$(users_db show anna --json | jq '([.usage[]? | .up + .down] | add) // 0')
        ((used >= before)) || fail "usage went from $before back to $used"
        before=$used
    done
    ((used > 2000000)) || fail "of 6 MB only $used bytes were written down"
}

# A link makes a client; its secret is seen nowhere.
case_users_share() {
    users_server "  address: $server_4:4433"
    users_db add anna --sessions 5
    start_server
    "$penstock" share anna --config "$testbed_dir/server.yaml" --new-key --server-name server.test >"$testbed_dir/link.txt"
    chmod 600 "$testbed_dir/link.txt"
    mkdir -p "$testbed_dir/imported"
    "$penstock" import - --folder "$testbed_dir/imported" <"$testbed_dir/link.txt"
    expect_equal "$(stat -c %a "$testbed_dir/imported/client.key")" 600 "the mode of the key"
    "$penstock" config check "$testbed_dir/imported/client.yaml" --role client
    expect_equal "$(exit_code_of "$penstock" import "$(cat "$testbed_dir/link.txt")")" 64 "a secret as an argument"
    expect_equal "$(exit_code_of "$penstock" import - --folder "$testbed_dir/imported")" 2 "no link at all"

    : >"$testbed_dir/client.log"
    ip netns exec "$client_ns" "${default_signals[@]}" "$penstock" client --link - <"$testbed_dir/link.txt" >>"$testbed_dir/client.log" 2>&1 &
    remember client $!
    wait_until 10 "the client has its TUN" tun_is_up
    wait_for_tunnel
    log_has server 'client connected .*user=anna' || fail "the link does not log in its user"
    ps -eo args >"$testbed_dir/ps.txt"
    ! grep -qF 'penstock://' "$testbed_dir/ps.txt" || fail "ps shows the link"
    ! grep -qF "$(cat "$testbed_dir/imported/client.key")" "$testbed_dir"/*.log "$testbed_dir/ps.txt" || fail "the key is shown"
    "$penstock" share anna --config "$testbed_dir/server.yaml" --qr --background light >"$testbed_dir/qr.txt"
    python3 -B "$here/programs/qr_to_pgm.py" <"$testbed_dir/qr.txt" >"$testbed_dir/qr.pgm"
    expect_equal "$(zbarimg -q --raw "$testbed_dir/qr.pgm")" "$(head -n 1 "$testbed_dir/qr.txt")" "what a reader of QR codes sees"
    stop client
    PENSTOCK_LINK=$(cat "$testbed_dir/link.txt") ip netns exec "$client_ns" "${default_signals[@]}" "$penstock" client </dev/null >>"$testbed_dir/client.log" 2>&1 &
    remember client $!
    wait_until 10 "the client has its TUN" tun_is_up
    wait_for_tunnel
}
