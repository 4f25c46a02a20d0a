# A server that is known by its name.
# shellcheck shell=bash disable=SC2154

name_server_answers() { grep -q ready "$testbed_dir/dns.log"; }

start_name_server() {
    # `ip netns exec` shows a program the files of /etc/netns/NAME in place of those of /etc.
    mkdir -p "/etc/netns/$client_ns"
    echo "nameserver $server_4
options timeout:1 attempts:1" >"/etc/netns/$client_ns/resolv.conf"
    : >"$testbed_dir/dns.log"
    ip netns exec "$server_ns" python3 -B "$here/programs/dns.py" "$server_4" "$server_4" </dev/null >"$testbed_dir/dns.log" 2>&1 &
    remember dns $!
    wait_until 5 "the name server answers" name_server_answers
}

end_name_server() {
    stop dns
    rm -rf "/etc/netns/$client_ns"
}

# The tunnel takes everything, questions to the name server too, and there is no tunnel yet: the client must ask before its
# routes are up, and find a server that went away without asking again.
case_server_by_name_is_found_again() {
    trap end_name_server EXIT
    start_name_server
    stop client
    sed -i 's/^server: .*/server: vpn.test:4433/' "$testbed_dir/client.yaml"
    start_client
    wait_for_tunnel
    stop server KILL
    start_server
    wait_for_tunnel 20
}
