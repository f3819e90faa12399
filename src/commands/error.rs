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
    /// HSETEX with EX and its kin, but without a time.
    pub const FIELD_DEADLINE_MISSING: Self = Self::Fixed("missing expire time");
    /// HSETEX with several deadlines.
    pub const FIELD_DEADLINES: Self =
        Self::Fixed("Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified");
    /// HSETEX of fields that must be there and must not.
    pub const FIELDS_THERE_AND_NOT: Self =
        Self::Fixed("Only one of FXX or FNX arguments can be specified");

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
    /// SHUTDOWN ABORT of nothing.
    pub const NO_SHUTDOWN: Self = Self::Fixed("No shutdown in progress.");
    /// SHUTDOWN that would lose what it was told to save.
    pub const SHUTDOWN_REFUSED: Self = Self::Fixed("Errors trying to SHUTDOWN. Check logs.");
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

    /// LATENCY GRAPH of an event without spikes.
    pub fn no_samples(event: &str) -> Self {
        Self::plain(format!("No samples available for event '{event}'"))
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
