//! Every error text that goes over the wire.

use std::fmt;

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

    /// COMMAND GETKEYS of no command.
    pub const NOT_A_COMMAND: Self = Self::Fixed("Invalid command specified");
    /// COMMAND GETKEYS of a command that has no keys.
    pub const NO_KEY_ARGUMENTS: Self = Self::Fixed("The command has no key arguments");
    /// COMMAND GETKEYS of a request that the command would refuse for its length.
    pub const COMMAND_ARITY: Self = Self::Fixed("Invalid number of arguments specified for command");

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

    /// A command that waited was released by CLIENT UNBLOCK ERROR.
    pub fn unblocked() -> Self {
        Self::Verbatim("UNBLOCKED client unblocked via CLIENT UNBLOCK".into())
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
