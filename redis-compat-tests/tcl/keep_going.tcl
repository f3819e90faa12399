# Sourced by run-tcl into its scratch copy of Redis's test harness, just before a test client starts.
#
# Redis's runner gives up a whole file at the first command the server does not know. Here an error ends
# only the test it happens in, so that a file shows everything that works. What a test checks is unchanged.
# The harness must run with --durable, which turns an error inside a test body into an [err] line.

# Replaces one piece of a harness procedure's body; fails loudly where the harness has changed.
proc replace_in_body {procedure old new} {
    set body [info body $procedure]
    if {[string first $old $body] < 0} {
        error "keep_going.tcl does not fit this Redis source: '$old' is not in $procedure"
    }
    proc $procedure [info args $procedure] [string map [list $old $new] $body]
}

# The last test that began, to name the place of an error outside any test body.
set ::last_test "start of file"

# How the shared connection reads replies: {readraw deferred}. Files switch it between two tests.
proc reading_mode {} {
    if {[llength $::servers] == 0} { return {0 0} }
    set id [string map {::redis::redisHandle ""} [srv 0 client]]
    if {![info exists ::redis::readraw($id)]} { return {0 0} }
    list $::redis::readraw($id) $::redis::deferred($id)
}

# A failed test can leave replies unread, the clients paused, the sweep for expired keys stopped or sets of
# integers switched off, and every later test would fail for that reason alone. So it gets a new connection,
# reading as before, and what it left is put right.
proc recover_after_failure {mode} {
    if {[llength $::servers] == 0} { return }
    reconnect
    catch {r client unpause}
    catch {r debug set-active-expire 1}
    catch {r config set set-max-intset-entries 512}
    lassign $mode readraw deferred
    r readraw $readraw
    r deferred $deferred
}

# The harness cuts off the first 10 characters of every error, which fits only "assertion:".
foreach procedure {test run_external_server_test} {
    replace_in_body $procedure {[string range $error 10 end]} {[regsub {^assertion:} $error {}]}
}

rename test redis_test
proc test {name code {okpattern undefined} {tags {}}} {
    set ::last_test $name
    set failed $::num_failed
    set mode [reading_mode]
    uplevel 1 [list redis_test $name $code $okpattern $tags]
    if {$::num_failed > $failed} {
        recover_after_failure $mode
    }
}

# An error between two tests ends the start_server block around it; it is reported under this name.
proc place_of_error {} {
    return "* after exception: $::last_test in $::curfile"
}

rename execute_test_file redis_execute_test_file
proc execute_test_file {name} {
    set ::last_test "start of file"
    if {[catch {redis_execute_test_file $name} error]} {
        send_data_packet $::test_server_fd err "[place_of_error]\n$error"
        send_data_packet $::test_server_fd done $name
    }
}

# A server without functions has none to flush; one without a parameter cannot override it. Sets that are neither of
# integers nor hash tables came with Redis 7.2: a server that has them does without, as these tests expect.
replace_in_body run_external_server_test "r function flush" "catch {r function flush}
    catch {r config set set-max-listpack-entries 0}"
replace_in_body run_external_server_test \
    {dict set saved_config $param} \
    {if {[llength [r config get $param]] == 0} continue
        dict set saved_config $param}
# What is tested with the append-only file is mostly something else; a test that reloads it fails by itself.
replace_in_body run_external_server_test \
    {r config set $param $val} \
    {if {[catch {r config set $param $val} refusal] && $param ne "appendonly"} {error $refusal}}
replace_in_body run_external_server_test \
    "if {\$::durable} \{" \
    "if {\$::durable} \{
            set details \[list \[place_of_error\]\]"

# Redis skips these files against an external server, because they change it for the files that follow.
# Where run-tcl starts a server for each file there are none, and the blocks run.
set ::files_for_own_server {tests/unit/auth.tcl tests/unit/info.tcl tests/unit/maxmemory.tcl}
rename tags_acceptable redis_tags_acceptable
proc tags_acceptable {tags err_return} {
    upvar $err_return err
    if {[info exists ::env(OWN_SERVER)] && [lsearch $::files_for_own_server $::curfile] >= 0} {
        set tags [lsearch -all -inline -not -exact $tags external:skip]
    }
    redis_tags_acceptable $tags err
}

# A block that sets a password must begin with a client that has not given it.
proc forget_authentication {overrides} {
    if {![dict exists $overrides requirepass]} { return }
    set server [lindex $::servers end]
    dict set server config requirepass [dict get $overrides requirepass]
    lset ::servers end $server
    reconnect
}
replace_in_body run_external_server_test "if {\[catch {set retval" "forget_authentication \$overrides
    if {\[catch {set retval"
