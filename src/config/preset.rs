//! Sets of defaults for one use each.

/// A set of defaults; what a file, a variable or a flag says goes above it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// The defaults of the rows.
    #[default]
    None,
    /// A small cache on a developer's machine that tells what it does.
    Development,
    /// A server that others rely on.
    Production,
    /// A server that a test starts and stops.
    Testing,
}

impl Preset {
    pub(super) const ALL: [Self; 4] = [Self::None, Self::Development, Self::Production, Self::Testing];
    pub(super) const NAMES: [&'static str; 4] = ["none", "development", "production", "testing"];

    /// What differs from the defaults of the rows: name and value of settings.
    pub(super) fn values(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::None => &[],
            Self::Development => &[
                ("log-level", "verbose"),
                ("maxmemory", "256mb"),
                ("enable-debug-command", "local"),
                ("latency-monitor-threshold", "10"),
            ],
            Self::Production => &[
                ("tcp-backlog", "4096"),
                ("latency-monitor-threshold", "100"),
                ("lazyfree-lazy-eviction", "yes"),
                ("lazyfree-lazy-expire", "yes"),
                ("lazyfree-lazy-server-del", "yes"),
                ("lazyfree-lazy-user-del", "yes"),
                ("lazyfree-lazy-user-flush", "yes"),
            ],
            Self::Testing => &[
                ("bind", "127.0.0.1"),
                ("log-level", "warning"),
                ("maxmemory", "64mb"),
                ("enable-debug-command", "yes"),
                ("shutdown-timeout", "1"),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, options};

    #[test]
    fn every_value_is_one_that_its_row_accepts() {
        for (name, value) in Preset::ALL.into_iter().flat_map(Preset::values) {
            let setting = options::find(name).unwrap();
            assert_eq!(setting.set(&mut Config::default(), value), Ok(()), "{name}");
        }
    }
}
