# What the cases say with.
# shellcheck shell=bash disable=SC2154

# expect_equal FOUND EXPECTED WHAT
expect_equal() {
    [[ "$1" == "$2" ]] || fail "$3: found '$1', expected '$2'"
}

# expect_match TEXT REGEX WHAT
expect_match() {
    [[ "$1" =~ $2 ]] || fail "$3: '$1' does not match '$2'"
}

# expect_at_most NUMBER LIMIT WHAT
expect_at_most() {
    (($1 <= $2)) || fail "$3: $1 is more than $2"
}

# exit_code_of COMMAND...: prints it; the command's output goes to $testbed_dir/output.
exit_code_of() {
    local status=0
    "$@" >"$testbed_dir/output" 2>&1 </dev/null || status=$?
    echo "$status"
}

output() { cat "$testbed_dir/output"; }

# lines_of NAME PATTERN: how many lines of this process's log match.
lines_of() { { grep -cE "$2" "$testbed_dir/$1.log" || true; } | tail -n 1; }
