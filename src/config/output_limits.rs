//! Limits of the bytes that wait to be sent to a client.

use super::notation;
use std::fmt;

/// The limits per class of clients. Displayed as Redis writes `client-output-buffer-limit`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimits {
    /// Clients that send commands.
    pub normal: OutputLimit,
    /// Replicas, of which there are none.
    pub replica: OutputLimit,
    /// Clients with a subscription, and MONITOR.
    pub pubsub: OutputLimit,
}

/// A client is disconnected at once above `hard_bytes`, and when it has been above `soft_bytes`
/// for `soft_seconds` on end. Zero bytes: no such limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimit {
    /// Never more than this.
    pub hard_bytes: u64,
    /// Not for long more than this.
    pub soft_bytes: u64,
    /// How long is too long.
    pub soft_seconds: u64,
}

impl OutputLimits {
    /// These limits with the classes that `text` names changed: `class hard soft seconds`, any
    /// number of times.
    pub(super) fn with(mut self, text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        if !words.len().is_multiple_of(4) {
            return Err("Wrong number of arguments in buffer limit configuration.".to_owned());
        }
        for group in words.chunks_exact(4) {
            *self.class(group[0])? = limit(group[1], group[2], group[3])
                .ok_or("Error in hard, soft or soft_seconds setting in buffer limit configuration.")?;
        }
        Ok(self)
    }

    fn class(&mut self, name: &str) -> Result<&mut OutputLimit, String> {
        match name.to_ascii_lowercase().as_str() {
            "normal" => Ok(&mut self.normal),
            "slave" | "replica" => Ok(&mut self.replica),
            "pubsub" => Ok(&mut self.pubsub),
            _ => Err("Invalid client class specified in buffer limit configuration.".to_owned()),
        }
    }
}

fn limit(hard: &str, soft: &str, seconds: &str) -> Option<OutputLimit> {
    Some(OutputLimit {
        hard_bytes: notation::bytes(hard, 0, u64::MAX).ok()?,
        soft_bytes: notation::bytes(soft, 0, u64::MAX).ok()?,
        soft_seconds: seconds.parse().ok()?,
    })
}

impl fmt::Display for OutputLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            normal,
            replica,
            pubsub,
        } = self;
        write!(f, "normal {normal} slave {replica} pubsub {pubsub}")
    }
}

impl fmt::Display for OutputLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.hard_bytes, self.soft_bytes, self.soft_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_classes_change() {
        let limits = OutputLimits::default()
            .with("replica 1k 2 3 normal 1mb 1 1")
            .unwrap();
        assert_eq!(
            limits.to_string(),
            "normal 1048576 1 1 slave 1000 2 3 pubsub 0 0 0"
        );
        assert_eq!(limits.with("").unwrap(), limits);
    }

    #[test]
    fn what_is_wrong_is_said_in_redis_words() {
        let error = |text| OutputLimits::default().with(text).unwrap_err();
        assert_eq!(
            error("normal 1 2"),
            "Wrong number of arguments in buffer limit configuration."
        );
        assert_eq!(
            error("master 1 1 1"),
            "Invalid client class specified in buffer limit configuration."
        );
        for text in ["normal 1mb 2 x", "normal 1 1 -1", "normal x 1 1"] {
            assert_eq!(
                error(text),
                "Error in hard, soft or soft_seconds setting in buffer limit configuration."
            );
        }
    }
}
