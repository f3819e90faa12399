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
    /// Any other, with the prefix `ERR`.
    Plain(Box<str>),
}

impl Error {
    /// An error with the prefix `ERR`.
    pub fn plain(text: impl Into<Box<str>>) -> Self {
        Self::Plain(text.into())
    }

    /// The expire time makes no sense for this command (name in lower case).
    pub fn invalid_expire(command: &str) -> Self {
        Self::plain(format!("invalid expire time in '{command}' command"))
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
            Self::Plain(text) => write!(f, "ERR {text}"),
        }
    }
}

impl std::error::Error for Error {}
