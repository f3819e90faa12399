//! Which events of keys are published, as `notify-keyspace-events` has it.

use std::fmt;

/// The classes of events in Redis's order, then `n`, which `A` leaves out.
const CLASSES: &str = "g$lshzxetdn";
/// How many of them `A` stands for.
const ALL_CLASSES: usize = 10;
/// The channels, and the class that belongs to neither `A` nor the other classes: missed keys.
const CHANNELS_AND_MISSES: &str = "KEm";

/// Classes of events that are published, and to which channels. Displayed in Redis's order; empty: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyspaceEvents(u16);

impl KeyspaceEvents {
    /// Reads letters in any order and number.
    ///
    /// # Errors
    /// Redis's text where one is no class.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let invalid = || "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".to_owned();
        let mut bits = 0;
        for letter in text.chars() {
            bits |= match letter {
                'A' => (1 << ALL_CLASSES) - 1,
                _ => 1 << letters().position(|known| known == letter).ok_or_else(invalid)?,
            };
        }
        Ok(Self(bits))
    }

    /// Whether the class or channel with this letter of Redis's is among them.
    pub fn contains(self, letter: char) -> bool {
        letters()
            .position(|known| known == letter)
            .is_some_and(|bit| self.0 & (1 << bit) != 0)
    }
}

/// All letters; each is a bit.
fn letters() -> impl Iterator<Item = char> {
    CLASSES.chars().chain(CHANNELS_AND_MISSES.chars())
}

impl fmt::Display for KeyspaceEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = (1 << ALL_CLASSES) - 1;
        let has_all = self.0 & all == all;
        if has_all {
            f.write_str("A")?;
        }
        let rest = letters().skip(if has_all { ALL_CLASSES } else { 0 });
        rest.filter(|letter| self.contains(*letter))
            .try_for_each(|letter| write!(f, "{letter}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_come_back_in_redis_order() {
        for (text, shown) in [
            ("", ""),
            ("KEA", "AKE"),
            ("mAnEK", "AnKEm"),
            ("$lg", "g$l"),
            ("KEg$lshzxetd", "AKE"),
            ("nmKE", "nKEm"),
            ("KK", "K"),
        ] {
            assert_eq!(KeyspaceEvents::parse(text).unwrap().to_string(), shown);
        }
        assert!(
            KeyspaceEvents::parse("KEq")
                .unwrap_err()
                .starts_with("Invalid event class")
        );
    }
}
