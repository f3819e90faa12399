//! Keyspace notifications: the same requests to Forebay and to a real redis-server must cause the same events, in the
//! same order.

use crate::client::{Client, Value};
use crate::deadline::{Deadline, PATIENCE};
use crate::server::{Server, redis_server};

/// Requests whose events are compared: lines of one case each, requests between semicolons. Every case begins with
/// empty databases.
#[rustfmt::skip] // A table: one case a line.
const CASES: &[&str] = &[
    // Texts.
    "set k v; set k v; set k v keepttl; set k 1 ex 100; set k v nx; set new v xx; set k v get; set k v px 100000 get",
    "setnx k v; setnx k v; setex k 100 v; psetex k 100000 v; getset k w; getset other w",
    "get k; getdel k; set k v; getdel k; getex k; set k v; getex k; getex k ex 100; getex k persist; getex k persist; getex k exat 1",
    "mset a 1 b 2 a 3; msetnx c 1 d 2; msetnx c 1 e 2",
    "append k a; append k b; append k ''; setrange k 3 xyz; setrange k 0 ''; setrange new 0 ''; setrange new 1 x",
    "incr n; decr n; incrby n 5; decrby n 2; incrbyfloat n 1.5; incr k; set k v; incr k",
    "setbit b 7 1; setbit b 7 1; bitfield b set u8 0 255 incrby u8 0 1; bitfield b get u8 0; bitfield nosuch get u8 0; bitop not c b; bitop and d nosuch; bitop or c nosuch",
    "mget a b; exists a; strlen a; getrange a 0 -1; substr a 0 0; type a; ttl a; object encoding a; touch a; dump a",
    "getbit a 1; bitcount a; bitpos a 1; lcs a b; bitfield_ro a get u8 0",
    // Keys and deadlines.
    "set k v; del k; del k; set a 1; set b 2; del a b c; set k v; unlink k nosuch",
    "set k v; expire k 100; expire k 100 nx; expire k 200 gt; pexpire k 100000; expireat k 4102444800; pexpireat k 4102444800000; persist k; persist k; expire nosuch 1",
    "set k v; expire k 0; set k v; expire k -1; set k v; pexpireat k 1; set k v; expireat k 1; set k v exat 1",
    "set a 1; rename a b; set a 2; rename a b; renamenx b c; set d 1; renamenx c d; rename d d; rename nosuch d",
    "set a 1; copy a b; copy a b; copy a b replace; copy nosuch b; copy a c db 1",
    "set a 1; move a 1; set a 2; move a 1; select 1; move a 0; select 0; flushdb; flushall",
    "set a 1; swapdb 0 1; randomkey; keys *; scan 0; dbsize",
    "set k v px 1; wait-until-gone k; get k; set k v px 1; wait-until-gone k; set k w",
    "set k v; restore r 0 dump-of-k; restore r 0 dump-of-k replace; restore t 1 dump-of-k absttl; restore r 1 dump-of-k absttl replace",
    "multi; set a 1; del a; get nosuch; exec",
    // Hashes.
    "hset h f v; hset h f v; hset h f w g x; hmset h f v; hsetnx h f v; hsetnx h n v; hincrby h i 1; hincrbyfloat h i 1.5; hdel h f; hdel h f; hdel h g n i",
    "hset h f v; hincrby h f 1; hget h f; hget nosuch f; hgetall nosuch; hmget nosuch f; hlen nosuch; hkeys nosuch; hrandfield nosuch; hscan nosuch 0; hexists nosuch f; hstrlen nosuch f",
    // Lists.
    "lpush l a b; rpush l c; lpushx l d; rpushx nosuch d; lpop l; rpop l; rpop l 2; lpop l 0; lpop nosuch; llen nosuch; lrange nosuch 0 1; lindex nosuch 0; lpos nosuch a",
    "rpush l a b c a; linsert l before b x; linsert l before nosuch x; lset l 0 y; lrem l 0 nosuch; lrem l 0 a; ltrim l 0 0; ltrim l 1 0; linsert nosuch before a b; lset nosuch 0 a; lrem nosuch 0 a; ltrim nosuch 0 1",
    "rpush l a b; rpoplpush l m; lmove l m left right; rpoplpush l m; lmove m m left right; lmove m m left right; lmpop 2 l m left count 2; lmpop 1 nosuch left",
    "rpush l a; lrem l 0 a; rpush l a b c; blpop l 1; brpop nosuch l 1; blmove l m left left 1; brpoplpush m l 1; blmpop 1 1 l left",
    // Sets.
    "sadd s a b; sadd s a; srem s a x; srem s b; srem nosuch a; sadd s a; smove s t a; smove s t a; smove t t a; smove t u nosuch; sismember nosuch a; smembers nosuch; scard nosuch; smismember nosuch a; srandmember nosuch; sscan nosuch 0",
    "sadd s a; spop s; spop s; sadd s a b; spop s 0; spop s 5; sadd s a b c; spop s 3",
    "sadd a 1 2 3; sadd b 2 3 4; sinterstore d a b; sunionstore d a b; sdiffstore d a b; sinterstore d a nosuch; sinterstore d a nosuch; sdiffstore d nosuch a; sinter a nosuch; sunion nosuch; sdiff nosuch a; sintercard 2 a nosuch",
    // Sorted sets.
    "zadd z 1 a 2 b; zadd z 1 a; zadd z xx 3 a; zadd z nx 3 a; zadd z incr 1 a; zincrby z 1 a; zadd new xx 1 a; zadd z gt incr -5 a; zrem z nosuch; zrem z a; zrem z b; zrem nosuch a",
    "zadd z 1 a 2 b 3 c 4 d 5 e 6 f; zpopmin z; zpopmax z 2; zpopmin z 0; zremrangebyscore z 2 2; zremrangebyrank z 5 6; zremrangebylex z [x [y; zremrangebyrank z 0 -1; zpopmin z; zremrangebyscore nosuch 0 1",
    "zadd z 1 a 2 b; zmpop 1 z min; zmpop 1 z max count 5; zmpop 1 nosuch min; zadd z 1 a 2 b; bzpopmin z 1; bzpopmax nosuch z 1; zadd z 1 a; bzmpop 1 1 z min",
    "zadd a 1 x 2 y; zadd b 1 y 2 z; zunionstore d 2 a b; zinterstore d 2 a b; zdiffstore d 2 a b; zinterstore d 2 a nosuch; zinterstore d 2 a nosuch; zrangestore d a 0 -1; zrangestore d nosuch 0 -1; zrangestore d nosuch 0 -1",
    "zscore nosuch a; zrank nosuch a; zcard nosuch; zrange nosuch 0 1; zcount nosuch 0 1; zlexcount nosuch - +; zmscore nosuch a; zrandmember nosuch; zrangebyscore nosuch 0 1; zscan nosuch 0; zunion 1 nosuch; zinter 2 nosuch x; zdiff 1 nosuch; zintercard 1 nosuch",
    // Geographic positions.
    "geoadd g 13.361389 38.115556 p 15.087269 37.502669 c; geoadd g nx 1 1 p; geosearchstore d g fromlonlat 15 37 byradius 200 km; geosearchstore d nosuch fromlonlat 15 37 byradius 200 km; geopos nosuch p; geosearch nosuch fromlonlat 1 1 byradius 1 m; georadius g 15 37 200 km store e; georadius g 1 1 1 m store e; geodist nosuch a b; geohash nosuch a",
    // HyperLogLogs.
    "pfadd p a b; pfadd p a; pfadd q; pfadd q; pfcount p; pfcount p; pfcount nosuch; pfmerge m p q; pfmerge m; pfcount m p",
    // Streams.
    "xadd x 1-1 f v; xadd x 2-1 f v; xadd new nomkstream 1-1 f v; xadd x maxlen 1 3-1 f v; xtrim x maxlen 5; xtrim x maxlen 0; xdel x 9-9; xadd x 4-1 f v; xdel x 4-1; xsetid x 9-9; xlen nosuch; xrange nosuch - +; xdel nosuch 1-1; xtrim nosuch maxlen 0; xsetid nosuch 1-1",
    "xgroup create x g $ mkstream; xgroup create x g $; xadd x 1-1 f v; xgroup createconsumer x g c; xgroup createconsumer x g c; xgroup setid x g 0; xreadgroup group g d streams x >; xreadgroup group g c streams x 0; xgroup delconsumer x g d; xgroup delconsumer x g nosuch; xgroup destroy x g; xgroup destroy x g",
    "xgroup create x g 0 mkstream; xadd x 1-1 f v; xadd x 1-2 f v; xreadgroup group g c count 1 streams x >; xack x g 1-1; xclaim x g d 0 1-1; xclaim x g d 0 1-1 force; xautoclaim x g e 0 0; xread streams x 0; xread streams nosuch 0; xinfo stream x; xinfo groups x; xpending x g; xpending nosuch g; xack nosuch g 1-1",
    // Sorting.
    "rpush l 3 1 2; sort l; sort l store d; sort nosuch store d; sort nosuch store d; sort nosuch; sort_ro nosuch; sort l by w* get h*->f",
    // Who waited is served with events of both.
    "@2 blpop w 0; rpush w a; @2 brpoplpush w v 0; rpush w a b; @2 bzpopmin y 0; zadd y 1 a; @2 blmove w2 w3 left right 0; set o 1; rpush w4 a; rename w4 w2",
];

/// Everything that can be published.
const ALL: &str = "AKEnm";

#[test]
fn the_same_events_as_in_redis() {
    let Some(redis) = redis_server() else { return };
    let (mut ours, mut theirs) = (
        Watched::new(Server::forebay(&[])),
        Watched::new(Server::start(&redis, &[])),
    );
    let mut differing = Vec::new();
    for case in CASES {
        let (ours, theirs) = (ours.events_of(case), theirs.events_of(case));
        if ours != theirs {
            differing.push(differences(case, &ours, &theirs));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// A server with a client that asks and one that listens to all events.
struct Watched {
    server: Server,
    asking: Client,
    listening: Client,
    waiting: Client,
    /// Not in a transaction, as the one that asks may be.
    marking: Client,
    markers: usize,
}

impl Watched {
    fn new(server: Server) -> Self {
        let (mut asking, mut listening) = (server.connect(), server.connect());
        asking
            .call(&["CONFIG", "SET", "notify-keyspace-events", ALL])
            .unwrap();
        listening.call(&["PSUBSCRIBE", "__key*__:*"]).unwrap();
        let (waiting, marking) = (server.connect(), server.connect());
        Self {
            server,
            asking,
            listening,
            waiting,
            marking,
            markers: 0,
        }
    }

    /// The events of each request, with the request.
    fn events_of(&mut self, case: &str) -> Vec<(String, Vec<String>)> {
        self.asking.call(&["FLUSHALL"]).unwrap();
        self.asking.call(&["SELECT", "0"]).unwrap();
        let requests = case.split("; ");
        requests
            .map(|request| (request.to_owned(), self.events_of_request(request)))
            .collect()
    }

    fn events_of_request(&mut self, request: &str) -> Vec<String> {
        let words: Vec<&str> = request
            .split(' ')
            .map(|word| if word == "''" { "" } else { word })
            .collect();
        match words[..] {
            ["wait-until-gone", key] => {
                let asking = &mut self.asking;
                let is_gone = || asking.call(&["EXISTS", key]).unwrap() == Value::Integer(0);
                assert!(Deadline::after(PATIENCE).poll(is_gone), "{key} does not expire");
            }
            ["@2", ..] => {
                self.waiting = self.server.connect();
                self.waiting.send(&words[1..]).unwrap();
                let asking = &mut self.asking;
                let is_waiting = || {
                    asking
                        .call(&["INFO", "clients"])
                        .unwrap()
                        .to_string()
                        .contains("blocked_clients:1")
                };
                assert!(
                    Deadline::after(PATIENCE).poll(is_waiting),
                    "{request} does not wait"
                );
            }
            _ => self.ask(&words),
        }
        self.events()
    }

    fn ask(&mut self, words: &[&str]) {
        let mut words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        if let Some(at) = words.iter().position(|word| word == b"dump-of-k") {
            let Value::Bulk(payload) = self.asking.call(&["DUMP", "k"]).unwrap() else {
                panic!("there is no k to dump")
            };
            words[at] = payload;
        }
        self.asking.call(&words).unwrap();
    }

    /// What was published since the last time.
    fn events(&mut self) -> Vec<String> {
        self.markers += 1;
        let marker = self.markers.to_string();
        let mut events = Vec::new();
        self.marking
            .call(&["PUBLISH", "__key-marker__:", &marker])
            .unwrap();
        loop {
            let Value::Array(message) = self.listening.receive().unwrap() else {
                panic!("a message is an array")
            };
            let [.., channel, content] = &message[..] else {
                panic!("a message has a channel")
            };
            if *content == Value::Bulk(marker.clone().into()) {
                return events;
            }
            events.push(format!("{channel} {content}"));
        }
    }
}

fn differences(case: &str, ours: &[(String, Vec<String>)], theirs: &[(String, Vec<String>)]) -> String {
    let differing = ours.iter().zip(theirs).filter(|(ours, theirs)| ours != theirs);
    let lines = differing.map(|(ours, theirs)| {
        format!(
            "  {}\n    forebay: {:?}\n    redis:   {:?}",
            ours.0, ours.1, theirs.1
        )
    });
    format!("{case}\n{}", lines.collect::<Vec<_>>().join("\n"))
}
