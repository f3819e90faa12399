//! Bounds that are not settings, each with its reason.

/// The longest word of a request unless `proto-max-bulk-len` says otherwise, as in Redis; also the longest
/// string that an upstream may send.
pub const BULK_BYTES_MAX: usize = 512 * 1024 * 1024;

/// The most words in one request: Redis's, the largest `int`. Announcing words costs nothing, and the
/// limit of the query buffer bounds how many can be sent.
pub const REQUEST_ARGS_MAX: usize = i32::MAX as usize;

/// The longest inline request, and the longest line that announces a count or a length, as in Redis.
pub const INLINE_BYTES_MAX: usize = 64 * 1024;

/// The most words in a request of a client that has not authenticated, as in Redis.
pub const UNAUTHENTICATED_ARGS_MAX: usize = 10;

/// The longest word in a request of a client that has not authenticated, as in Redis.
pub const UNAUTHENTICATED_BULK_BYTES_MAX: usize = 16 * 1024;

/// The most that a decoder or scanner advises to reserve for a value of which fewer bytes have come: an
/// announced length alone must not cost memory.
pub const READ_AHEAD_BYTES_MAX: usize = 64 * 1024;

/// Places of words for which a decoder keeps memory between requests, 16 bytes each: an idle connection
/// must stay small.
pub const DECODER_WORDS_KEPT_MAX: usize = 64;

/// Memory for unquoted words that a decoder keeps after an inline request.
pub const DECODER_INLINE_BYTES_KEPT_MAX: usize = 256;

/// Texts of floats from this length on are refused, as in Redis: an exact conversion is quadratic.
pub const FLOAT_TEXT_BYTES_MAX: usize = 5 * 1024;

/// Bytes that the compressed strings of one payload may unpack to, all together: as many as the longest string has.
/// A byte can stand for 88.
pub const PAYLOAD_UNPACKED_BYTES_MAX: usize = BULK_BYTES_MAX;

/// How deep aggregates of an upstream's reply may nest; `COMMAND DOCS`, the deepest known, needs 8 or so.
pub const FRAME_DEPTH_MAX: usize = 32;

/// The most elements in one reply of an upstream, all levels together: `KEYS *` of a large server passes.
pub const FRAME_ELEMENTS_MAX: usize = 1 << 26;

/// The longest line of an upstream's reply: statuses, errors and numbers.
pub const FRAME_LINE_BYTES_MAX: usize = 64 * 1024;

/// The store has `1 << SHARD_BITS` shards: many, so that locks are short, contention is rare, and a table that
/// grows does so for a thousandth of the entries.
pub const SHARD_BITS: u32 = 10;

/// Buckets of eight entries that one eviction looks at, at most: where only entries with a deadline may go and
/// few have one, a longer search would make the writer wait.
pub const EVICTION_BUCKETS_MAX: usize = 32;

/// Entries that one request evicts at most. More than one, so that the budget is reached again after a large
/// value; bounded, so that the request does not wait long.
pub const EVICTIONS_PER_REQUEST_MAX: usize = 64;

/// Entries that are evicted at most between two ticks of the sweep when nobody writes: some 20 ms.
pub const EVICTIONS_PER_TICK_MAX: usize = 16 * 1024;

/// Buckets of eight entries that a sweep reads while it holds a shard's lock: some 50 µs.
pub const SWEEP_BUCKETS_PER_SLICE: usize = 64;

/// Buckets that a sweep of the whole store reads at the least `active-expire-effort`, before it waits for the next
/// tick: some 20 ms, a fifth of the time between ticks.
pub const SWEEP_BUCKETS_PER_TICK: usize = 16 * 1024;

/// Dead fields of hashes that a sweep removes in one bucket before it goes on: some two milliseconds, while the shard
/// is locked. The next sweep finds the rest.
pub const SWEEP_FIELDS_PER_BUCKET: usize = 4096;

/// What waits to be freed by the reclaimer: whole databases and large values. Beyond that they are freed at once.
pub const RECLAIM_QUEUE: usize = 1024;

/// Entries from this size on are freed by the reclaimer: the allocator may give their pages back, which takes
/// longer than waking a thread.
pub const RECLAIM_BYTES_MIN: usize = 64 * 1024;

/// Entries that KEYS or SCAN look at before other connections of the worker get a turn: some 100 µs.
pub const SCAN_ENTRIES_PER_PIECE: usize = 1024;

/// Members that one command draws at random with repetition: a client may ask for 2⁶³ of them.
pub const RANDOM_PICKS_MAX: usize = 1 << 24;

/// Elements of a SORT, times the keys that it looks up for each, up to which all is done as one step: the shards of
/// all those keys are locked for it.
pub const SORT_LOOKUPS_MAX: usize = 1_000;

/// Times that SORT begins anew because its elements were changed meanwhile; then it keeps others out.
pub const SORT_ROUNDS_MAX: usize = 3;

/// First words of error replies that statistics tell apart: forwarded errors may begin with anything.
pub const ERROR_KINDS_MAX: usize = 128;

/// Room of a connection's buffers when it begins to read or write, as Redis has it. Idle connections have none.
pub const BUFFER_BYTES: usize = 16 * 1024;

/// Buffers that a worker keeps for the next connections that need one.
pub const POOLED_BUFFERS_MAX: usize = 64;

/// A pooled buffer that a large request or reply has grown beyond this is freed instead.
pub const POOLED_BUFFER_BYTES_MAX: usize = 256 * 1024;

/// Replies that one connection's requests may produce before they are sent.
pub const OUTPUT_BYTES_PER_TURN: usize = 1024 * 1024;

/// Replies that a client has not read, beyond which no more of its requests are executed until it reads.
pub const OUTPUT_PAUSE_BYTES: usize = 64 * 1024 * 1024;

/// Requests that one connection executes before others of its worker get a turn.
pub const REQUESTS_PER_TURN: usize = 1024;

/// After a protocol error the error is sent and input is discarded, so that the client can read it: at most so
/// many bytes and milliseconds.
pub const LINGER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// See [`LINGER_BYTES_MAX`].
pub const LINGER_MS_MAX: u64 = 2_000;

/// Absent keys of which a shard remembers that upstream lacks them or that they are not kept here; beyond that it
/// forgets those whose time is over, then all. They are not charged to `maxmemory`: 16 MB in all.
pub const ABSENT_KEYS_REMEMBERED_MAX: usize = 128;

/// Copies of one shard that are to be fetched anew and nobody has taken note of yet: they are wished for again with
/// the next read.
pub const REFRESH_WISHES_MAX: usize = 16;

/// Writes that upstream refused for good, as many as are kept for an operator to look at.
pub const DEAD_LETTERS_MAX: usize = 10_000;
/// Their bytes.
pub const DEAD_LETTERS_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Copies that are compared with upstream in one go.
pub const CHECK_ROUND_MAX: usize = 1024;

/// Keys that one SCAN of upstream is asked for.
pub const SCAN_KEYS_PER_CALL: usize = 1000;

/// Bytes of a file with names of hot keys that is read at start.
pub const WARM_FILE_BYTES_MAX: u64 = 1 << 30;

/// Bytes of the requests that carry them; a single one may be longer.
pub const CARRIED_BYTES_MAX: usize = 1024 * 1024;

/// Dirty keys that are carried upstream together: enough for a million a second at a round trip of a millisecond.
pub const CARRIED_TOGETHER_MAX: usize = 1024;

/// How long a command may still wait for upstream when its client sends no more, or the server shuts down.
pub const LEAVING_WAIT_MS_MAX: u64 = 5_000;

/// Bytes read at once while a connection's command waits: what comes then is mostly nothing.
pub const READ_AHEAD_CHUNK_BYTES: usize = 4 * 1024;

/// File descriptors that clients can't have: listeners, workers' pollers, upstream, files.
pub const DESCRIPTORS_RESERVED: u64 = 64;

/// Accepted sockets that a worker has not taken over yet.
pub const HANDOVER_QUEUE: usize = 4096;

/// Requests of a pipelined batch that are decoded before the first of them runs, so that their entries are fetched
/// from memory side by side.
pub const LOOKAHEAD_REQUESTS: usize = 16;

/// Connections to the HTTP port at a time; further ones wait. A few scrapers and probes need no more.
pub const HTTP_CONNECTIONS_MAX: usize = 64;

/// After so long a connection to the HTTP port is closed, so that silent ones don't keep others out for ever.
pub const HTTP_CONNECTION_SECONDS_MAX: u64 = 60;

/// Fills, forwarded requests and barriers that are not settled, of all clients together; more are refused. At a
/// round trip of a millisecond this is 16 million a second.
pub const LINK_ORDERS_MAX: usize = 16 * 1024;

/// Bytes of their requests: values that are written and not yet answered.
pub const LINK_PENDING_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Replies that the link waits for; a fill of many keys is one order and waits for many.
pub const LINK_AWAITED_MAX: usize = 64 * 1024;

/// Bytes that wait to be sent, beyond which the link takes no more orders on: upstream does not read.
pub const LINK_UNSENT_PAUSE_BYTES: usize = 1024 * 1024;

/// The link is cut when its oldest request is unanswered for this many timeouts: upstream is slow, not gone, as long
/// as it answers within them.
pub const LINK_OVERDUE_TIMEOUTS: u64 = 4;

/// A link that was lost while it was in use is first made again, which takes a round trip or two; only after this time
/// is the breaker told of the calls that were lost with it, so that it need not open for a moment.
pub const LINK_GRACE_MS: u64 = 50;

/// A link that was lost before it was this old is no reason to connect again without a pause: an upstream that
/// flaps is asked a few times a second, not a hundred times.
pub const LINK_STABLE_MS: u64 = 1_000;

/// An idle link is probed after this time, since a feed that is silent may also be dead.
pub const FEED_PROBE_MS: u64 = 1_000;

/// Times that a key is fetched for one request when somebody writes it all the time; then the request is forwarded.
pub const FILL_ROUNDS_MAX: usize = 3;

/// Connections to upstream for sessions that a worker keeps while no session needs them. A few serve thousands of
/// sessions, as each has one for a round trip only.
pub const IDLE_SESSION_LINKS_PER_WORKER_MAX: usize = 32;

/// The same for all workers together: upstream has 10,000 places by default, and other Forebays may share it.
pub const IDLE_SESSION_LINKS_MAX: usize = 256;

/// After so long an idle connection of that kind is closed.
pub const IDLE_SESSION_LINK_MS_MAX: u64 = 30_000;

/// How often idle connections are looked after.
pub const IDLE_SESSION_LINK_CHECK_MS: u64 = 1_000;

/// A connection that was idle for longer has to answer a PING before it is trusted with a request that must not be
/// lost: upstream, or something on the way, may have closed it. A busy one need not: it costs a round trip.
pub const SESSION_LINK_TRUST_MS: u64 = 100;

/// Requests of a worker's sessions that are under way at upstream each on a connection of its own, beyond which the
/// next one waits for one of these. Upstream executes one after the other anyhow.
pub const SESSION_LINKS_EAGER: usize = 16;

/// How long it waits. Then it gets a connection of its own: the others may be commands that block.
pub const SESSION_LINK_PATIENCE_MS: u64 = 50;

/// Bytes of a segment of the journal for records: few files, and deleting one costs milliseconds.
pub const JOURNAL_SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// The smallest segments of a journal, whatever its limit is: one needs room for some records.
pub const JOURNAL_SEGMENT_BYTES_MIN: u64 = 16 * 1024;

/// Bytes behind those, for a record that begins shortly before their end. For longer ones the disk is asked first.
pub const JOURNAL_OVERHANG_BYTES: u64 = 256 * 1024;

/// Bytes of the journal that are kept in memory, to be written again if a sync fails. Above that nothing more is
/// accepted until a sync succeeds.
pub const JOURNAL_UNPROVEN_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Memory that each of the journal's buffers keeps between batches.
pub const JOURNAL_BUFFER_BYTES_KEPT_MAX: usize = 1024 * 1024;

/// New segments that are tried at once when one has failed; later it is tried again every `JOURNAL_RETRY_MS`.
pub const JOURNAL_ATTEMPTS_MAX: usize = 2;

/// The journal looks so often whether there is room on its disk again, and notes so often what was carried.
pub const JOURNAL_RETRY_MS: u64 = 1_000;

/// Bytes that a journal is read in.
pub const JOURNAL_READ_BYTES: usize = 256 * 1024;

/// With the periodic policy, records of the journal are at most so much older than the last sync, and the sync itself.
pub const JOURNAL_SYNC_MS: u64 = 10;

/// Microseconds for which a thread waits for a shard's lock before its request gives way to others. Commands take a
/// few microseconds as a rule, so whoever waits longer meets one that takes milliseconds or seconds.
pub const LOCK_PATIENCE_US: u64 = 200;

/// Microseconds until a request tries again to get a shard that another thread keeps for long.
pub const BUSY_PAUSE_US: u64 = 500;

/// Bytes that the subscriptions of one client may take, names and bookkeeping: a million short channels. Redis has no
/// such bound.
pub const SUBSCRIPTION_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Bytes of a filter that tells keys asked for once from keys asked for again. At [`SECOND_HIT_KEYS`] keys it has 16
/// bits for each, and of a thousand new keys three seem known.
pub const DOORKEEPER_BYTES: usize = 512 * 1024;

/// New keys after which `second-hit` begins to forget, however recent they are: it has two filters of
/// [`DOORKEEPER_BYTES`] and remembers between one and two times so many.
pub const SECOND_HIT_KEYS: u32 = 1 << 18;

/// After so long `second-hit` begins to forget: a key must be asked for twice within one to two times this.
pub const SECOND_HIT_WINDOW_MS: u64 = 600_000;

/// Bytes of the cells of `lazy`, each of which says in which slots of time a key was asked for. Of 8,000 new keys a
/// second, one in 200 is taken for a steady one by mistake.
pub const LAZY_BYTES: usize = 1024 * 1024;

/// The slots of time that `lazy` tells apart, eight of them: longer than a burst.
pub const LAZY_SLOT_MS: u64 = 10_000;

/// In how many of the last eight slots a steady key was asked for: more than two bursts that happen to be near.
pub const LAZY_SLOTS_MIN: u32 = 3;

/// The same while memory is short.
pub const LAZY_SLOTS_MIN_HIGH: u32 = 5;

/// Bytes of the counters of `predicted`, half a byte each, besides a filter of [`DOORKEEPER_BYTES`].
pub const SKETCH_BYTES: usize = 512 * 1024;

/// Accesses after which every counter of `predicted` was halved once: one for each byte of the counters, so that few
/// keys share all theirs with others, and the filter has eight bits for each.
pub const SKETCH_ACCESSES: usize = SKETCH_BYTES;

/// Keys let in last, by which `predicted` tells what a typical one is worth: as many as make a mean.
pub const ADMITTED_SAMPLED: usize = 256;

/// The share of `maxmemory` in percent from which on memory counts as short: near the end, but before each new
/// entry puts another one out.
pub const PRESSURE_PERCENT: u64 = 95;

/// Events that wait to be written to the audit log; more are lost and counted. Operators cause a few a minute, and who
/// tries passwords shall not cost memory.
pub const AUDIT_QUEUE: usize = 1024;

/// Bytes of one value in the audit log: enough to recognise a key or a pattern.
pub const AUDIT_TEXT_BYTES_MAX: usize = 256;

/// How long a shutdown waits until the audit log is written.
pub const AUDIT_FINISH_MS_MAX: u64 = 1_000;

/// Bytes of a message by which one Forebay tells others of invalidated keys, unless one key has more: many keys in a
/// message, and none so large that upstream has to hold it for every listener.
pub const ANNOUNCEMENT_BYTES: usize = 64 * 1024;

/// How often the connection for announcements looks whether there is a link.
pub const LISTENER_LOOK_MS: u64 = 100;

/// After so long without an announcement that connection is probed, and lost when the answer takes as long. Those who
/// announce know of no deadline, so it may be longer than that of the feed.
pub const LISTENER_PROBE_MS: u64 = 5_000;

/// Patterns that others announced and for which the store is being swept; one more makes all copies void, which is
/// right for all of them.
pub const ANNOUNCED_SWEEPS_MAX: usize = 8;

/// Bytes that a compiled regular expression may take; more is refused. Redis has no such command to go by; a few
/// hundred alternatives fit.
pub const REGEX_BYTES_MAX: usize = 1024 * 1024;
