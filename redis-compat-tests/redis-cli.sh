#!/usr/bin/env bash
# Exercises redis-cli's modes against a running server. Flushes its database 15.
# usage: redis-cli.sh HOST PORT
set -u

here=$(cd "$(dirname "$0")" && pwd)
. "$here/expect.sh"
host=${1:?usage: redis-cli.sh HOST PORT}
port=${2:?usage: redis-cli.sh HOST PORT}
pipe_commands=100000
export REDISCLI_HISTFILE=/dev/null

cli() { timeout 30 redis-cli -h "$host" -p "$port" -n 15 "$@" 2>&1; }
in_terminal() { python3 "$here/terminal.py" "$@"; }

interactive() {
    local text
    text=$(in_terminal 20 --prompt '\S+:\d+(\[\d+\])?> ' redis-cli -h "$host" -p "$port" <<'LINES'
SELECT 15
FLUSHDB
SET greeting "hello world"
GET greeting
GET missing
INCR counter
INCRBY counter 41
INCR greeting
NOSUCH command
GET
3 ECHO again
MGET greeting missing counter
help GETEX
CLIENT SETNAME person
CLIENT GETNAME
HELLO 3
CONFIG GET maxmemory-policy
SELECT 0
QUIT
LINES
)
    expect "interactive: SET" '^OK$' "$text"
    expect "interactive: GET quotes the value" '^"hello world"$' "$text"
    expect "interactive: nil" '^\(nil\)$' "$text"
    expect "interactive: integer" '^\(integer\) 42$' "$text"
    expect "interactive: error of INCR" '^\(error\) ERR value is not an integer or out of range$' "$text"
    expect "interactive: unknown command" "^\(error\) ERR unknown command 'NOSUCH', with args beginning with: 'command' ?$" "$text"
    expect "interactive: arity error" "^\(error\) ERR wrong number of arguments for 'get' command$" "$text"
    [ "$(grep -c '^"again"$' <<<"$text")" -eq 3 ] && pass "interactive: repeats" || fail "interactive: repeats" "$text"
    expect "interactive: array" '^3\) "42"$' "$text"
    expect "interactive: help" '^ *GETEX key' "$text"
    expect "interactive: prompt shows the database" "$port\[15\]> " "$text"
    expect "interactive: client name" '^"person"$' "$text"
    expect "interactive: map of RESP3" '^ ?[0-9]+# "proto" => \(integer\) 3$' "$text"
    expect "interactive: CONFIG GET as a map" '^1# "maxmemory-policy" => "' "$text"
}

one_command() {
    expect "argument from standard input" '^OK$' "$(printf 'from stdin' | cli -x SET piped)"
    expect "plain output when not a terminal" '^from stdin$' "$(cli GET piped)"
    expect "quoted output" '^"from stdin"$' "$(cli --no-raw GET piped)"
    expect "binary value" '^"\\x00\\xff"$' "$(printf '\x00\xff' | cli -x SET bin >/dev/null; cli --no-raw GET bin)"
    expect "-2 speaks RESP2" '^1\) "maxmemory"$' "$(cli -2 --no-raw CONFIG GET maxmemory)"
    expect "-2: HELLO tells" '^ ?6\) \(integer\) 2$' "$(cli -2 --no-raw HELLO)"
    expect "-3 speaks RESP3" '^1# "maxmemory" => "' "$(cli -3 --no-raw CONFIG GET maxmemory)"
    expect "-3: HELLO tells" '"proto" => \(integer\) 3$' "$(cli -3 --no-raw HELLO)"
    expect "-3: null" '^\(nil\)$' "$(cli -3 --no-raw GET missing)"
    expect "--json" '^\{"maxmemory":"[0-9]+"\}$' "$(cli -3 --json CONFIG GET maxmemory)"
    expect "--csv" '^"from stdin",NULL$' "$(cli --csv MGET piped missing)"
    expect "-e: an error is the exit status" '^1$' "$(cli -e INCR piped >/dev/null; echo $?)"
}

sampling() {
    local text
    cli FLUSHDB >/dev/null
    cli MSET user:1 a user:2 bb user:3 ccc order:1 "$(printf '%01000d' 7)" >/dev/null

    text=$(in_terminal 2.5 redis-cli -h "$host" -p "$port" --stat -i 0.5 </dev/null)
    expect "--stat: header" '^keys +mem +clients +blocked +requests +connections' "$text"
    [ "$(grep -cE '^[0-9]+ +[0-9.]+[BKMGT]? +[0-9]+ +[0-9]+ +[0-9]+ \(\+[0-9]+\) +[0-9]+' <<<"$text")" -ge 2 ] \
        && pass "--stat: two samples" || fail "--stat: two samples" "$text"

    text=$(cli --scan --pattern 'user:*' | sort | tr '\n' ' ')
    expect "--scan with a pattern" '^user:1 user:2 user:3 $' "$text"
    expect "--scan with a pattern that fits nothing" '^$' "$(cli --scan --pattern 'nothing*')"

    text=$(cli --bigkeys)
    expect "--bigkeys: samples all" '^Sampled 4 keys in the keyspace!$' "$text"
    expect "--bigkeys: finds the longest" '^Biggest string found .*order:1.* has 1000 bytes$' "$text"
    expect "--bigkeys: counts strings" '^4 strings with 1006 bytes \(100\.00% of keys' "$text"

    text=$(cli --memkeys)
    expect "--memkeys: samples all" '^Sampled 4 keys in the keyspace!$' "$text"
    expect "--memkeys: finds the largest" '^Biggest string found .*order:1.* has 1[0-9]{3} bytes$' "$text"

    text=$(cli --latency -i 1 --raw)
    expect "--latency: min max average samples" '^[0-9]+ [0-9]+ [0-9.]+ [0-9]+$' "$text"
}

mass_insertion() {
    local text
    cli FLUSHDB >/dev/null
    text=$(awk -v n=$pipe_commands 'BEGIN {
        for (i = 1; i <= n; i++) {
            key = "pipe:" i
            printf "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$5\r\nvalue\r\n", length(key), key
        }
    }' | cli --pipe)
    expect "--pipe: every command is answered" "^errors: 0, replies: $pipe_commands\$" "$text"
    expect "--pipe: every key is there" "^$pipe_commands\$" "$(cli DBSIZE)"
    expect "--pipe: inline commands" '^errors: 1, replies: 3$' "$(printf 'SET a 1\r\nINCR a\r\nNOSUCH\r\n' | cli --pipe)"
    [ "$(cli --scan --pattern 'pipe:*' | sort -u | wc -l)" -eq $pipe_commands ] \
        && pass "--scan meets every key once or more" || fail "--scan meets every key" "$(cli DBSIZE)"
    cli FLUSHDB >/dev/null
}

interactive
one_command
sampling
mass_insertion
conclude
