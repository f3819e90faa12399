//! Addresses: where the server listens, and where its upstream is.

use std::fmt;
use std::path::PathBuf;
use url::Url;

/// Text that must not be seen: `Debug` hides it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, to compare and to send; never for logs or errors.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// One address to listen on, in Redis's notation: `*` and `::*` mean every address of IPv4 and
/// IPv6, a leading `-` that the server starts even if the address cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindAddress(String);

impl BindAddress {
    /// Reads addresses between spaces; the notation of one is checked when it is bound.
    pub(super) fn list(text: &str) -> Vec<Self> {
        text.split_whitespace()
            .map(|word| Self(word.to_owned()))
            .collect()
    }

    /// Writes what [`BindAddress::list`] reads.
    pub(super) fn join(addresses: &[Self]) -> String {
        let words: Vec<&str> = addresses.iter().map(|address| address.0.as_str()).collect();
        words.join(" ")
    }

    /// An IP address without brackets, or a host name.
    pub fn host(&self) -> &str {
        match self.0.trim_start_matches('-') {
            "*" => "0.0.0.0",
            "::*" => "::",
            host => host,
        }
    }

    /// Whether the server starts even where this address is not to be had.
    pub fn is_optional(&self) -> bool {
        self.0.starts_with('-')
    }
}

/// Where upstream is and how to log in there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamAddress {
    /// What to connect to.
    pub endpoint: UpstreamEndpoint,
    /// `None`: the default user.
    pub username: Option<String>,
    /// `None`: no AUTH is sent.
    pub password: Option<Secret>,
    /// The database to SELECT.
    pub database: u32,
    /// What the address was read from: it may carry the password.
    url: Secret,
}

/// What to connect to. Displayed as `host:port`, `[v6]:port` or a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamEndpoint {
    /// A TCP port.
    Tcp {
        /// A name or an IP address without brackets.
        host: String,
        /// Never 0.
        port: u16,
        /// Whether TLS is spoken there.
        is_tls: bool,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

impl UpstreamAddress {
    /// Reads addresses between spaces or commas. (In a URL these are written `%20` and `%2C`.)
    ///
    /// # Errors
    /// What is wrong with the first bad one, in words that do not repeat it.
    pub(super) fn list(text: &str) -> Result<Vec<Self>, String> {
        let words = text.split(|c: char| c.is_whitespace() || c == ',');
        words.filter(|word| !word.is_empty()).map(Self::parse).collect()
    }

    /// Writes what [`UpstreamAddress::list`] reads. It may carry passwords.
    pub(super) fn join(addresses: &[Self]) -> String {
        let urls: Vec<&str> = addresses.iter().map(|address| address.url.expose()).collect();
        urls.join(" ")
    }

    /// Reads `redis://[[user]:password@]host[:port][/db]`, the same with `rediss` for TLS (`valkey` and `valkeys`
    /// mean as much), or `unix:///path` with any of the parameters `?db=…&user=…&password=…`.
    ///
    /// # Errors
    /// What is wrong with the URL, in words that do not repeat it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("the URL cannot be read: {error}"))?;
        let parts = match url.scheme() {
            "redis" | "valkey" => over_tcp(&url, false)?,
            "rediss" | "valkeys" => over_tcp(&url, true)?,
            "unix" | "redis+unix" => over_a_socket(&url)?,
            scheme => {
                return Err(format!(
                    "the scheme {scheme} is unknown; use redis://, rediss:// or unix://"
                ));
            }
        };
        Ok(Self {
            endpoint: parts.endpoint,
            username: parts.username.filter(|name| !name.is_empty()),
            password: parts.password.map(Secret::new),
            database: database(&parts.database)?,
            url: Secret::new(text),
        })
    }
}

/// What the URLs of all schemes carry, each in its own places.
struct Parts {
    endpoint: UpstreamEndpoint,
    username: Option<String>,
    password: Option<String>,
    database: String,
}

fn over_tcp(url: &Url, is_tls: bool) -> Result<Parts, String> {
    let host = url.host_str().filter(|host| !host.is_empty());
    let host = host.ok_or("the URL names no host")?;
    let port = url.port().unwrap_or(6379);
    if port == 0 {
        return Err("port 0 cannot be connected to".to_owned());
    }
    if url.query().is_some() {
        return Err("a URL with a host has no parameters".to_owned());
    }
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok(Parts {
        endpoint: UpstreamEndpoint::Tcp { host, port, is_tls },
        username: Some(decoded(url.username())?),
        password: url.password().map(decoded).transpose()?,
        database: url.path().trim_matches('/').to_owned(),
    })
}

/// A URL without a host has no place for a user before it: the parameters carry the login.
fn over_a_socket(url: &Url) -> Result<Parts, String> {
    if url.host_str().is_some_and(|host| !host.is_empty()) {
        return Err("a socket's path starts with a slash: unix:///path".to_owned());
    }
    let path = decoded(url.path())?;
    if path.trim_matches('/').is_empty() {
        return Err("the URL names no socket".to_owned());
    }
    let known = ["user", "password", "db"];
    if url.query_pairs().any(|(name, _)| !known.contains(&&*name)) {
        return Err("a socket has the parameters user, password and db only".to_owned());
    }
    let parameter = |wanted: &str| {
        let found = url.query_pairs().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.into_owned())
    };
    Ok(Parts {
        endpoint: UpstreamEndpoint::Unix(PathBuf::from(path)),
        username: parameter("user"),
        password: parameter("password"),
        database: parameter("db").unwrap_or_default(),
    })
}

fn database(text: &str) -> Result<u32, String> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse()
        .map_err(|_| format!("the database must be a number, found {text:?}"))
}

/// Undoes percent encoding.
fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = tail.get(..2).filter(|_| first == b'%').and_then(hex_byte);
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).map_err(|_| "the URL holds bytes that are no UTF-8".to_owned())
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits).ok()?;
    u8::from_str_radix(digits, 16).ok()
}

impl UpstreamEndpoint {
    /// Whether TLS is spoken there.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tcp { is_tls: true, .. })
    }
}

impl fmt::Display for UpstreamEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port, .. } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port, .. } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> UpstreamAddress {
        UpstreamAddress::parse(text).unwrap()
    }

    #[test]
    fn a_host_alone_is_enough() {
        let address = parse("redis://cache.local");
        assert_eq!(address.endpoint.to_string(), "cache.local:6379");
        assert_eq!(
            (address.username, address.password, address.database),
            (None, None, 0)
        );
    }

    #[test]
    fn user_password_and_database_are_read() {
        let address = parse("redis://app:p%40ss%2Fw@[::1]:7000/3");
        assert_eq!(address.endpoint.to_string(), "[::1]:7000");
        assert_eq!(address.username.as_deref(), Some("app"));
        assert_eq!(address.password.as_ref().unwrap().expose(), "p@ss/w");
        assert_eq!(address.database, 3);
        assert_eq!(parse("redis://:secret@h").username, None);
    }

    #[test]
    fn an_s_stands_for_tls() {
        for (text, wanted) in [
            ("redis://h", false),
            ("valkey://h", false),
            ("rediss://h", true),
            ("valkeys://h", true),
        ] {
            let UpstreamEndpoint::Tcp { host, port, is_tls } = parse(text).endpoint else {
                panic!("{text} is no socket");
            };
            assert_eq!((&*host, port, is_tls), ("h", 6379, wanted), "{text}");
        }
    }

    #[test]
    fn several_addresses_stand_between_spaces_and_commas() {
        let text = "redis://a rediss://:pw@b:7000/2,unix:///s,\n redis://c";
        let addresses = UpstreamAddress::list(text).unwrap();
        let shown: Vec<String> = addresses.iter().map(|each| each.endpoint.to_string()).collect();
        assert_eq!(shown, ["a:6379", "b:7000", "/s", "c:6379"]);
        let joined = UpstreamAddress::join(&addresses);
        assert_eq!(UpstreamAddress::list(&joined), Ok(addresses));
        assert_eq!(UpstreamAddress::list(" , "), Ok(Vec::new()));
        assert!(UpstreamAddress::list("redis://a http://b").is_err());
    }

    #[test]
    fn a_socket_has_its_parameters_in_the_query() {
        let address = parse("unix:///run/redis.sock?db=2&password=secret");
        assert_eq!(
            address.endpoint,
            UpstreamEndpoint::Unix(PathBuf::from("/run/redis.sock"))
        );
        assert_eq!(
            (address.password.unwrap().expose(), address.database),
            ("secret", 2)
        );
    }

    #[test]
    fn errors_tell_what_is_wrong_but_no_password() {
        for (text, reason) in [
            ("redis://:pw@h/0?db=1", "has no parameters"),
            ("unix:///s?password=pw&timeout=1", "user, password and db only"),
            ("http://:pw@h", "the scheme http is unknown"),
            ("redis://", "names no host"),
            ("redis://:pw@h:0", "port 0"),
            ("redis://:pw@h:99999", "cannot be read"),
            ("redis://h/x", "database must be a number"),
            ("unix://run/redis.sock", "starts with a slash"),
            ("h:6379", "the scheme h is unknown"),
            ("localhost", "cannot be read"),
        ] {
            let error = UpstreamAddress::parse(text).unwrap_err();
            assert!(error.contains(reason) && !error.contains("pw"), "{text}: {error}");
        }
    }

    #[test]
    fn debug_hides_the_password() {
        let shown = format!("{:?}", parse("redis://app:hunter2@h"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn stars_stand_for_every_address() {
        let addresses = BindAddress::list("* -::* 10.0.0.1");
        let read: Vec<_> = addresses.iter().map(|a| (a.host(), a.is_optional())).collect();
        assert_eq!(read, [("0.0.0.0", false), ("::", true), ("10.0.0.1", false)]);
        assert_eq!(BindAddress::join(&addresses), "* -::* 10.0.0.1");
    }
}
