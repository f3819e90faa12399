//! When copies end and when they are fetched anew, so that not all of them need it at once.
//!
//! Only arithmetic: what is drawn at random is an argument, any number of 64 bits being as likely as any other.

/// Bits of a random number that a fraction between 0 and 1 is made of: those that an `f64` holds exactly.
const FRACTION_BITS: u32 = f64::MANTISSA_DIGITS;

/// The most that `-ln` of such a fraction can be: that of 2⁻⁵³ is 36.7.
const LEADS_MAX: u64 = 37;

/// Until when a copy lives that is made at `now_ms`; `None`: for ever. All times are Unix milliseconds.
///
/// That is upstream's deadline or, where it is sooner, `ttl_max_ms` from now (0: no such bound). The time until then
/// is shortened at random by up to `jitter_percent`, evenly, so that copies made together do not end together. A
/// copy never outlives upstream's value.
pub fn copy_deadline_ms(
    upstream_deadline_ms: Option<u64>,
    ttl_max_ms: u64,
    jitter_percent: u32,
    now_ms: u64,
    random: u64,
) -> Option<u64> {
    let bound_ms = (ttl_max_ms > 0).then(|| now_ms.saturating_add(ttl_max_ms));
    let deadline_ms = upstream_deadline_ms.into_iter().chain(bound_ms).min()?;
    let life_ms = u128::from(deadline_ms.saturating_sub(now_ms));
    let cut_max_ms = life_ms * u128::from(jitter_percent.min(100)) / 100;
    let cut_ms = (cut_max_ms * u128::from(random)) >> 64;
    Some(deadline_ms - cut_ms as u64)
}

/// Whether a read of a copy that has `remaining_ms` to live should have it fetched anew already.
///
/// The lead that each read takes is drawn from an exponential distribution with the mean `lead_ms` (0: never), so that
/// of many readers one is likely to be early, and hardly two at the same moment: `XFetch`, with the time that a
/// fetch takes and its factor as one number (Vattani, Chierichetti and Lowenstein, Optimal Probabilistic Cache
/// Stampede Prevention, VLDB 2015). Costs a multiplication where the end is far.
#[inline]
pub fn refreshes_early(remaining_ms: u64, lead_ms: u64, random: u64) -> bool {
    if lead_ms == 0 || remaining_ms > lead_ms.saturating_mul(LEADS_MAX) {
        return false;
    }
    -fraction(random).ln() * lead_ms as f64 >= remaining_ms as f64
}

/// More than 0 and at most 1.
fn fraction(random: u64) -> f64 {
    let numerator = (random >> (u64::BITS - FRACTION_BITS)) + 1;
    numerator as f64 / (1_u64 << FRACTION_BITS) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that are spread evenly: multiples of the golden ratio.
    fn randoms(count: u64) -> impl Iterator<Item = u64> {
        (1..=count).map(|number| number.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    #[test]
    fn a_copy_ends_with_upstreams_or_its_own_bound_whichever_is_sooner() {
        let deadline = |upstream, ttl_max| copy_deadline_ms(upstream, ttl_max, 0, 1000, u64::MAX);
        assert_eq!(deadline(None, 0), None);
        assert_eq!(deadline(Some(5000), 0), Some(5000));
        assert_eq!(deadline(None, 300), Some(1300));
        assert_eq!(deadline(Some(5000), 300), Some(1300));
        assert_eq!(deadline(Some(1200), 300), Some(1200));
        assert_eq!(deadline(Some(999), 300), Some(999), "it is over already");
    }

    #[test]
    fn jitter_shortens_evenly_and_by_no_more_than_asked_for() {
        let deadlines = randoms(10_000)
            .map(|random| copy_deadline_ms(Some(101_000), 0, 20, 1000, random).expect("there is a deadline"));
        let deadlines: Vec<u64> = deadlines.collect();
        assert!(
            deadlines
                .iter()
                .all(|deadline| (81_000..=101_000).contains(deadline))
        );
        for fifth in 0..5 {
            let range = 81_000 + fifth * 4000..81_000 + (fifth + 1) * 4000;
            let share = deadlines
                .iter()
                .filter(|deadline| range.contains(*deadline))
                .count();
            assert!((1900..2100).contains(&share), "{share} in {range:?}");
        }
    }

    #[test]
    fn deadlines_at_the_ends_of_time_do_not_overflow() {
        for random in [0, 1, u64::MAX / 2, u64::MAX] {
            for percent in [0, 1, 90, 100, u32::MAX] {
                for now_ms in [0, 1, u64::MAX] {
                    for upstream in [None, Some(0), Some(1), Some(u64::MAX)] {
                        let deadline = copy_deadline_ms(upstream, u64::MAX, percent, now_ms, random);
                        assert!(deadline <= Some(upstream.unwrap_or(u64::MAX)));
                        assert!(deadline >= upstream.map(|at| at.min(now_ms)));
                    }
                }
            }
        }
        assert_eq!(
            copy_deadline_ms(Some(1001), 0, 90, 1000, u64::MAX),
            Some(1001),
            "no life is cut to nothing"
        );
    }

    #[test]
    fn leads_are_distributed_exponentially() {
        const READS: u64 = 100_000;
        for (remaining_ms, share) in [
            (0, 1.0),
            (500, 0.6065),
            (1000, 0.3679),
            (3000, 0.0498),
            (7000, 0.0009),
        ] {
            let early = randoms(READS).filter(|&random| refreshes_early(remaining_ms, 1000, random));
            let early = early.count() as f64 / READS as f64;
            assert!((early - share).abs() < 0.002, "{early} at {remaining_ms}");
        }
    }

    #[test]
    fn nothing_is_refreshed_early_without_a_lead_nor_long_before_the_end() {
        for random in [0, 1, u64::MAX] {
            assert!(!refreshes_early(0, 0, random) && !refreshes_early(1, 0, random));
            assert!(!refreshes_early(u64::MAX, 1000, random));
            assert!(!refreshes_early(37_001, 1000, random));
            assert!(refreshes_early(0, 1, random), "it is over");
        }
        assert!(refreshes_early(36_700, 1000, 0), "the longest lead there is");
        assert!(!refreshes_early(1, 1000, u64::MAX), "the shortest");
        assert!(!refreshes_early(u64::MAX, u64::MAX, u64::MAX) && refreshes_early(u64::MAX, u64::MAX, 0));
    }
}
