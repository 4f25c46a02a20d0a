# Pages and large files through the TUN.
# shellcheck shell=bash disable=SC2154

gigabyte=$((1 << 30))

make_pages() {
    local i
    echo "the front page of web.test" >"$testbed_dir/www/index.html"
    mkdir -p "$testbed_dir/www/pages"
    # Each page has a text and a length of its own.
    for ((i = 1; i <= 200; i++)); do
        { printf 'page %d ' "$i" && head -c $((i * 997)) /dev/zero | tr '\0' 'x'; } >"$testbed_dir/www/pages/$i"
    done
}

# A gigabyte without repetition, made once.
make_gigabyte() {
    [[ -e "$testbed_dir/www/gigabyte" ]] && return 0
    head -c "$gigabyte" /dev/zero |
        openssl enc -aes-128-ctr -K 000102030405060708090a0b0c0d0e0f -iv 00000000000000000000000000000000 \
            >"$testbed_dir/www/gigabyte"
    sha256sum <"$testbed_dir/www/gigabyte" >"$testbed_dir/gigabyte.sha256"
}

# fetch_page CURL-ARGUMENTS...
fetch_page() {
    local page
    page=$(in_client curl -sS -f --max-time 10 "$@")
    expect_equal "$page" "the front page of web.test" "the page"
}

case_fetch_http_4() { fetch_page "http://$web_4/index.html"; }
case_fetch_http_6() { fetch_page "http://[$web_6]/index.html"; }
case_fetch_https_4() {
    fetch_page --cacert "$testbed_dir/web-tls/ca.crt" --resolve "web.test:443:$web_4" https://web.test/index.html
}
case_fetch_https_6() {
    fetch_page --cacert "$testbed_dir/web-tls/ca.crt" --resolve "web.test:443:$web_6" https://web.test/index.html
}

# 200 pages, 50 at a time, each on a connection of its own.
case_fetch_200_pages_50_in_parallel() {
    local i host
    rm -rf "$testbed_dir/fetched"
    mkdir "$testbed_dir/fetched"
    for ((i = 1; i <= 200; i++)); do
        host=$web_4
        ((i % 2)) && host="[$web_6]"
        printf 'url = "http://%s/pages/%d"\noutput = "%s"\nheader = "Connection: close"\nmax-time = 60\nno-progress-meter\n' \
            "$host" "$i" "$testbed_dir/fetched/$i"
        ((i == 200)) || echo next
    done >"$testbed_dir/pages.curl"
    local before after
    before=$(statistics client flows_opened)
    in_client curl --no-progress-meter --parallel --parallel-immediate --parallel-max 50 --config "$testbed_dir/pages.curl"
    diff -r "$testbed_dir/www/pages" "$testbed_dir/fetched"
    after=$(statistics client flows_opened)
    expect_equal $((after - before)) 200 "flows opened"
}

case_gigabyte_down() {
    make_gigabyte
    in_client curl -sS -f --max-time 200 "http://$web_4/gigabyte" | sha256sum >"$testbed_dir/down.sha256"
    diff "$testbed_dir/gigabyte.sha256" "$testbed_dir/down.sha256"
}

case_gigabyte_up() {
    make_gigabyte
    in_client curl -sS -f --max-time 200 -T "$testbed_dir/www/gigabyte" "http://$web_4/uploads/gigabyte"
    sha256sum <"$testbed_dir/uploads/gigabyte" >"$testbed_dir/up.sha256"
    rm "$testbed_dir/uploads/gigabyte"
    diff "$testbed_dir/gigabyte.sha256" "$testbed_dir/up.sha256"
}
