// Uses a server as an application with ioredis would, in RESP3 (its default) and in RESP2.
// usage: node basic_use.js HOST PORT      Flushes databases 14 and 15.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Redis } from "ioredis";

const [host, port] = [process.argv[2], Number(process.argv[3])];
const { version } = JSON.parse(readFileSync(new URL("node_modules/ioredis/package.json", import.meta.url)));
const DATABASE = 15;
const OTHER_DATABASE = 14;
const POOL_SIZE = 50;
const DEADLINE_MS = 5000;

/** The server says it does not know what the check needs; the message says what. */
class Skip extends Error {}

async function main() {
  const counts = { PASS: 0, FAIL: 0, SKIP: 0 };
  for (const options of [{}, { protocol: 2 }, { protocol: 3, replyMapping: "resp3" }]) {
    for (const check of CHECKS) {
      counts[await outcome(check, options)] += 1;
    }
  }
  if (counts.SKIP) console.log(`${counts.SKIP} skipped`);
  console.log(`${counts.PASS} passed, ${counts.FAIL} failed`);
  process.exit(counts.FAIL ? 1 : 0); // A failed check may have left connections open.
}

async function outcome(check, options) {
  const name = `ioredis ${version}, ${described(options)}: ${check.name.replace(/[A-Z]/g, (c) => ` ${c.toLowerCase()}`)}`;
  const client = connect(options);
  try {
    await client.flushdb();
    await within(4 * DEADLINE_MS, check(client));
    console.log(`PASS ${name}`);
    return "PASS";
  } catch (error) {
    const kind = error instanceof Skip ? "SKIP" : "FAIL";
    console.log(`${kind} ${name}${kind === "SKIP" ? `: ${error.message}` : `\n     ${error.stack.replace(/\n/g, "\n     ")}`}`);
    return kind;
  } finally {
    client.disconnect();
  }
}

function described(options) {
  if (!options.protocol) return "default protocol";
  return `RESP${options.protocol}${options.replyMapping ? " with maps" : ""}`;
}

function connect(options) {
  const client = new Redis({ host, port, db: DATABASE, connectTimeout: DEADLINE_MS, ...options });
  client.on("error", () => {}); // The command that fails tells it.
  return client;
}

/** A second client that speaks the same protocol as `client`. */
function again(client, options = {}) {
  const { protocol, replyMapping } = client.options;
  return connect({ protocol, replyMapping, ...options });
}

function within(limitMs, promise) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end within ${limitMs} ms`)), limitMs);
  });
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

async function waitFor(condition) {
  const deadline = Date.now() + DEADLINE_MS;
  while (!(await condition())) {
    assert(Date.now() < deadline, "the condition did not come true");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Asserts that the call is answered by an error of the server with this text in it. */
function refused(text, promise) {
  return assert.rejects(promise, (error) => {
    assert.equal(error.name, "ReplyError");
    assert(error.message.includes(text), error.message);
    return true;
  });
}

/** Skips the check where the server does not know the command, or the subcommand. */
async function need(client, ...words) {
  try {
    await client.call(...words);
  } catch (error) {
    if (/unknown (sub)?command/.test(error.message)) throw new Skip(error.message);
  }
}

/** A map reply as an object: RESP2 and ioredis's default mapping give a flat array. */
function asObject(reply) {
  if (!Array.isArray(reply)) return reply;
  const pairs = [];
  for (let at = 0; at < reply.length; at += 2) pairs.push([reply[at], reply[at + 1]]);
  return Object.fromEntries(pairs);
}

function infoField(text, name) {
  return text.match(new RegExp(`^${name}:(.*)\r$`, "m"))?.[1];
}

async function connectsInTheProtocol(client) {
  assert.equal(await client.ping(), "PONG");
  assert.equal(await client.echo("hello"), "hello");
  assert.match(await client.client("INFO"), new RegExp(`resp=${client.options.protocol}\\b`));
  assert.equal(asObject(await client.call("HELLO")).proto, client.options.protocol);
}

async function setsWithEveryOption(client) {
  assert.equal(await client.set("k", "v"), "OK");
  assert.equal(await client.set("k", "w", "NX"), null);
  assert.equal(await client.set("none", "w", "XX"), null);
  assert.equal(await client.set("k", "w", "XX"), "OK");
  assert.equal(await client.set("k", "x", "GET"), "w");
  assert.equal(await client.set("none", "x", "GET"), null);
  assert.equal(await client.set("k", "v", "EX", 100), "OK");
  assert.equal(await client.set("k", "w", "KEEPTTL"), "OK");
  assert((await client.ttl("k")) >= 95);
  assert.equal(await client.set("k", "v", "PX", 90_000, "XX"), "OK");
  assert((await client.pttl("k")) > 80_000);
  const inAMinute = Math.floor(Date.now() / 1000) + 60;
  assert.equal(await client.set("k", "v", "EXAT", inAMinute), "OK");
  assert.equal(await client.expiretime("k"), inAMinute);
  assert.equal(await client.set("k", "v", "PXAT", inAMinute * 1000 + 7), "OK");
  assert.equal(await client.pexpiretime("k"), inAMinute * 1000 + 7);
  await refused("invalid expire time in 'set' command", client.set("k", "v", "EX", 0));
  await refused("syntax error", client.call("SET", "k", "v", "NX", "XX"));
}

async function otherStringCommands(client) {
  assert.equal(await client.mset({ a: 1, b: 2 }), "OK");
  assert.deepEqual(await client.mget("a", "b", "none"), ["1", "2", null]);
  assert.equal(await client.msetnx("b", 3, "c", 3), 0);
  assert.equal(await client.append("s", "Hello World"), 11);
  assert.equal(await client.getrange("s", -5, -1), "World");
  assert.equal(await client.setrange("s", 6, "Redis"), 11);
  assert.equal(await client.getdel("a"), "1");
  assert.equal(await client.getex("b", "EX", 50), "2");
  assert((await client.ttl("b")) > 45);
  assert.equal(await client.strlen("s"), 11);
  await client.mset("x", "ohmytext", "y", "mynewtext");
  assert.equal(await client.lcs("x", "y"), "mytext");
  assert.equal(asObject(await client.lcs("x", "y", "IDX")).len, 6);
}

async function counts(client) {
  assert.deepEqual([await client.incr("n"), await client.incrby("n", 41), await client.decr("n")], [1, 42, 41]);
  assert.equal(Number(await client.incrbyfloat("f", 3.25)), 3.25);
  await client.set("text", "abc");
  await refused("value is not an integer or out of range", client.incr("text"));
}

async function pipelines(client) {
  const pipeline = client.pipeline();
  for (let number = 0; number < 1000; number += 1) pipeline.set(`p:${number}`, number);
  for (let number = 0; number < 1000; number += 1) pipeline.get(`p:${number}`);
  const answers = await pipeline.exec();
  assert.equal(answers.length, 2000);
  assert.deepEqual(answers[1999], [null, "999"]);
  const [[, first], [error], [, last]] = await client.pipeline().set("t", "text").incr("t").get("t").exec();
  assert.deepEqual([first, error.name, last], ["OK", "ReplyError", "text"]);
}

async function pipelinesAutomatically(client) {
  const automatic = again(client, { enableAutoPipelining: true });
  const keys = Array.from({ length: 500 }, (_, number) => `a:${number}`);
  await Promise.all(keys.map((key) => automatic.set(key, key)));
  assert.deepEqual(await Promise.all(keys.map((key) => automatic.get(key))), keys);
  automatic.disconnect();
}

async function transactions(client) {
  await need(client, "DISCARD");
  assert.deepEqual(await client.multi().set("a", 1).incr("a").exec(), [[null, "OK"], [null, 2]]);
}

async function expiry(client) {
  await client.set("k", "v");
  assert.deepEqual([await client.ttl("k"), await client.ttl("none"), await client.persist("k")], [-1, -2, 0]);
  assert.deepEqual([await client.expire("k", 100, "XX"), await client.expire("k", 100, "NX")], [0, 1]);
  assert.deepEqual([await client.expire("k", 50, "GT"), await client.expire("k", 50, "LT")], [0, 1]);
  assert.equal(await client.persist("k"), 1);
  assert.equal(await client.pexpire("k", 30), 1);
  await waitFor(async () => (await client.get("k")) === null);
  assert.equal(await client.exists("k"), 0);
}

async function iteratesWithScan(client) {
  const users = Array.from({ length: 2000 }, (_, number) => `user:${number}`);
  await client.mset(users.flatMap((key) => [key, "x"]));
  await client.mset("order:1", "x", "order:2", "x");
  const seen = new Set();
  for await (const keys of client.scanStream({ match: "user:*", count: 100 })) keys.forEach((key) => seen.add(key));
  assert.deepEqual(seen, new Set(users));
  assert.equal((await client.keys("order:?")).length, 2);
  assert.equal(await client.dbsize(), 2002);
}

async function bits(client) {
  assert.deepEqual([await client.setbit("b", 7, 1), await client.getbit("b", 7)], [0, 1]);
  await client.set("b", Buffer.from([0xff, 0xf0, 0x00]));
  assert.deepEqual([await client.bitcount("b"), await client.bitpos("b", 0)], [12, 12]);
  assert.equal(await client.bitop("NOT", "d", "b"), 3);
  assert.deepEqual(await client.getBuffer("d"), Buffer.from([0x00, 0x0f, 0xff]));
  assert.deepEqual(await client.bitfield("f", "SET", "u8", "#1", 200, "GET", "u8", 8), [0, 200]);
  assert.deepEqual(await client.bitfield("f", "OVERFLOW", "FAIL", "INCRBY", "u8", 8, 100), [null]);
}

async function keyCommands(client) {
  await client.mset("a", 1, "b", 2, "c", "text");
  assert.deepEqual([await client.exists("a", "b", "none", "a"), await client.touch("a", "none")], [3, 1]);
  assert.deepEqual([await client.type("a"), await client.type("none")], ["string", "none"]);
  assert.deepEqual([await client.rename("a", "z"), await client.renamenx("z", "b")], ["OK", 0]);
  await refused("no such key", client.rename("none", "x"));
  assert.deepEqual([await client.copy("c", "d"), await client.copy("c", "d"), await client.copy("c", "d", "REPLACE")], [1, 0, 1]);
  assert.equal(await client.object("ENCODING", "b"), "int");
  assert((await client.memory("USAGE", "c")) > 0);
  assert.deepEqual([await client.del("b", "c", "none"), await client.unlink("d")], [2, 1]);
}

async function severalDatabases(client) {
  const other = again(client, { db: OTHER_DATABASE });
  await other.flushdb();
  await client.set("k", "v");
  assert.equal(await client.move("k", OTHER_DATABASE), 1);
  assert.deepEqual([await other.get("k"), await client.get("k")], ["v", null]);
  await refused("DB index is out of range", client.select(1_000_000));
  await other.flushdb();
  other.disconnect();
}

async function namesItsClient(client) {
  assert.equal(await client.client("GETNAME"), null);
  assert.equal(await client.client("SETNAME", "compat"), "OK");
  assert.equal(await client.client("GETNAME"), "compat");
  assert.match(await client.client("LIST"), /name=compat /);
  assert.match(await client.client("INFO"), new RegExp(`^id=${await client.client("ID")} .* db=${DATABASE} `));
  const named = again(client, { connectionName: "at-connect" });
  assert.equal(await named.client("GETNAME"), "at-connect");
  named.disconnect();
}

async function tellsItsLibrary(client) {
  await need(client, "CLIENT", "SETINFO", "LIB-NAME", "compat");
  assert.match(await client.client("INFO"), /lib-name=compat lib-ver=\S+/);
}

async function readsAndSetsConfiguration(client) {
  const settings = asObject(await client.config("GET", "maxmemory", "maxmemory-policy"));
  assert.deepEqual(Object.keys(settings).sort(), ["maxmemory", "maxmemory-policy"]);
  const before = asObject(await client.config("GET", "slowlog-max-len"))["slowlog-max-len"];
  assert.equal(await client.config("SET", "slowlog-max-len", 77), "OK");
  assert.deepEqual(asObject(await client.config("GET", "slowlog-max-len")), { "slowlog-max-len": "77" });
  assert.equal(await client.config("SET", "slowlog-max-len", before), "OK");
  await refused("Unknown option", client.config("SET", "nosuch", 1));
}

async function parsesInfo(client) {
  await client.set("k", "v", "EX", 100);
  const text = await client.info();
  assert(infoField(text, "redis_version"));
  assert(Number(infoField(text, "used_memory")) > 0);
  assert.match(infoField(text, `db${DATABASE}`), /^keys=1,expires=1,avg_ttl=\d+/);
  assert.equal(infoField(await client.info("server"), "used_memory"), undefined);
}

async function keepsBytesAsTheyAre(client) {
  const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  for (const key of [Buffer.from([0]), Buffer.from("line\r\nbreak"), everyByte, Buffer.from("schlüssel")]) {
    assert.equal(await client.set(key, Buffer.concat([everyByte, key])), "OK");
    assert.deepEqual(await client.getBuffer(key), Buffer.concat([everyByte, key]));
  }
  await client.set("", "");
  assert.deepEqual([await client.get(""), await client.dbsize()], ["", 5]);
  await client.set("text", "grün ☂");
  assert.equal(await client.get("text"), "grün ☂");
}

async function largeValues(client) {
  for (const size of [16_384, 1_000_000, 16_000_000]) {
    const value = Buffer.alloc(size, "x\r\n");
    await client.set("large", value);
    assert(value.equals(await client.getBuffer("large")));
  }
}

async function errorsHaveTheirClass(client) {
  await refused("ERR wrong number of arguments for 'get' command", client.call("GET"));
  await refused("ERR unknown command 'NOSUCH', with args beginning with: 'x'", client.call("NOSUCH", "x"));
  await refused("unknown subcommand 'NOSUCH'", client.call("CLIENT", "NOSUCH"));
  await refused("bit offset is not an integer", client.setbit("k", -1, 1));
  assert.equal(await client.ping(), "PONG");
}

async function wrongType(client) {
  await need(client, "LPUSH", "list", "x");
  await refused("WRONGTYPE", client.get("list"));
}

async function reconnectsAfterClientKill(client) {
  const other = again(client);
  await client.set("k", "v");
  const victim = await client.client("ID");
  assert.equal(await other.client("KILL", "ID", victim), 1);
  await waitFor(async () => (await client.client("ID")) !== victim);
  assert.equal(await client.get("k"), "v"); // The database is chosen again as well.
  other.disconnect();
}

async function monitors(client) {
  const other = again(client);
  const monitor = await other.monitor();
  const seen = new Promise((resolve) => {
    monitor.on("monitor", (_time, words) => words[1] === "watched" && resolve(words));
  });
  await client.set("watched", "value");
  assert.deepEqual(await seen, ["set", "watched", "value"]);
  monitor.disconnect();
  other.disconnect();
}

async function fiftyConnections(client) {
  const clients = Array.from({ length: POOL_SIZE }, () => again(client));
  await Promise.all(clients.map((one) => one.ping()));
  assert(Number(infoField(await client.info("clients"), "connected_clients")) > POOL_SIZE);
  await Promise.all(clients.flatMap((one) => Array.from({ length: 100 }, () => one.incr("hits"))));
  assert.equal(await client.get("hits"), String(POOL_SIZE * 100));
  await Promise.all(clients.map((one) => one.quit()));
}

const CHECKS = [
  connectsInTheProtocol,
  setsWithEveryOption,
  otherStringCommands,
  counts,
  pipelines,
  pipelinesAutomatically,
  transactions,
  expiry,
  iteratesWithScan,
  bits,
  keyCommands,
  severalDatabases,
  namesItsClient,
  tellsItsLibrary,
  readsAndSetsConfiguration,
  parsesInfo,
  keepsBytesAsTheyAre,
  largeValues,
  errorsHaveTheirClass,
  wrongType,
  reconnectsAfterClientKill,
  monitors,
  fiftyConnections,
];

await main();
