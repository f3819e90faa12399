//! Settings, each good by itself, that cannot be meant together.

use super::{Config, Namespace, PromotionPolicy, TierMode, UpstreamTls};
use std::fmt;

/// One thing that does not fit together.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Contradiction {
    /// The setting that asks for what the others forbid.
    pub(super) setting: &'static str,
    /// The namespace in which it does; `None`: the settings at the top.
    pub(super) namespace: Option<String>,
    reason: String,
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(name) => write!(f, "in namespace '{name}': {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

/// The first contradiction in `after` that is not in `before`.
pub(super) fn first_new(before: &Config, after: &Config) -> Option<Contradiction> {
    let old = contradictions(before);
    contradictions(after)
        .into_iter()
        .find(|found| !old.contains(found))
}

/// All that does not fit together. What a namespace has from the defaults is told of the defaults only.
pub(super) fn contradictions(config: &Config) -> Vec<Contradiction> {
    let mut found = of_the_server(config);
    let mut of_defaults: Vec<&'static str> = Vec::new();
    for namespace in config.namespaces() {
        let is_default = namespace.prefix.is_empty();
        for (setting, reason) in of_rules(config, &namespace) {
            if is_default {
                of_defaults.push(setting);
            } else if of_defaults.contains(&setting) {
                continue;
            }
            found.push(Contradiction {
                setting,
                namespace: (!is_default).then(|| namespace.name.clone()),
                reason,
            });
        }
    }
    found
}

fn of_the_server(config: &Config) -> Vec<Contradiction> {
    let (network, upstream) = (&config.network, &config.upstream);
    let listens = network.unixsocket.is_some() || (network.port != 0 && !network.bind.is_empty());
    let found = [
        (
            !listens,
            "port",
            "expected a port and an address in 'bind', or a 'unixsocket', to listen on; found neither",
        ),
        (
            upstream.backoff_min > upstream.backoff_max,
            "upstream-retry-backoff-min-ms",
            "expected no more than upstream-retry-backoff-max-ms",
        ),
        (
            upstream.tls != UpstreamTls::default()
                && !upstream.addresses.iter().any(|one| one.endpoint.is_tls()),
            "upstream",
            "there are settings for TLS ('upstream-tls-…'), expected an address with rediss://",
        ),
        (
            upstream.tls.key_file.is_none() && upstream.tls.cert_file.is_some(),
            "upstream-tls-cert-file",
            "a certificate is shown with its key, expected one in 'upstream-tls-key-file'",
        ),
        (
            upstream.tls.cert_file.is_none() && upstream.tls.key_file.is_some(),
            "upstream-tls-key-file",
            "a key belongs to a certificate, expected one in 'upstream-tls-cert-file'",
        ),
    ];
    let wrong = found.into_iter().filter(|(is_wrong, ..)| *is_wrong);
    wrong
        .map(|(_, setting, reason)| Contradiction {
            setting,
            namespace: None,
            reason: reason.to_owned(),
        })
        .collect()
}

fn of_rules(config: &Config, namespace: &Namespace) -> Vec<(&'static str, String)> {
    let rules = &namespace.rules;
    let mode = rules.mode_with(&config.upstream);
    let mut found = Vec::new();
    if mode != TierMode::Off && config.upstream.addresses.is_empty() {
        let reason = format!("{} needs an upstream, expected one in 'upstream'", mode.name());
        found.push(("tier-mode", reason));
    }
    let owns_all = mode == TierMode::WriteBehind && rules.promotion == PromotionPolicy::Always;
    if rules.compresses_upstream && !owns_all {
        let reason =
            "only with tier-mode write-behind and promotion always are the values of upstream Forebay's own";
        found.push(("compress-upstream", reason.to_owned()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPSTREAM: (&str, &str) = ("upstream", "redis://h");

    fn near() -> Config {
        let text = format!("{} = \"{}\"", UPSTREAM.0, UPSTREAM.1);
        Config::from_file_text("f.toml".as_ref(), &text).unwrap()
    }

    #[test]
    fn what_cannot_be_meant_together_is_not_set() {
        let error = Config::default()
            .set_many(&[("tier-mode", "write-around")])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("'tier-mode') - write-around needs an upstream"),
            "{error}"
        );
        assert!(near().set_many(&[("tier-mode", "write-around")]).is_ok());
        for pairs in [
            &[("compress-upstream", "yes")][..],
            &[
                ("compress-upstream", "yes"),
                ("tier-mode", "write-behind"),
                ("promotion", "lazy"),
            ],
        ] {
            let error = near().set_many(pairs).unwrap_err().to_string();
            assert!(error.contains("'compress-upstream')"), "{error}");
        }
        let behind = [("compress-upstream", "yes"), ("tier-mode", "write-behind")];
        let behind = near().set_many(&behind).unwrap();
        assert!(behind.set_many(&[("promotion", "never")]).is_err());
        assert!(
            behind
                .set_many(&[("promotion", "never"), ("compress-upstream", "no")])
                .is_ok()
        );
    }

    #[test]
    fn settings_for_tls_belong_together() {
        let found = |text: &str| -> Vec<&str> {
            let config = Config::from_file_text("f.toml".as_ref(), text).unwrap();
            let all = contradictions(&config).into_iter();
            all.map(|found| found.setting).collect()
        };
        let secure = "upstream = \"redis://a, rediss://b\"\n";
        assert!(found(&format!("{secure}upstream-tls-ca-file = \"ca\"")).is_empty());
        assert_eq!(
            found("upstream = \"redis://a\"\nupstream-tls-ca-file = \"ca\""),
            ["upstream"]
        );
        let cert = format!("{secure}upstream-tls-cert-file = \"c\"");
        assert_eq!(found(&cert), ["upstream-tls-cert-file"]);
        assert_eq!(
            found(&format!("{secure}upstream-tls-key-file = \"k\"")),
            ["upstream-tls-key-file"]
        );
        assert!(found(&format!("{cert}\nupstream-tls-key-file = \"k\"")).is_empty());
    }

    #[test]
    fn an_old_contradiction_does_not_keep_other_settings_from_changing() {
        let mut config = near();
        config.rules.compresses_upstream = true;
        assert!(config.set_many(&[("timeout", "1")]).is_ok());
    }
}
