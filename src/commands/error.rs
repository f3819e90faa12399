//! Every error text that goes over the wire.

use std::fmt;

use crate::store::WrongType;

/// Why a request failed. Its `Display` is the error reply without the leading `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// No command of that name; the arguments are quoted as far as Redis quotes them.
    UnknownCommand {
        /// As it was sent.
        name: Box<str>,
        /// The first arguments, quoted.
        arguments: Box<str>,
    },
    /// The container has no such subcommand.
    UnknownSubcommand {
        /// As it was sent.
        subcommand: Box<str>,
        /// The container's name in capitals.
        container: &'static str,
    },
    /// Too few or too many arguments for this command (full name in lower case).
    Arity(Box<str>),
    /// The key holds another kind of value.
    WrongType,
    /// Not a 64-bit integer.
    NotAnInteger,
    /// Not a decimal number.
    NotAFloat,
    /// A combination or order of arguments that makes no sense.
    Syntax,
    /// An integer outside of what is possible here.
    OutOfRange,
    /// No such key.
    NoSuchKey,
    /// RESTORE to a key that is taken.
    KeyTaken,
    /// The client must log in first.
    AuthRequired,
    /// HELLO without AUTH although the client must log in first.
    HelloAuthRequired,
    /// AUTH with a wrong user or password.
    WrongPassword,
    /// AUTH although there is no password.
    NoPasswordSet,
    /// `maxmemory` is exceeded and nothing may be evicted.
    OutOfMemory,
    /// HELLO with another protocol than 2 or 3.
    UnsupportedProtocol,
    /// The command is not allowed in this configuration, or to this client.
    NoPermission(Box<str>),
    /// Upstream did not answer, or can't be reached.
    Upstream(Box<str>),
    /// A text with its own prefix, for instance one that upstream sent.
    Verbatim(Box<str>),
    /// A constant of this type: a text that is always the same, with the prefix `ERR`.
    Fixed(&'static str),
    /// Any other, with the prefix `ERR`.
    Plain(Box<str>),
}

impl Error {
    /// A string would exceed `proto-max-bulk-len`.
    pub const STRING_TOO_LONG: Self = Self::Fixed("string exceeds maximum allowed size (proto-max-bulk-len)");
    /// SETRANGE before the start of the string.
    pub const NEGATIVE_OFFSET: Self = Self::Fixed("offset is out of range");
    /// INCR and its kin would leave the range of 64 bits.
    pub const SUM_OVERFLOW: Self = Self::Fixed("increment or decrement would overflow");
    /// DECRBY by the one number that has no opposite.
    pub const NEGATION_OVERFLOW: Self = Self::Fixed("decrement would overflow");
    /// INCRBYFLOAT has no finite result.
    pub const SUM_NOT_FINITE: Self = Self::Fixed("increment would produce NaN or Infinity");
    /// Both LEN and IDX were given to LCS.
    pub const LCS_LEN_AND_IDX: Self =
        Self::Fixed("If you want both the length and indexes, please just use IDX.");
    /// LCS of something else than strings.
    pub const LCS_NOT_STRINGS: Self = Self::Fixed("The specified keys must contain string values");
    /// A string has too many bytes for LCS to number them.
    pub const LCS_STRING_TOO_LONG: Self = Self::Fixed("String too long for LCS");
    /// LCS would need more memory than a string may have.
    pub const LCS_MEMORY: Self =
        Self::Fixed("Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
    /// Not the position of a bit that a string may have.
    pub const BIT_OFFSET: Self = Self::Fixed("bit offset is not an integer or out of range");
    /// SETBIT to something else than 0 or 1.
    pub const BIT_VALUE: Self = Self::Fixed("bit is not an integer or out of range");
    /// BITPOS of something else than 0 or 1.
    pub const BIT_SOUGHT: Self = Self::Fixed("The bit argument must be 1 or 0.");
    /// BITOP NOT of several strings.
    pub const BITOP_NOT_SOURCES: Self = Self::Fixed("BITOP NOT must be called with a single source key.");
    /// Not a type of integers that BITFIELD has.
    pub const BITFIELD_TYPE: Self = Self::Fixed(
        "Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
    );
    /// Not a way to treat overflows.
    pub const BITFIELD_OVERFLOW: Self = Self::Fixed("Invalid OVERFLOW type specified");
    /// There is no database of that number.
    pub const NO_SUCH_DATABASE: Self = Self::Fixed("DB index is out of range");
    /// SWAPDB's first argument is not a number.
    pub const FIRST_DATABASE: Self = Self::Fixed("invalid first DB index");
    /// SWAPDB's second argument is not a number.
    pub const SECOND_DATABASE: Self = Self::Fixed("invalid second DB index");
    /// MOVE or COPY of a key to itself.
    pub const SAME_KEY: Self = Self::Fixed("source and destination objects are the same");
    /// SCAN with something else than a number.
    pub const INVALID_CURSOR: Self = Self::Fixed("invalid cursor");
    /// EXPIRE with NX and another condition.
    pub const EXPIRE_NX_WITH_OTHERS: Self =
        Self::Fixed("NX and XX, GT or LT options at the same time are not compatible");
    /// EXPIRE with GT and LT.
    pub const EXPIRE_GT_WITH_LT: Self = Self::Fixed("GT and LT options at the same time are not compatible");
    /// OBJECT IDLETIME under a policy that keeps no times.
    pub const IDLE_TIME_UNKNOWN: Self = Self::Fixed(
        "An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between \
         policies at runtime LRU and LFU data will take some time to adjust.",
    );
    /// OBJECT FREQ under a policy that keeps no frequencies.
    pub const FREQUENCY_UNKNOWN: Self = Self::Fixed(
        "An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching \
         between policies at runtime LRU and LFU data will take some time to adjust.",
    );
    /// `BITFIELD_RO` was asked to write.
    pub const BITFIELD_READ_ONLY: Self = Self::Fixed("BITFIELD_RO only supports the GET subcommand");

    /// A position in a list that has no element.
    pub const INDEX_OUT_OF_RANGE: Self = Self::Fixed("index out of range");
    /// LPOS of the 0th element.
    pub const RANK_ZERO: Self = Self::Fixed(
        "RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start \
         from the end of the list",
    );
    /// LPOS with another COUNT than a natural number.
    pub const COUNT_NEGATIVE: Self = Self::Fixed("COUNT can't be negative");
    /// LPOS with another MAXLEN than a natural number.
    pub const MAXLEN_NEGATIVE: Self = Self::Fixed("MAXLEN can't be negative");
    /// A number of keys that is not above 0.
    pub const NUMKEYS_NOT_POSITIVE: Self = Self::Fixed("numkeys should be greater than 0");
    /// A number of elements that is not above 0.
    pub const COUNT_NOT_POSITIVE: Self = Self::Fixed("count should be greater than 0");

    /// More keys than there are arguments.
    pub const NUMKEYS_TOO_LARGE: Self = Self::Fixed("Number of keys can't be greater than number of args");
    /// SINTERCARD up to something that is no natural number.
    pub const LIMIT_NEGATIVE: Self = Self::Fixed("LIMIT can't be negative");
    /// SORT by something that is no number.
    pub const SORT_WEIGHT: Self = Self::Fixed("One or more scores can't be converted into double");

    /// PFDEBUG of no key.
    pub const NO_SUCH_SKETCH: Self = Self::Fixed("The specified key does not exist");
    /// PFDEBUG DECODE of registers that are not runs.
    pub const SKETCH_NOT_SPARSE: Self = Self::Fixed("HLL encoding is not sparse");

    /// Not a unit of lengths.
    pub const UNKNOWN_UNIT: Self = Self::Fixed("unsupported unit provided. please use M, KM, FT, MI");
    /// A search around a point that there is not.
    pub const NO_SUCH_POINT: Self = Self::Fixed("could not decode requested zset member");
    /// The radius of a search is no number.
    pub const RADIUS_NOT_A_NUMBER: Self = Self::Fixed("need numeric radius");
    /// The radius of a search is below zero.
    pub const RADIUS_NEGATIVE: Self = Self::Fixed("radius cannot be negative");
    /// The width of a search is no number.
    pub const WIDTH_NOT_A_NUMBER: Self = Self::Fixed("need numeric width");
    /// The height of a search is no number.
    pub const HEIGHT_NOT_A_NUMBER: Self = Self::Fixed("need numeric height");
    /// A side of the box of a search is below zero.
    pub const BOX_NEGATIVE: Self = Self::Fixed("height or width cannot be negative");
    /// A search for nothing.
    pub const SEARCH_COUNT: Self = Self::Fixed("COUNT must be > 0");
    /// Any points, but not how many.
    pub const ANY_WITHOUT_COUNT: Self = Self::Fixed("the ANY argument requires COUNT argument");

    /// A digest has another length.
    pub const DIGEST_LENGTH: Self = Self::Fixed("must be exactly 16 hexadecimal characters");
    /// DELEX with a word that it does not know.
    pub const UNKNOWN_CONDITION: Self = Self::Fixed("Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE");
    /// DELEX with a condition on what is no text.
    pub const CONDITION_ON_NO_STRING: Self =
        Self::Fixed("Key should be of string type if conditions are specified");
    /// MSETEX of no number of keys.
    pub const PAIRS_NOT_A_NUMBER: Self = Self::Fixed("invalid numkeys value");
    /// MSETEX of more keys than there are.
    pub const PAIRS_MISSING: Self = Self::Fixed("wrong number of key-value pairs");

    /// RESTORE with a time to live below 0.
    pub const TTL_NEGATIVE: Self = Self::Fixed("Invalid TTL value, must be >= 0");
    /// RESTORE with an idle time below 0.
    pub const IDLE_TIME_NEGATIVE: Self = Self::Fixed("Invalid IDLETIME value, must be >= 0");
    /// RESTORE with a frequency that no counter can have.
    pub const FREQUENCY_RANGE: Self = Self::Fixed("Invalid FREQ value, must be >= 0 and <= 255");
    /// RESTORE of a payload that was changed on its way, or comes from a server that is too new.
    pub const PAYLOAD_UNTRUSTED: Self = Self::Fixed("DUMP payload version or checksum are wrong");
    /// RESTORE of a payload that holds no value.
    pub const PAYLOAD_MALFORMED: Self = Self::Fixed("Bad data format");

    /// Not the id of a stream's entry.
    pub const STREAM_ID: Self = Self::Fixed("Invalid stream ID specified as stream command argument");
    /// A range that begins behind the highest id.
    pub const INTERVAL_START: Self = Self::Fixed("invalid start ID for the interval");
    /// A range that ends before the lowest id.
    pub const INTERVAL_END: Self = Self::Fixed("invalid end ID for the interval");
    /// XADD with the lowest id.
    pub const XADD_ZERO: Self = Self::Fixed("The ID specified in XADD must be greater than 0-0");
    /// XADD with an id that is not behind the last one.
    pub const XADD_NOT_GREATER: Self =
        Self::Fixed("The ID specified in XADD is equal or smaller than the target stream top item");
    /// XADD to a stream whose last id is the highest.
    pub const XADD_EXHAUSTED: Self =
        Self::Fixed("The stream has exhausted the last possible ID, unable to add more items");
    /// XADD with more than a block may have.
    pub const XADD_TOO_LARGE: Self = Self::Fixed("Elements are too large to be stored");
    /// MAXLEN and MINID, or one of them twice.
    pub const TRIM_STRATEGIES: Self =
        Self::Fixed("syntax error, MAXLEN and MINID options at the same time are not compatible");
    /// XADD or XTRIM with MAXLEN below zero.
    pub const STREAM_MAXLEN_NEGATIVE: Self = Self::Fixed("The MAXLEN argument must be >= 0.");
    /// XADD or XTRIM with LIMIT below zero.
    pub const STREAM_LIMIT_NEGATIVE: Self = Self::Fixed("The LIMIT argument must be >= 0.");
    /// LIMIT of nothing.
    pub const LIMIT_WITHOUT_STRATEGY: Self =
        Self::Fixed("syntax error, LIMIT cannot be used without specifying a trimming strategy");
    /// LIMIT of a trim that must be exact.
    pub const LIMIT_OF_EXACT: Self =
        Self::Fixed("syntax error, LIMIT cannot be used without the special ~ option");
    /// XTRIM with neither MAXLEN nor MINID.
    pub const XTRIM_WITHOUT_STRATEGY: Self =
        Self::Fixed("syntax error, XTRIM must be called with a trimming strategy");
    /// XSETID before the last entry.
    pub const XSETID_BELOW_TOP: Self =
        Self::Fixed("The ID specified in XSETID is smaller than the target stream top item");
    /// XSETID with fewer entries added than there are.
    pub const XSETID_BELOW_LENGTH: Self =
        Self::Fixed("The entries_added specified in XSETID is smaller than the target stream length");
    /// XSETID with a negative number of entries added.
    pub const XSETID_ADDED_NEGATIVE: Self = Self::Fixed("entries_added must be positive");
    /// XSETID with a deleted id behind the last one.
    pub const XSETID_BELOW_DELETED: Self =
        Self::Fixed("The ID specified in XSETID is smaller than the provided max_deleted_entry_id");
    /// XDELEX or XACKDEL with a number of ids that is none.
    pub const ID_COUNT: Self = Self::Fixed("Number of IDs must be a positive integer");
    /// The same with fewer ids than said.
    pub const ID_COUNT_MISMATCH: Self =
        Self::Fixed("The `numids` parameter must match the number of arguments");
    /// The same without any.
    pub const IDS_MISSING: Self = Self::Fixed("IDS option is required");
    /// XGROUP on a key that is missing.
    pub const XGROUP_WITHOUT_KEY: Self = Self::Fixed(
        "The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM \
         option to create an empty stream automatically.",
    );
    /// XGROUP with a number of entries that is none.
    pub const XGROUP_ENTRIES_READ: Self = Self::Fixed("value for ENTRIESREAD must be positive or -1");
    /// XREAD with the id that is for groups.
    pub const XREAD_UNREAD: Self = Self::Fixed(
        "The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
    );
    /// XREADGROUP with the id that is not for groups.
    pub const XREADGROUP_LAST: Self = Self::Fixed(
        "The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by \
         specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.",
    );
    /// XREAD with fewer ids than keys.
    pub const XREAD_UNBALANCED: Self =
        Self::Fixed("Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.");
    /// XREADGROUP without GROUP.
    pub const XREADGROUP_WITHOUT_GROUP: Self = Self::Fixed("Missing GROUP option for XREADGROUP");
    /// XREAD with GROUP.
    pub const XREAD_GROUP: Self =
        Self::Fixed("The GROUP option is only supported by XREADGROUP. You called XREAD instead.");
    /// XREAD with NOACK.
    pub const XREAD_NOACK: Self =
        Self::Fixed("The NOACK option is only supported by XREADGROUP. You called XREAD instead.");
    /// XCLAIM with an idle time that is no number.
    pub const XCLAIM_IDLE_MIN: Self = Self::Fixed("Invalid min-idle-time argument for XCLAIM");
    /// XCLAIM IDLE with something that is no time.
    pub const XCLAIM_IDLE: Self = Self::Fixed("Invalid IDLE option argument for XCLAIM");
    /// XCLAIM TIME with something that is no time.
    pub const XCLAIM_TIME: Self = Self::Fixed("Invalid TIME option argument for XCLAIM");
    /// XCLAIM RETRYCOUNT with something that is no number.
    pub const XCLAIM_RETRY_COUNT: Self = Self::Fixed("Invalid RETRYCOUNT option argument for XCLAIM");
    /// XAUTOCLAIM with an idle time that is no number.
    pub const XAUTOCLAIM_IDLE_MIN: Self = Self::Fixed("Invalid min-idle-time argument for XAUTOCLAIM");
    /// XAUTOCLAIM with a count that is too small or too large.
    pub const XAUTOCLAIM_COUNT: Self = Self::Fixed("COUNT must be > 0");

    /// COMMAND GETKEYS of no command.
    pub const NOT_A_COMMAND: Self = Self::Fixed("Invalid command specified");
    /// COMMAND GETKEYS of a command that has no keys.
    pub const NO_KEY_ARGUMENTS: Self = Self::Fixed("The command has no key arguments");
    /// COMMAND GETKEYS of a request that the command would refuse for its length.
    pub const COMMAND_ARITY: Self = Self::Fixed("Invalid number of arguments specified for command");

    /// COMMAND GETKEYS of a request whose arguments make no sense.
    pub const COMMAND_ARGUMENTS: Self = Self::Fixed("Invalid arguments specified for command");

    /// MULTI inside MULTI.
    pub const NESTED_MULTI: Self = Self::Fixed("MULTI calls can not be nested");
    /// EXEC without MULTI.
    pub const EXEC_WITHOUT_MULTI: Self = Self::Fixed("EXEC without MULTI");
    /// DISCARD without MULTI.
    pub const DISCARD_WITHOUT_MULTI: Self = Self::Fixed("DISCARD without MULTI");
    /// WATCH inside MULTI.
    pub const WATCH_IN_MULTI: Self = Self::Fixed("WATCH inside MULTI is not allowed");
    /// MONITOR inside EXEC.
    pub const MONITOR_IN_EXEC: Self = Self::Fixed("MONITOR isn't allowed for DENY BLOCKING client");
    /// A command that may not be queued.
    pub const NOT_IN_MULTI: Self = Self::Fixed("Command not allowed inside a transaction");
    /// A transaction has more bytes than the query buffer of a client may have.
    pub const TRANSACTION_TOO_LARGE: Self =
        Self::Fixed("transaction is larger than client-query-buffer-limit");
    /// The time to wait is no number.
    pub const TIMEOUT_NOT_A_FLOAT: Self = Self::Fixed("timeout is not a float or out of range");
    /// The time to wait is too long.
    pub const TIMEOUT_OUT_OF_RANGE: Self = Self::Fixed("timeout is out of range");

    /// HINCRBY of a value that is no 64-bit integer.
    pub const HASH_VALUE_NOT_AN_INTEGER: Self = Self::Fixed("hash value is not an integer");
    /// HINCRBYFLOAT of a value that is no decimal number.
    pub const HASH_VALUE_NOT_A_FLOAT: Self = Self::Fixed("hash value is not a float");
    /// HINCRBYFLOAT by something that is not finite.
    pub const NOT_FINITE: Self = Self::Fixed("value is NaN or Infinity");
    /// A command on fields without the word before their number.
    pub const FIELDS_MISSING: Self =
        Self::Fixed("Mandatory argument FIELDS is missing or not at the right position");
    /// HEXPIRE of no fields.
    pub const FIELD_COUNT_TOO_SMALL: Self = Self::Fixed("Parameter `numFields` should be greater than 0");
    /// HTTL and its kin of no fields.
    pub const FIELD_COUNT: Self = Self::Fixed("Number of fields must be a positive integer");
    /// Another number of fields than was announced.
    pub const FIELD_COUNT_MISMATCH: Self =
        Self::Fixed("The `numfields` parameter must match the number of arguments");
    /// HSETEX of no fields.
    pub const FIELD_PAIR_COUNT: Self = Self::Fixed("invalid number of fields");
    /// A deadline of fields before 1970.
    pub const FIELD_DEADLINE_NEGATIVE: Self = Self::Fixed("invalid expire time, must be >= 0");
    /// HSETEX with several deadlines.
    pub const FIELD_DEADLINES: Self =
        Self::Fixed("Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified");
    /// HSETEX of fields that must be there and must not.
    pub const FIELDS_THERE_AND_NOT: Self = Self::Fixed("Only one of FXX or FNX arguments can be specified");

    /// CONFIG SET with bytes that are no text.
    pub const SETTING_NOT_TEXT: Self = Self::Fixed("CONFIG SET failed - settings are UTF-8 text");
    /// CONFIG REWRITE without a file.
    pub const NO_CONFIG_FILE: Self = Self::Fixed("The server is running without a config file");
    /// SLOWLOG GET with another count than a natural number or -1.
    pub const SLOWLOG_COUNT: Self = Self::Fixed("count should be greater than or equal to -1");
    /// WAIT for something that is no time.
    pub const TIMEOUT_NOT_AN_INTEGER: Self = Self::Fixed("timeout is not an integer or out of range");
    /// WAIT for a time that is over.
    pub const TIMEOUT_NEGATIVE: Self = Self::Fixed("timeout is negative");
    /// TIER of a server that has no upstream.
    pub const NO_UPSTREAM: Self = Self::Fixed("no upstream is configured");
    /// TIER of a namespace that is not configured.
    pub const NO_SUCH_NAMESPACE: Self = Self::Fixed("no such namespace");
    /// TIER INVALIDATE REGEX with bytes that are no text.
    pub const REGEX_NOT_TEXT: Self = Self::Fixed("a regular expression must be valid UTF-8");
    /// TIER DEADLETTER with something that is no number of one.
    pub const DEAD_LETTER_ID: Self = Self::Fixed("a dead letter's id is a number, or ALL");
    /// SHUTDOWN ABORT of nothing.
    pub const NO_SHUTDOWN: Self = Self::Fixed("No shutdown in progress.");
    /// SHUTDOWN that would lose what it was told to save.
    pub const SHUTDOWN_REFUSED: Self = Self::Fixed("Errors trying to SHUTDOWN. Check logs.");
    /// SSUBSCRIBE in a transaction.
    pub const SSUBSCRIBE_IN_TRANSACTION: Self =
        Self::Fixed("SSUBSCRIBE isn't allowed for a DENY BLOCKING client");
    /// The names that a client listens to would take too much memory.
    pub const TOO_MANY_SUBSCRIPTIONS: Self = Self::Fixed("too many subscriptions of one client");
    /// FUNCTION FLUSH with another word.
    pub const FUNCTION_FLUSH_MODE: Self = Self::Fixed("FUNCTION FLUSH only supports SYNC|ASYNC option");
    /// FUNCTION LIST LIBRARYNAME without a name.
    pub const NO_LIBRARY_NAME: Self = Self::Fixed("library name argument was not given");
    /// DEBUG where `enable-debug-command` does not allow it.
    pub const DEBUG_REFUSED: Self = Self::Fixed(
        "DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a \
         local connection, otherwise you need to set this option in the configuration file, and then restart the \
         server.",
    );
    /// DEBUG POPULATE with another count than a natural number.
    pub const NOT_POSITIVE: Self = Self::Fixed("value is out of range, must be positive");
    /// DEBUG PROTOCOL with a word that names no type.
    pub const PROTOCOL_TYPE: Self = Self::Fixed(
        "Wrong protocol type name. Please use one of the following: \
         string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
    );
    /// DEBUG PROTOCOL push in RESP2.
    pub const RESP3_ONLY: Self = Self::Fixed("RESP2 is not supported by this command");

    /// EXEC runs nothing, since a request could not be queued.
    pub fn exec_abort() -> Self {
        Self::Verbatim("EXECABORT Transaction discarded because of previous errors.".into())
    }

    /// EXEC runs nothing, since it was refused itself.
    pub fn exec_abort_because(error: &Self) -> Self {
        let error = error.to_string();
        let because = error.strip_prefix("ERR ").unwrap_or(&error);
        Self::Verbatim(format!("EXECABORT Transaction discarded because of: {because}").into())
    }

    /// A score would become NaN: opposite infinities were added.
    pub const SCORE_NAN: Self = Self::Fixed("resulting score is not a number (NaN)");
    /// ZADD with NX and XX.
    pub const XX_WITH_NX: Self = Self::Fixed("XX and NX options at the same time are not compatible");
    /// ZADD with two of GT, LT and NX.
    pub const GT_LT_NX: Self = Self::Fixed("GT, LT, and/or NX options at the same time are not compatible");
    /// ZADD with INCR of several members.
    pub const INCR_OF_SEVERAL: Self = Self::Fixed("INCR option supports a single increment-element pair");
    /// Not an end of a range of scores.
    pub const SCORE_BOUND: Self = Self::Fixed("min or max is not a float");
    /// Not an end of a range of members.
    pub const LEX_BOUND: Self = Self::Fixed("min or max not valid string range item");
    /// ZRANGE with LIMIT, but by rank.
    pub const LIMIT_OF_RANKS: Self =
        Self::Fixed("syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
    /// ZRANGE with WITHSCORES and BYLEX.
    pub const WITHSCORES_OF_MEMBERS: Self =
        Self::Fixed("syntax error, WITHSCORES not supported in combination with BYLEX");
    /// A weight is no number.
    pub const WEIGHT_NOT_A_FLOAT: Self = Self::Fixed("weight value is not a float");

    /// A command that waited was released by CLIENT UNBLOCK ERROR.
    pub fn unblocked() -> Self {
        Self::Verbatim("UNBLOCKED client unblocked via CLIENT UNBLOCK".into())
    }

    /// A union of no keys, or its like (name of the command in lower case).
    pub fn no_input_keys(command: &str) -> Self {
        Self::plain(format!("at least 1 input key is needed for '{command}' command"))
    }

    /// Something else than changing subscriptions (the command's name in lower case) while RESP2 delivers messages.
    pub fn only_listening(command: &str) -> Self {
        Self::plain(format!(
            "Can't execute '{command}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in \
             this context"
        ))
    }

    /// XCLAIM with a word that is neither an id nor an option.
    pub fn xclaim_option(word: &[u8]) -> Self {
        Self::plain(format!("Unrecognized XCLAIM option '{}'", c_text(word)))
    }

    /// XGROUP CREATE of a group that is there.
    pub fn busy_group() -> Self {
        Self::Verbatim("BUSYGROUP Consumer Group name already exists".into())
    }

    /// A stream has no group of that name.
    pub fn no_group_of_key(group: &[u8], key: &[u8]) -> Self {
        let (group, key) = (c_text(group), c_text(key));
        Self::Verbatim(format!("NOGROUP No such consumer group '{group}' for key name '{key}'").into())
    }

    /// There is no stream, or it has no group of that name.
    pub fn no_key_or_group(key: &[u8], group: &[u8]) -> Self {
        let (group, key) = (c_text(group), c_text(key));
        Self::Verbatim(format!("NOGROUP No such key '{key}' or consumer group '{group}'").into())
    }

    /// The same of XREADGROUP.
    pub fn no_group_to_read(key: &[u8], group: &[u8]) -> Self {
        let text = Self::no_key_or_group(key, group);
        Self::Verbatim(format!("{text} in XREADGROUP with GROUP option").into())
    }

    /// XREADGROUP waits for a stream that was removed.
    pub fn stream_gone() -> Self {
        Self::Verbatim("UNBLOCKED the stream key no longer exists".into())
    }

    /// XREADGROUP waits for a group that was removed.
    pub fn group_gone() -> Self {
        Self::Verbatim("NOGROUP the consumer group this client was blocked on no longer exists".into())
    }

    /// LATENCY GRAPH of an event without spikes.
    pub fn no_samples(event: &str) -> Self {
        Self::plain(format!("No samples available for event '{event}'"))
    }

    /// A text that is no `HyperLogLog`.
    pub fn no_sketch() -> Self {
        Self::Verbatim("WRONGTYPE Key is not a valid HyperLogLog string value.".into())
    }

    /// A `HyperLogLog` whose registers do not add up.
    pub fn corrupted_sketch() -> Self {
        Self::Verbatim("INVALIDOBJ Corrupted HLL object detected".into())
    }

    /// PFDEBUG with a word that it does not know.
    pub fn unknown_pfdebug(subcommand: &[u8]) -> Self {
        let subcommand = String::from_utf8_lossy(subcommand);
        Self::plain(format!("Unknown PFDEBUG subcommand '{subcommand}'"))
    }

    /// PFSELFTEST found that so many elements are counted as so many.
    pub fn self_test_failed(elements: u64, count: u64) -> Self {
        let error = elements.abs_diff(count);
        Self::plain(format!(
            "TESTFAILED Too big error. card:{elements} abserr:{error}"
        ))
    }

    /// Coordinates beyond the edges of the map.
    pub fn not_on_the_map(longitude: f64, latitude: f64) -> Self {
        Self::plain(format!(
            "invalid longitude,latitude pair {longitude:.6},{latitude:.6}"
        ))
    }

    /// A search that stores what it finds, and shall show it as well.
    pub fn stored_and_shown(command: &str) -> Self {
        Self::plain(format!(
            "{command} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
        ))
    }

    /// A search without a middle, by a command of this name.
    pub fn no_center(command: &[u8]) -> Self {
        let command = String::from_utf8_lossy(command);
        Self::plain(format!(
            "exactly one of FROMMEMBER or FROMLONLAT can be specified for {command}"
        ))
    }

    /// A search without a circle or a box, by a command of this name.
    pub fn no_shape(command: &[u8]) -> Self {
        let command = String::from_utf8_lossy(command);
        Self::plain(format!(
            "exactly one of BYRADIUS and BYBOX can be specified for {command}"
        ))
    }

    /// FUNCTION LIST with a word that it does not know.
    pub fn unknown_argument(word: &str) -> Self {
        Self::plain(format!("Unknown argument {word}"))
    }

    /// CONFIG REWRITE could not write.
    pub fn not_rewritten(error: &std::io::Error) -> Self {
        Self::plain(format!("Rewriting config file: {error}"))
    }

    /// An error with the prefix `ERR`.
    pub fn plain(text: impl Into<Box<str>>) -> Self {
        Self::Plain(text.into())
    }

    /// The expire time makes no sense for this command (name in lower case).
    pub fn invalid_expire(command: &str) -> Self {
        Self::plain(format!("invalid expire time in '{command}' command"))
    }

    /// An integer that must be from `min` to `max`.
    pub fn not_between(min: i64, max: i64) -> Self {
        Self::plain(format!(
            "value is out of range, value must between {min} and {max}"
        ))
    }

    /// A subcommand with more words than it has use for.
    pub fn wrong_form(subcommand: &[u8], container: &str) -> Self {
        let subcommand = String::from_utf8_lossy(subcommand);
        Self::plain(format!(
            "unknown subcommand or wrong number of arguments for '{subcommand}'. Try {container} HELP."
        ))
    }

    /// The first word, which error statistics count by.
    pub fn prefix(&self) -> String {
        let text = self.to_string();
        text.split(' ').next().unwrap_or_default().to_owned()
    }
}

/// What C takes for a text, which Redis prints: all in front of the first zero byte.
fn c_text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next().unwrap_or_default())
}

impl From<WrongType> for Error {
    fn from(WrongType: WrongType) -> Self {
        Self::WrongType
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCommand { name, arguments } => {
                write!(f, "ERR unknown command '{name}', with args beginning with: {arguments}")
            }
            Self::UnknownSubcommand { subcommand, container } => {
                write!(f, "ERR unknown subcommand '{subcommand}'. Try {container} HELP.")
            }
            Self::Arity(name) => write!(f, "ERR wrong number of arguments for '{name}' command"),
            Self::WrongType => {
                f.write_str("WRONGTYPE Operation against a key holding the wrong kind of value")
            }
            Self::NotAnInteger => f.write_str("ERR value is not an integer or out of range"),
            Self::NotAFloat => f.write_str("ERR value is not a valid float"),
            Self::Syntax => f.write_str("ERR syntax error"),
            Self::OutOfRange => f.write_str("ERR value is out of range"),
            Self::NoSuchKey => f.write_str("ERR no such key"),
            Self::KeyTaken => f.write_str("BUSYKEY Target key name already exists."),
            Self::AuthRequired => f.write_str("NOAUTH Authentication required."),
            Self::HelloAuthRequired => f.write_str(
                "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> \
                 <pass> option can be used to authenticate the client and select the RESP protocol version at the \
                 same time",
            ),
            Self::WrongPassword => {
                f.write_str("WRONGPASS invalid username-password pair or user is disabled.")
            }
            Self::NoPasswordSet => f.write_str(
                "ERR AUTH <password> called without any password configured for the default user. \
                 Are you sure your configuration is correct?",
            ),
            Self::OutOfMemory => f.write_str("OOM command not allowed when used memory > 'maxmemory'."),
            Self::UnsupportedProtocol => f.write_str("NOPROTO unsupported protocol version"),
            Self::NoPermission(text) => write!(f, "NOPERM {text}"),
            Self::Upstream(text) => write!(f, "UPSTREAM {text}"),
            Self::Verbatim(text) => f.write_str(text),
            Self::Fixed(text) => write!(f, "ERR {text}"),
            Self::Plain(text) => write!(f, "ERR {text}"),
        }
    }
}

impl std::error::Error for Error {}
