# Sourced by scripts/demo and Tests/Namespace/run: three network namespaces, and the programs in them.
#
#   client ---- 192.0.2.0/24, 2001:db8:1::/64 ---- server ---- 203.0.113.0/24, 2001:db8:3::/64 ---- web
#     .1 (uplink)                  .2 (clients)      .1 (web)                           .2 (uplink)
#
# The client has no route to the web's network and the web none to the client's, and the server does not forward:
# what the client fetches from the web went through Penstock.
#
# Names are unique to the process, so that runs beside each other do not meet. State lives in files of $testbed_dir,
# since the tests run in subshells.
# shellcheck shell=bash

testbed_id="penstock-$$"
client_ns="$testbed_id-client"
server_ns="$testbed_id-server"
web_ns="$testbed_id-web"

server_4=192.0.2.2
web_4=203.0.113.2
web_6=2001:db8:3::2
# Destinations that no route leads to, and ones whose packets nobody answers.
export unreachable_4=203.0.113.200 unreachable_6=2001:db8:3:0:8000::1
silent_4=203.0.113.99
silent_6=2001:db8:3::99
# Belongs to the web, but the server knows a wrong link-layer address for it until somebody corrects that.
late_4=203.0.113.98

in_client() { ip netns exec "$client_ns" "$@"; }
in_server() { ip netns exec "$server_ns" "$@"; }
in_web() { ip netns exec "$web_ns" "$@"; }

fail() {
    echo "$*" >&2
    return 1
}

# wait_until SECONDS WHAT COMMAND...: tries the command ten times a second.
wait_until() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ((SECONDS >= deadline)); then
            echo "waited in vain until $what" >&2
            return 1
        fi
        sleep 0.1
    done
}

# MARK: up and down

# testbed_up PENSTOCK: makes everything but starts nothing.
testbed_up() {
    penstock=$(realpath "$1")
    [[ -x "$penstock" ]] || fail "there is no program at $1; run: swift build -c release" || return 1
    ((EUID == 0)) || fail "network namespaces need root" || return 1
    [[ -c /dev/net/tun ]] || fail "there is no /dev/net/tun; try: modprobe tun" || return 1
    testbed_dir=$(mktemp -d "${TMPDIR:-/tmp}/penstock-testbed.XXXXXX")
    trap testbed_down EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM

    local ns
    for ns in "$client_ns" "$server_ns" "$web_ns"; do
        ip netns add "$ns"
        ip -n "$ns" link set lo up
        # An address must be usable at once: no duplicate address detection.
        ip netns exec "$ns" sysctl -q -w net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
    done
    testbed_link "$client_ns" uplink 192.0.2.1 2001:db8:1::1 "$server_ns" clients 192.0.2.2 2001:db8:1::2
    testbed_link "$server_ns" web 203.0.113.1 2001:db8:3::1 "$web_ns" uplink "$web_4" "$web_6"

    in_server sysctl -q -w net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0
    ip -n "$server_ns" route add unreachable 203.0.113.128/25
    ip -n "$server_ns" -6 route add unreachable 2001:db8:3:0:8000::/65
    local silent
    for silent in "$silent_4" "$silent_6" "$late_4"; do
        ip -n "$server_ns" neigh replace "$silent" lladdr 02:00:00:00:00:99 dev web nud permanent
    done
    ip -n "$web_ns" address add "$late_4/24" dev uplink

    testbed_secrets
    mkdir "$testbed_dir/www" "$testbed_dir/uploads" "$testbed_dir/nginx-temp"
}

# testbed_link NS NAME IPV4 IPV6 NS NAME IPV4 IPV6: a veth pair between two namespaces.
testbed_link() {
    ip link add name "$2" netns "$1" type veth peer name "$6" netns "$5"
    ip -n "$1" address add "$3/24" dev "$2"
    ip -n "$1" address add "$4/64" dev "$2" nodad
    ip -n "$5" address add "$7/24" dev "$6"
    ip -n "$5" address add "$8/64" dev "$6" nodad
    ip -n "$1" link set "$2" up
    ip -n "$5" link set "$6" up
}

testbed_secrets() {
    if ! { testbed_certificate tls server.test "$server_4" &&
        testbed_certificate web-tls web.test "$web_4" "$web_6"; } >"$testbed_dir/certs.log" 2>&1; then
        cat "$testbed_dir/certs.log" >&2
        fail "penstock pki failed" || return 1
    fi
    "$penstock" keygen --output "$testbed_dir/tunnel.key" >"$testbed_dir/tunnel.pub"
    "$penstock" keygen --output "$testbed_dir/client.key" >"$testbed_dir/client.pub"
}

# testbed_certificate FOLDER NAME...: an authority of its own, and the certificate of a server.
testbed_certificate() {
    local folder=$testbed_dir/$1
    shift
    "$penstock" pki init --folder "$folder" --name "Authority of $1" &&
        "$penstock" pki server "$@" --folder "$folder" --output "$folder/server"
}

# Ends what runs in the namespaces and removes all traces; may be called at any time and more than once.
testbed_down() {
    local status=$? ns
    trap - EXIT
    trap '' INT TERM
    # Routes and rules of the client go with its namespace, but a stopping client has them removed itself.
    for ns in "$client_ns" "$server_ns" "$web_ns"; do testbed_kill TERM "$ns"; done
    for ((i = 0; i < 30; i++)); do
        [[ -z "$(testbed_pids)" ]] && break
        sleep 0.1
    done
    for ns in "$client_ns" "$server_ns" "$web_ns"; do
        testbed_kill KILL "$ns"
        ip netns del "$ns" 2>/dev/null || true
    done
    [[ -z "${testbed_dir:-}" ]] || rm -rf "$testbed_dir"
    trap - INT TERM
    return "$status"
}

testbed_pids() {
    local ns
    for ns in "$client_ns" "$server_ns" "$web_ns"; do ip netns pids "$ns" 2>/dev/null || true; done
}

# testbed_kill SIGNAL NS
testbed_kill() {
    local pid
    for pid in $(ip netns pids "$2" 2>/dev/null || true); do kill "-$1" "$pid" 2>/dev/null || true; done
}

# MARK: the programs

# In the background stands `ip netns exec` itself, not in_client: of a function, $! would be the shell around it.
# A shell without job control starts its background with SIGINT ignored; the programs shall see it as on a terminal.
default_signals=(env --default-signal=INT --default-signal=QUIT)

# Keeps a process id for the others: remember NAME PID.
remember() { echo "$2" >"$testbed_dir/$1.pid"; }
pid_of() { cat "$testbed_dir/$1.pid"; }
# A zombie has ended, also where nobody collects it.
is_running() { [[ -e "$testbed_dir/$1.pid" ]] && grep -qsE '^State:\s+[^Z]' "/proc/$(pid_of "$1")/status"; }
has_ended() { ! is_running "$1"; }

# stop NAME [SIGNAL]: and waits for the end.
stop() {
    is_running "$1" || return 0
    kill "-${2:-TERM}" "$(pid_of "$1")" 2>/dev/null || true
    wait_until 10 "$1 has ended" has_ended "$1"
}

# write_server_config [LINES]: the lines stand in for the settings of the same name.
write_server_config() {
    cat >"$testbed_dir/server.yaml" <<END
listen: "[::]:4433"
certificate-file: tls/server.crt
private-key-file: tls/server.key
key-file: tunnel.key
clients: [{ name: client, key: $(cat "$testbed_dir/client.pub") }]
${1:-}
log: { level: debug }
END
}

# write_client_config FILE [TRUST [LINES]]: trust is "{ ca-file: … }" or "{ pin: … }".
write_client_config() {
    cat >"$testbed_dir/$1" <<END
server: $server_4:4433
server-name: server.test
trust: ${2:-"{ ca-file: tls/ca.crt }"}
server-key: $(cat "$testbed_dir/tunnel.pub")
key-file: client.key
reconnect: { first-delay: 100ms, maximum-delay: 1s }
quic: { idle-timeout: 5s, keep-alive: 1s }
${3:-}
log: { level: debug }
END
}

start_server() {
    ip netns exec "$server_ns" "${default_signals[@]}" "$penstock" server --config "$testbed_dir/server.yaml" </dev/null >>"$testbed_dir/server.log" 2>&1 &
    remember server $!
    wait_until 10 "the server listens on UDP port 4433" server_listens || {
        tail -n 5 "$testbed_dir/server.log" >&2
        return 1
    }
}

server_listens() { [[ -n "$(in_server ss -H -u -l -n 'sport = :4433')" ]]; }

start_client() {
    ip netns exec "$client_ns" "${default_signals[@]}" "$penstock" client --config "$testbed_dir/client.yaml" </dev/null >>"$testbed_dir/client.log" 2>&1 &
    remember client $!
    wait_until 10 "the client has its TUN" tun_is_up || {
        tail -n 5 "$testbed_dir/client.log" >&2
        return 1
    }
}

tun_is_up() { ip -n "$client_ns" link show dev penstock0 && [[ -n "$(ip -n "$client_ns" route show table 20563)" ]]; }

start_web() {
    cat >"$testbed_dir/nginx.conf" <<END
user root;
daemon off;
worker_processes 1;
pid $testbed_dir/nginx-temp/pid;
error_log $testbed_dir/nginx.log;
events { worker_connections 1024; }
http {
    access_log $testbed_dir/access.log;
    default_type text/plain;
    types { text/html html; }
    sendfile on;
    client_max_body_size 0;
    client_body_temp_path $testbed_dir/nginx-temp/body;
    proxy_temp_path $testbed_dir/nginx-temp/proxy;
    fastcgi_temp_path $testbed_dir/nginx-temp/fastcgi;
    uwsgi_temp_path $testbed_dir/nginx-temp/uwsgi;
    scgi_temp_path $testbed_dir/nginx-temp/scgi;
    server {
        listen 80 backlog=1024;
        listen [::]:80 ipv6only=on backlog=1024;
        listen 443 ssl;
        listen [::]:443 ssl ipv6only=on;
        ssl_certificate $testbed_dir/web-tls/server.crt;
        ssl_certificate_key $testbed_dir/web-tls/server.key;
        root $testbed_dir/www;
        location /uploads/ {
            alias $testbed_dir/uploads/;
            dav_methods PUT;
        }
    }
}
END
    ip netns exec "$web_ns" nginx -c "$testbed_dir/nginx.conf" </dev/null >>"$testbed_dir/nginx.log" 2>&1 &
    remember web $!
    wait_until 10 "nginx answers in its own namespace" in_web curl -s --max-time 1 "http://$web_4/" || {
        tail -n 5 "$testbed_dir/nginx.log" >&2
        return 1
    }
}

# The tunnel carries a page from end to end.
tunnel_works() { in_client curl -s -f -o /dev/null --max-time 2 "http://$web_4/index.html"; }

wait_for_tunnel() {
    wait_until "${1:-15}" "a page comes through the tunnel" tunnel_works || {
        echo "last lines of the client and the server:" >&2
        tail -n 8 "$testbed_dir/client.log" "$testbed_dir/server.log" >&2
        return 1
    }
}

# statistics NAME KEY: a number of the newest statistics line, after asking for one by SIGUSR1.
statistics() {
    local before line
    before=$(grep -c " $1: statistics " "$testbed_dir/$1.log" || true)
    kill -USR1 "$(pid_of "$1")"
    wait_until 5 "the $1 prints its statistics" has_more_statistics "$1" "$before" || return 1
    line=$(grep " $1: statistics " "$testbed_dir/$1.log" | tail -n 1)
    grep -oE "(^| )$2=[0-9]+" <<<"$line" | tail -n 1 | cut -d= -f2
}

# flow_numbers: the counters and gauges of the client's TCP, `NAME VALUE` a line, after asking for them by SIGUSR2.
flow_numbers() {
    local before
    before=$(wc -l <"$testbed_dir/client.log")
    kill -USR2 "$(pid_of client)"
    # The gauge of the tables' memory is the last line.
    wait_until 5 "the client lists its flows" has_listed_flows "$before" || return 1
    tail -n "+$((before + 1))" "$testbed_dir/client.log" | sed -nE 's/.* client: (counter|gauge) ([a-z0-9_]+ [0-9]+)$/\2/p'
}

has_listed_flows() { tail -n "+$(($1 + 1))" "$testbed_dir/client.log" | grep -q ' gauge table_bytes '; }

has_more_statistics() { (($(grep -c " $1: statistics " "$testbed_dir/$1.log") > $2)); }

# start_capture NAME NS DEVICE: full packets into $testbed_dir/NAME.pcap.
start_capture() {
    ip netns exec "$2" tcpdump -Z root -U --immediate-mode -i "$3" -s 0 -B 65536 -w "$testbed_dir/$1.pcap" \
        </dev/null >"$testbed_dir/$1.tcpdump" 2>&1 &
    remember "$1" $!
    wait_until 10 "tcpdump listens on $3" grep -q 'listening on' "$testbed_dir/$1.tcpdump"
}

# What was captured last is on its way from the kernel to tcpdump for a moment.
stop_capture() {
    sleep 0.5
    stop "$1"
}

# occurrences TEXT NAME: how often a capture holds the text.
occurrences() { { grep -a -o -F -- "$1" "$testbed_dir/$2.pcap" || true; } | wc -l; }
