"""Uses a server as an application with redis-py would, in RESP3 and in RESP2.

usage: basic_use.py HOST PORT      Flushes databases 14 and 15.
"""

import asyncio
import sys
import threading
import time
import traceback

import redis
import redis.asyncio
from redis.exceptions import OutOfMemoryError, ResponseError

HOST, PORT = sys.argv[1], int(sys.argv[2])
DATABASE = 15
OTHER_DATABASE = 14
POOL_SIZE = 50
DEADLINE_SECONDS = 5


class Skip(Exception):
    """The server says it does not know what the check needs; the message says what."""


def main():
    counts = {"PASS": 0, "FAIL": 0, "SKIP": 0}
    for protocol in (None, 2, 3):
        for check in CHECKS:
            name = f"redis-py {redis.__version__}, {'default protocol' if protocol is None else f'RESP{protocol}'}"
            counts[outcome(f"{name}: {check.__name__.replace('_', ' ')}", check, protocol)] += 1
    if counts["SKIP"]:
        print(f"{counts['SKIP']} skipped")
    print(f"{counts['PASS']} passed, {counts['FAIL']} failed")
    return 1 if counts["FAIL"] else 0


def outcome(name, check, protocol):
    client = connect(protocol)
    try:
        client.flushdb()
        check(client)
    except Skip as reason:
        print(f"SKIP {name}: {reason}")
        return "SKIP"
    except Exception:
        print(f"FAIL {name}")
        print("".join(f"     {line}\n" for line in traceback.format_exc().splitlines()[-8:]), end="")
        return "FAIL"
    finally:
        client.close()
    print(f"PASS {name}")
    return "PASS"


def connect(protocol=None, **options):
    chosen = {} if protocol is None else {"protocol": protocol}
    return redis.Redis(host=HOST, port=PORT, db=DATABASE, **chosen, **options)


def again(client, **options):
    """A second client that speaks the same protocol as `client`."""
    return connect(client.connection_pool.connection_kwargs["protocol"], **options)


def refused(kind, text, call, *arguments, **options):
    """Asserts that the call fails with exactly this class of error and this text in it."""
    try:
        answer = call(*arguments, **options)
    except Exception as error:
        assert type(error) is kind and text in str(error), f"{type(error).__name__}: {error}"
        return
    raise AssertionError(f"no error, but {answer!r}")


def need(client, *words):
    """Skips the check where the server does not know the command, or the subcommand."""
    try:
        client.execute_command(*words)
    except ResponseError as error:
        if "unknown command" in str(error).lower() or "unknown subcommand" in str(error).lower():
            raise Skip(str(error)) from None


def wait_for(condition):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.01)


def connects_in_the_protocol(client):
    assert client.ping() is True
    assert client.echo("hello") == b"hello"
    wanted = client.connection_pool.connection_kwargs["protocol"] or 3
    assert client.client_info()["resp"] == str(wanted)
    hello = client.execute_command("HELLO")
    fields = hello if isinstance(hello, dict) else dict(zip(hello[::2], hello[1::2]))
    assert fields[b"proto"] == wanted and fields[b"server"] and fields[b"version"], fields


def sets_with_every_option(client):
    assert client.set("k", "v") is True and client.get("k") == b"v"
    assert client.set("k", "w", nx=True) is None and client.get("k") == b"v"
    assert client.set("none", "w", xx=True) is None and client.get("none") is None
    assert client.set("k", "w", xx=True) is True
    assert client.set("k", "x", get=True) == b"w"
    assert client.set("none", "x", get=True) is None
    assert client.set("k", "y", nx=True, get=True) == b"x" and client.get("k") == b"x"
    assert client.set("k", "v", ex=100) and 95 <= client.ttl("k") <= 100
    assert client.set("k", "w", keepttl=True) and 95 <= client.ttl("k") <= 100
    assert client.set("k", "w") and client.ttl("k") == -1
    assert client.set("k", "v", px=90_000) and 80_000 <= client.pttl("k") <= 90_000
    in_a_minute = int(time.time()) + 60
    assert client.set("k", "v", exat=in_a_minute) and client.expiretime("k") == in_a_minute
    assert client.set("k", "v", pxat=in_a_minute * 1000 + 7) and client.pexpiretime("k") == in_a_minute * 1000 + 7
    assert client.set("k", "v", pxat=1) and client.get("k") is None
    refused(ResponseError, "invalid expire time in 'set' command", client.execute_command, "SET", "k", "v", "EX", 0)
    refused(ResponseError, "syntax error", client.execute_command, "SET", "k", "v", "NX", "XX")


def other_string_commands(client):
    assert client.mset({"a": 1, "b": 2}) and client.mget("a", "b", "c") == [b"1", b"2", None]
    assert client.msetnx({"b": 3, "c": 3}) is False and client.get("c") is None
    assert client.append("s", "Hello ") == 6 and client.append("s", "World") == 11
    assert client.strlen("s") == 11 and client.getrange("s", -5, -1) == b"World" and client.substr("s", 0, 4) == b"Hello"
    assert client.setrange("s", 6, "Redis") == 11 and client.get("s") == b"Hello Redis"
    assert client.setrange("padded", 3, "x") == 4 and client.get("padded") == b"\0\0\0x"
    assert client.getset("a", "new") == b"1" and client.getdel("a") == b"new" and client.get("a") is None
    assert client.getex("b", ex=50) == b"2" and 45 <= client.ttl("b") <= 50
    assert client.getex("b", persist=True) == b"2" and client.ttl("b") == -1
    assert client.setnx("b", 1) is False and client.setex("e", 10, "x") and client.psetex("p", 10_000, "x")
    assert client.mset({"x": "ohmytext", "y": "mynewtext"}) and client.lcs("x", "y") == b"mytext"
    assert client.lcs("x", "y", len=True) == 6


def counts(client):
    assert client.incr("n") == 1 and client.incrby("n", 41) == 42 and client.decr("n") == 41 and client.decrby("n", 50) == -9
    assert client.incrbyfloat("f", 3.0) == 3.0 and client.incrbyfloat("f", 0.25) == 3.25
    client.set("max", 2**63 - 1)
    refused(ResponseError, "increment or decrement would overflow", client.incr, "max")
    client.set("text", "abc")
    refused(ResponseError, "value is not an integer or out of range", client.incr, "text")


def pipelines(client):
    with client.pipeline(transaction=False) as pipe:
        for number in range(1000):
            pipe.set(f"p:{number}", number)
        for number in range(1000):
            pipe.get(f"p:{number}")
        answers = pipe.execute()
    assert answers == [True] * 1000 + [b"%d" % number for number in range(1000)]
    with client.pipeline(transaction=False) as pipe:
        pipe.set("t", "text").incr("t").get("t")
        first, error, last = pipe.execute(raise_on_error=False)
    assert first is True and isinstance(error, ResponseError) and last == b"text"


def transactions(client):
    need(client, "DISCARD")
    with client.pipeline(transaction=True) as pipe:
        assert pipe.set("a", 1).incr("a").execute() == [True, 2]


def expiry(client):
    client.set("k", "v")
    assert client.ttl("k") == -1 and client.ttl("none") == -2 and client.persist("k") is False
    assert client.expire("k", 100, xx=True) is False and client.expire("k", 100, nx=True) is True
    assert client.expire("k", 50, gt=True) is False and client.expire("k", 50, lt=True) is True
    assert client.expire("k", 200, gt=True) is True and client.persist("k") is True and client.pttl("k") == -1
    at = int(time.time()) + 1000
    assert client.expireat("k", at) and client.expiretime("k") == at
    assert client.pexpireat("k", at * 1000 + 5) and client.pexpiretime("k") == at * 1000 + 5
    assert client.pexpire("k", 30) is True
    wait_for(lambda: client.get("k") is None)
    assert client.exists("k") == 0
    client.set("past", "v")
    assert client.expireat("past", 1) is True and client.exists("past") == 0


def iterates_with_scan(client):
    client.mset({f"user:{number}": number for number in range(2000)})
    client.mset({f"order:{number}": number for number in range(500)})
    assert {key for key in client.scan_iter("user:*", count=100)} == {b"user:%d" % number for number in range(2000)}
    assert len(set(client.scan_iter(count=1000))) == 2500
    assert len(set(client.scan_iter(_type="string"))) == 2500 and not list(client.scan_iter(_type="hash"))
    assert len(client.keys("order:1?")) == 10
    assert client.dbsize() == 2500 and client.randomkey().startswith((b"user:", b"order:"))


def bits(client):
    assert client.setbit("b", 7, 1) == 0 and client.getbit("b", 7) == 1 and client.getbit("b", 1000) == 0
    client.set("b", b"\xff\xf0\x00")
    assert client.bitcount("b") == 12 and client.bitcount("b", 1, 1) == 4 and client.bitcount("b", 0, 9, "BIT") == 10
    assert client.bitpos("b", 0) == 12 and client.bitpos("b", 1, 2) == -1
    client.set("c", b"\x0f\x0f")
    assert client.bitop("AND", "d", "b", "c") == 3 and client.get("d") == b"\x0f\x00\x00"
    assert client.bitop("XOR", "d", "b", "c") == 3 and client.bitop("NOT", "d", "c") == 2 and client.get("d") == b"\xf0\xf0"
    field = client.bitfield("f").set("u8", "#1", 200).incrby("i5", 100, 1).get("u4", 0)
    assert field.execute() == [0, 1, 0]
    assert client.bitfield("f", "SAT").incrby("u8", 8, 100).execute() == [255]
    assert client.bitfield("f", "FAIL").incrby("u8", 8, 100).execute() == [None]
    assert client.bitfield_ro("f", "u8", 8) == [255]


def key_commands(client):
    client.mset({"a": 1, "b": 2, "c": "text"})
    assert client.exists("a", "b", "none", "a") == 3 and client.touch("a", "none") == 1
    assert client.type("a") == b"string" and client.type("none") == b"none"
    assert client.rename("a", "z") is True and client.renamenx("z", "b") is False
    refused(ResponseError, "no such key", client.rename, "none", "x")
    assert client.copy("c", "d") and not client.copy("c", "d") and client.copy("c", "d", replace=True)
    assert client.object("encoding", "b") == b"int" and client.object("encoding", "c") == b"embstr"
    assert client.memory_usage("c") > 0 and client.memory_usage("none") is None
    assert client.delete("b", "c", "none") == 2 and client.unlink("d") == 1


def several_databases(client):
    other = again(client)
    other.select(OTHER_DATABASE)
    other.flushdb()
    client.set("k", "v")
    assert client.move("k", OTHER_DATABASE) and other.get("k") == b"v" and client.get("k") is None
    client.set("here", 1)
    assert client.swapdb(DATABASE, OTHER_DATABASE) and client.get("k") == b"v" and other.get("here") == b"1"
    refused(ResponseError, "DB index is out of range", client.select, 1_000_000)
    other.flushdb()
    other.close()


def names_its_client(client):
    assert client.client_getname() is None
    assert client.client_setname("compat") is True and client.client_getname() in ("compat", b"compat")
    assert client.client_id() == int(client.client_info()["id"])
    assert client.client_info()["db"] == DATABASE
    assert any(entry["name"] == "compat" for entry in client.client_list())
    refused(ResponseError, "Client names cannot contain spaces", client.client_setname, "a b")


def tells_its_library(client):
    need(client, "CLIENT", "SETINFO", "LIB-NAME", "compat")
    assert client.client_setinfo("LIB-NAME", "compat") and client.client_setinfo("LIB-VER", "1.0")
    assert client.client_info()["lib-name"] == "compat" and client.client_info()["lib-ver"] == "1.0"


def reads_and_sets_configuration(client):
    assert set(client.config_get("maxmemory", "maxmemory-policy")) == {"maxmemory", "maxmemory-policy"}
    assert len(client.config_get("maxmemory*")) >= 3 and client.config_get("nosuch") == {}
    before = client.config_get("slowlog-max-len")["slowlog-max-len"]
    assert client.config_set("slowlog-max-len", 77) and client.config_get("slowlog-max-len")["slowlog-max-len"] == "77"
    assert client.config_set("slowlog-max-len", before)
    refused(ResponseError, "Unknown option", client.config_set, "nosuch", 1)
    assert client.config_resetstat() is True


def parses_info(client):
    client.set("k", "v", ex=100)
    info = client.info()
    assert info["redis_version"] and isinstance(info["used_memory"], int) and info["connected_clients"] >= 1
    assert isinstance(info["uptime_in_seconds"], int) and info["role"] in ("master", "slave")
    assert info[f"db{DATABASE}"]["keys"] == 1 and info[f"db{DATABASE}"]["expires"] == 1
    assert client.info("commandstats")["cmdstat_set"]["calls"] >= 1
    assert set(client.info("cpu")) >= {"used_cpu_sys", "used_cpu_user"}
    assert "keyspace_hits" in client.info("stats") and "maxmemory_policy" in client.info("memory")


def server_commands(client):
    seconds, microseconds = client.time()
    assert abs(seconds - time.time()) < 5 and 0 <= microseconds < 1_000_000
    commands = client.command()
    assert client.command_count() == len(commands) and "get" in commands
    assert client.command_getkeys("MSET", "a", 1, "b", 2) in (["a", "b"], [b"a", b"b"])
    assert client.slowlog_reset() is True and client.slowlog_len() == 0 and isinstance(client.slowlog_get(), list)
    assert client.latency_latest() == [] or client.latency_reset() >= 0
    assert client.memory_stats()["total.allocated"] > 0
    assert b"Redis ver." in client.execute_command("LOLWUT")
    assert client.role()[0] in ("master", b"master") and client.wait(0, 10) == 0


def keeps_bytes_as_they_are(client):
    every_byte = bytes(range(256))
    for key in (b"\0", b"a b", b"line\r\nbreak", every_byte, "schlüssel".encode()):
        assert client.set(key, every_byte + key) and client.get(key) == every_byte + key
    assert len(client.keys("*")) == 5
    assert client.set("", "empty key") and client.get("") == b"empty key"
    assert client.set("empty", b"") and client.get("empty") == b""
    decoding = again(client, decode_responses=True)
    assert decoding.set("text", "grün ☂") and decoding.get("text") == "grün ☂"
    decoding.close()


def large_values(client):
    for size in (16_383, 16_384, 65_536, 1_000_000, 16_000_000):
        value = bytes([size % 251]) * (size - 5) + b"\r\nend"
        assert client.set("large", value) and client.get("large") == value and client.strlen("large") == size
    client.mset({f"m:{number}": b"x" * 1_000_000 for number in range(8)})
    assert [len(value) for value in client.mget([f"m:{number}" for number in range(8)])] == [1_000_000] * 8


def errors_have_their_class(client):
    refused(ResponseError, "wrong number of arguments for 'get' command", client.execute_command, "GET")
    refused(ResponseError, "unknown command 'NOSUCH'", client.execute_command, "NOSUCH", "x")
    refused(ResponseError, "unknown subcommand 'NOSUCH'", client.execute_command, "CLIENT", "NOSUCH")
    refused(ResponseError, "value is not an integer", client.execute_command, "SETRANGE", "k", "x", "v")
    refused(ResponseError, "bit offset is not an integer", client.setbit, "k", -1, 1)
    refused(ResponseError, "string exceeds maximum allowed size", client.setrange, "k", 536_870_912, "x")
    assert client.ping() is True


def wrong_type(client):
    need(client, "LPUSH", "list", "x")
    refused(ResponseError, "Operation against a key holding the wrong kind of value", client.get, "list")


def memory_limit_refuses_writes(client):
    kept = client.config_get("maxmemory", "maxmemory-policy")
    try:
        assert client.config_set("maxmemory-policy", "noeviction", "maxmemory", 1)
        refused(OutOfMemoryError, "command not allowed when used memory > 'maxmemory'", client.set, "k", "v")
        assert client.get("k") is None and client.delete("k") == 0
    finally:
        client.config_set("maxmemory", kept["maxmemory"], "maxmemory-policy", kept["maxmemory-policy"])
    assert client.set("k", "v") is True


def reconnects_after_client_kill(client):
    other = again(client)
    client.set("k", "v")
    victim = client.client_id()
    assert other.client_kill_filter(_id=victim) == 1
    assert client.get("k") == b"v" and client.client_id() != victim
    refused(ResponseError, "No such client", other.client_kill, "127.0.0.1:1")
    other.close()


def pauses_writes(client):
    other = again(client)
    other.client_pause(60_000, all=False)
    try:
        assert client.get("k") is None
        writer = threading.Thread(target=client.set, args=("k", "v"))
        writer.start()
        wait_for(lambda: other.info("clients")["blocked_clients"] >= 1)
        assert other.get("k") is None
    finally:
        other.client_unpause()
    writer.join(DEADLINE_SECONDS)
    assert other.get("k") == b"v"
    other.close()


def monitors(client):
    other = again(client)
    with client.monitor() as monitor:
        other.set("watched", "value")
        seen = (command["command"] for command in monitor.listen())
        assert "SET watched value" in (next(seen) for _ in range(10))
    other.close()


def pool_of_fifty(client):
    pool = redis.BlockingConnectionPool(
        host=HOST, port=PORT, db=DATABASE, max_connections=POOL_SIZE, timeout=DEADLINE_SECONDS,
        protocol=client.connection_pool.connection_kwargs["protocol"] or 3,
    )
    shared = redis.Redis(connection_pool=pool)
    at_once = threading.Barrier(POOL_SIZE)

    def work():
        connection = pool.get_connection()
        at_once.wait(DEADLINE_SECONDS)
        pool.release(connection)
        for _ in range(100):
            shared.incr("hits")

    threads = [threading.Thread(target=work) for _ in range(POOL_SIZE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shared.get("hits") == b"%d" % (POOL_SIZE * 100)
    assert client.info("clients")["connected_clients"] >= POOL_SIZE
    pool.disconnect()


def asynchronous_client(client):
    async def gather():
        options = {"protocol": client.connection_pool.connection_kwargs["protocol"] or 3}
        async with redis.asyncio.Redis(host=HOST, port=PORT, db=DATABASE, **options) as asynchronous:
            await asynchronous.set("k", "v")
            answers = await asyncio.gather(*(asynchronous.get("k") for _ in range(50)))
            assert answers == [b"v"] * 50

    asyncio.run(gather())


def resets_and_quits(client):
    with again(client, single_connection_client=True) as single:
        single.client_setname("before")
        assert single.execute_command("RESET") in (b"RESET", "RESET")
        assert single.execute_command("QUIT") in (True, b"OK", "OK")


CHECKS = (
    connects_in_the_protocol,
    sets_with_every_option,
    other_string_commands,
    counts,
    pipelines,
    transactions,
    expiry,
    iterates_with_scan,
    bits,
    key_commands,
    several_databases,
    names_its_client,
    tells_its_library,
    reads_and_sets_configuration,
    parses_info,
    server_commands,
    keeps_bytes_as_they_are,
    large_values,
    errors_have_their_class,
    wrong_type,
    memory_limit_refuses_writes,
    reconnects_after_client_kill,
    pauses_writes,
    monitors,
    pool_of_fifty,
    asynchronous_client,
    resets_and_quits,
)


if __name__ == "__main__":
    sys.exit(main())
