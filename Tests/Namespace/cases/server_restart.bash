# A server that goes and comes back: what its clients notice of it.
# shellcheck shell=bash disable=SC2154

# A page every 0.2 seconds, so that the client has something to say.
keep_asking() {
    while true; do
        in_client curl -s -o /dev/null --max-time 1 "http://$web_4/index.html" || true
        sleep 0.2
    done
}

client_has_noticed() { (($(grep -c 'forgotten this connection' "$testbed_dir/client.log") > $1)); }

# The idle timeout is 30 s here, so what is noticed before is noticed by the stateless reset.
case_restart_after_sigkill_is_noticed_at_once() {
    stop client
    stop server
    write_server_config 'state-directory: state'
    sed -i 's/^quic: .*/quic: { idle-timeout: 30s, keep-alive: 10s }/' "$testbed_dir/client.yaml"
    rm -rf "$testbed_dir/state"
    start_server
    expect_equal "$(stat -c '%a %s' "$testbed_dir/state/server-secret")" "600 32" "mode and size of the secret"
    start_client
    wait_for_tunnel
    local before secret started asking
    before=$(grep -c 'forgotten this connection' "$testbed_dir/client.log" || true)
    secret=$(sha256sum <"$testbed_dir/state/server-secret")
    stop server KILL
    keep_asking &
    asking=$!
    # shellcheck disable=SC2064  # the number of now: the variable is gone by then
    trap "kill $asking 2>/dev/null || true" EXIT
    start_server
    started=$(date +%s%N)
    wait_until 10 "the client notices" client_has_noticed "$before"
    wait_for_tunnel 5
    local milliseconds=$((($(date +%s%N) - started) / 1000000))
    kill "$asking"
    wait "$asking" 2>/dev/null || true
    expect_at_most "$milliseconds" 5000 "milliseconds until pages came through again"
    expect_equal "$(sha256sum <"$testbed_dir/state/server-secret")" "$secret" "the secret after the restart"
    stop client
}

case_restart_with_a_secret_that_others_can_read_is_refused() {
    stop server
    write_server_config 'state-directory: state'
    start_server
    stop server
    chmod 644 "$testbed_dir/state/server-secret"
    local code
    code=$(exit_code_of in_server timeout 10 "$penstock" server --config "$testbed_dir/server.yaml")
    chmod 600 "$testbed_dir/state/server-secret"
    expect_equal "$code" 2 "the exit code"
    expect_match "$(output)" "server.yaml:[0-9]+:[0-9]+: 'state-directory' .*others can read the file .*; run: chmod 600" "the message"
}

# After a restart the client is known by its token, where every other client has to prove its address.
case_restart_finds_a_client_that_is_known() {
    stop client
    stop server
    write_server_config 'state-directory: state
quic: { always-retry: true }'
    start_server
    start_client
    wait_for_tunnel
    expect_equal "$(statistics server retries_sent)" 1 "Retry packets for the first connection"
    stop server KILL
    start_server
    wait_for_tunnel 20
    expect_equal "$(statistics server retries_sent)" 0 "Retry packets after the restart"
    (($(statistics server tokens_known) >= 1)) || fail "the client's token was not known"
}

# A download that is under way ends by itself; the server stops when it is over, and takes nothing new meanwhile.
case_drain_lets_a_download_end() {
    make_movie
    stop server
    write_server_config 'drain-time: 60s'
    start_server
    wait_for_tunnel 20
    in_client curl -sS -f --max-time 60 --limit-rate 12M -o "$testbed_dir/movie.down" "http://$web_4/movie" &
    local download=$!
    sleep 1
    kill -TERM "$(pid_of server)"
    sleep 0.5
    is_running server || fail "the server did not wait"
    ! in_client curl -s -f -o /dev/null --max-time 1 "http://$web_4/index.html" || fail "a new flow was taken"
    wait "$download" || fail "the download was cut"
    cmp "$testbed_dir/www/movie" "$testbed_dir/movie.down"
    rm -f "$testbed_dir/movie.down"
    wait_until 5 "the server has ended" has_ended server
    grep -q 'the server stops soon' "$testbed_dir/client.log" || fail "the client was not told"
}

case_drain_ends_with_its_time() {
    make_movie
    stop server
    write_server_config 'drain-time: 1s'
    start_server
    wait_for_tunnel 20
    in_client curl -s -o /dev/null --max-time 60 --limit-rate 1M "http://$web_4/movie" &
    sleep 1
    stop server TERM
}

# Without the capability to go beyond what the kernel allows, the server says what is missing.
case_small_socket_buffers_are_told() {
    local allowed
    allowed=$(cat /proc/sys/net/core/rmem_max)
    ((allowed < 4194304)) || return 0
    stop server
    : >"$testbed_dir/small.log"
    ip netns exec "$server_ns" setpriv --bounding-set=-net_admin --inh-caps=-net_admin -- \
        "$penstock" server --config "$testbed_dir/server.yaml" </dev/null >"$testbed_dir/small.log" 2>&1 &
    remember small $!
    local status=0
    wait_until 10 "the server warns" grep -q 'run: sysctl -w net.core.rmem_max=4194304' "$testbed_dir/small.log" || status=1
    stop small
    return "$status"
}
