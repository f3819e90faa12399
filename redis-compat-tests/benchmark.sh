#!/usr/bin/env bash
# Runs all tests of redis-benchmark, plain and pipelined, and some in other ways. It asks for answers without an error, not for speed.
# usage: benchmark.sh HOST PORT [REQUESTS]
set -u

here=$(cd "$(dirname "$0")" && pwd)
. "$here/expect.sh"
host=${1:?usage: benchmark.sh HOST PORT [REQUESTS]}
port=${2:?usage: benchmark.sh HOST PORT [REQUESTS]}
requests=${3:-20000}
error_words='error|warning|refused|reset|closed|wrong|unknown|-ERR|failed'

# round NAME EXPECTED_ROWS OPTION ...
round() {
    local name=$1 rows=$2 text status
    shift 2
    text=$(timeout 120 redis-benchmark -h "$host" -p "$port" -n "$requests" --csv "$@" 2>&1)
    status=$?
    [ $status -eq 0 ] && pass "$name: ends well" || fail "$name: ends well" "exit status $status
$text"
    expect_not "$name: no error" "$error_words" "$(grep -iE "$error_words" <<<"$text")"
    [ "$(grep -cE '^"[A-Z]' <<<"$text")" -eq "$rows" ] && pass "$name: $rows results" || fail "$name: $rows results" "$text"
    awk -F'","' '/^"[A-Z]/ { gsub(/"/, "", $1); printf "     %-20s %12.0f requests/s   p99 %s ms\n", $1, $2, $7 }' <<<"$text"
}

round "all tests" 20
round "all tests, pipeline of 16" 20 -P 16
round "random keys" 2 -t set,get -r 100000 -d 512 -P 16
round "RESP3" 2 -3 -t set,get
round "one client" 2 -c 1 -t set,get
round "500 clients" 2 -c 500 -t set,get
conclude
