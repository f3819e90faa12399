# Sourced by the scripts beside it: one PASS or FAIL line per check, and the closing count.

passed=0
failed=0

pass() {
    passed=$((passed + 1))
    echo "PASS $1"
}

# fail NAME DETAIL: DETAIL is shown from its last 10 lines.
fail() {
    failed=$((failed + 1))
    echo "FAIL $1"
    printf '%s\n' "$2" | tail -n 10 | cut -c1-300 | sed 's/^/     /'
}

# expect NAME PATTERN TEXT: TEXT must contain a line that matches the extended regular expression.
expect() {
    if grep -Eq -- "$2" <<<"$3"; then pass "$1"; else fail "$1" "no line matches '$2' in:
$3"; fi
}

# expect_not NAME PATTERN TEXT: no line of TEXT may match.
expect_not() {
    if grep -Eq -- "$2" <<<"$3"; then fail "$1" "$(grep -E -- "$2" <<<"$3")"; else pass "$1"; fi
}

# The closing line, and the exit status of the script.
conclude() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
}
