//! What is not as it should be: how bad it is, and what an operator can do about it.

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; nothing is worse for it yet.
    Notice,
    /// Something is slower, older or nearer to its bound than it should be.
    Warning,
    /// Something does not work.
    Critical,
}

impl Severity {
    /// The name that replies and pages show.
    pub fn name(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// What a finding takes off the score: one that is critical leaves less than half, a few warnings as well.
    fn weight(self) -> u32 {
        match self {
            Self::Notice => 5,
            Self::Warning => 20,
            Self::Critical => 60,
        }
    }
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What was found, with its figures; one line.
    pub what: String,
    /// What to do about it; one line.
    pub advice: &'static str,
}

impl Finding {
    /// A finding, with what to do about it.
    pub fn new(severity: Severity, what: impl Into<String>, advice: &'static str) -> Self {
        Self {
            severity,
            what: what.into(),
            advice,
        }
    }
}

/// `ok` without findings beyond notices, `degraded` with a warning, `down` with something critical.
pub fn state(findings: &[Finding]) -> &'static str {
    match findings.iter().map(|finding| finding.severity).max() {
        None | Some(Severity::Notice) => "ok",
        Some(Severity::Warning) => "degraded",
        Some(Severity::Critical) => "down",
    }
}

/// Health as a number from 0 to 100; 100 is no finding at all.
pub fn score(findings: &[Finding]) -> u32 {
    let lost = findings.iter().map(|finding| finding.severity.weight()).sum();
    100u32.saturating_sub(lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(severities: &[Severity]) -> Vec<Finding> {
        let finding = |severity: &Severity| Finding::new(*severity, "what", "advice");
        severities.iter().map(finding).collect()
    }

    #[test]
    fn the_worst_finding_is_the_state_and_all_of_them_are_the_score() {
        use Severity::*;
        for (severities, expected_state, expected_score) in [
            (&[][..], "ok", 100),
            (&[Notice, Notice], "ok", 90),
            (&[Warning, Notice], "degraded", 75),
            (&[Notice, Critical, Warning], "down", 15),
            (&[Critical, Critical], "down", 0),
        ] {
            let findings = findings(severities);
            assert_eq!(
                (state(&findings), score(&findings)),
                (expected_state, expected_score)
            );
        }
    }
}
