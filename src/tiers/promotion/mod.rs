//! Which of the keys that are asked for and absent are worth a copy here.
//!
//! A policy decides before anything is fetched: a key that it does not let in is upstream's to answer for this time,
//! and costs L1 nothing. It is told of every access to an absent key and of no other, so that the way of a hit stays
//! as it is. Policies remember hashes, never keys, in a fixed amount of memory; what they forget or mix up costs a
//! copy too few or too many, never a wrong answer. All may be asked by any number of threads at once.
//!
//! | policy | lets in |
//! |---|---|
//! | `always` | every key |
//! | `second-hit` | a key at its second access within some minutes |
//! | `lazy` | a key that is asked for steadily, not in one burst |
//! | `predicted` | a key as often asked for as those that are worth their place |
//! | `never` | none |

mod always;
mod bloom;
mod lazy;
mod never;
mod predicted;
mod second_hit;
mod sketch;
#[cfg(test)]
mod zipf;

use crate::limits::PRESSURE_PERCENT;

/// How full L1 is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pressure {
    /// There is room.
    Low,
    /// Each new entry soon puts another one out.
    High,
    /// There is no room, and nothing may be put out.
    Full,
}

impl Pressure {
    /// Of a store that uses so many of `max_bytes` (0: as many as it likes), and whether it may evict.
    pub fn of(used_bytes: u64, max_bytes: u64, may_evict: bool) -> Self {
        if max_bytes == 0 {
            return Self::Low;
        }
        if used_bytes >= max_bytes && !may_evict {
            return Self::Full;
        }
        let is_high = u128::from(used_bytes) * 100 > u128::from(max_bytes) * u128::from(PRESSURE_PERCENT);
        if is_high { Self::High } else { Self::Low }
    }
}

/// A policy with what it remembers.
pub trait Promotion: Send + Sync {
    /// Whether the absent key with this hash may be brought into L1 now. Counts the access. `now_ms` is of any clock;
    /// should it jump, things are forgotten too soon or too late.
    fn admits(&self, key_hash: u64, now_ms: u64, pressure: Pressure) -> bool;
}

/// A fresh policy of this name.
pub fn by_name(name: &str) -> Option<Box<dyn Promotion>> {
    Some(match name {
        "always" => Box::new(always::Always),
        "second-hit" => Box::new(second_hit::SecondHit::default()),
        "lazy" => Box::new(lazy::Lazy::default()),
        "predicted" => Box::new(predicted::Predicted::default()),
        "never" => Box::new(never::Never),
        _ => return None,
    })
}

/// The hash with every bit depending on every other, since places and bits are cut from it: the finaliser of
/// `SplitMix64` (Steele, Lea and Flood 2014, with Stafford's constants).
fn spread(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 5] = ["always", "second-hit", "lazy", "predicted", "never"];

    #[test]
    fn policies_are_found_by_name_and_differ_in_when_they_let_a_key_in() {
        // One access every ten seconds.
        let first = |name: &str| {
            let policy = by_name(name).unwrap();
            (1..100).find(|&access| policy.admits(7, access * 10_000, Pressure::Low))
        };
        let firsts = NAMES.map(first);
        assert_eq!(firsts, [Some(1), Some(2), Some(3), Some(2), None]);
        assert!(by_name("sometimes").is_none());
    }

    #[test]
    fn nothing_is_let_in_where_nothing_fits() {
        for name in NAMES {
            let policy = by_name(name).unwrap();
            let admits = |access: u64| policy.admits(7, access * 10_000, Pressure::Full);
            assert!(!(1..100).any(admits), "{name}");
        }
    }

    #[test]
    fn memory_is_short_from_a_share_of_its_bound_on() {
        assert_eq!(Pressure::of(u64::MAX, 0, false), Pressure::Low);
        assert_eq!(Pressure::of(95, 100, true), Pressure::Low);
        assert_eq!(Pressure::of(96, 100, false), Pressure::High);
        assert_eq!(Pressure::of(100, 100, true), Pressure::High);
        assert_eq!(Pressure::of(100, 100, false), Pressure::Full);
        assert_eq!(Pressure::of(u64::MAX, u64::MAX, true), Pressure::High);
    }
}
