//! A load for tests in which few keys are asked for often and many once: Zipf's law with the exponent 0.99, as YCSB
//! has it (Cooper et al. 2010).

use super::spread;

const EXPONENT: f64 = 0.99;

/// Accesses to keys, which are named by their rank.
pub struct Trace {
    accesses: Vec<usize>,
    keys: usize,
}

impl Trace {
    /// So many accesses to so many keys, always the same.
    pub fn new(keys: usize, accesses: usize) -> Self {
        let weights = (1..=keys).map(|rank| (rank as f64).powf(-EXPONENT));
        let sums: Vec<f64> = weights
            .scan(0.0, |sum, weight| {
                *sum += weight;
                Some(*sum)
            })
            .collect();
        let whole = sums[keys - 1];
        let access = |number: usize| {
            let at = (spread(number as u64 + 1) >> 11) as f64 / (1_u64 << 53) as f64 * whole;
            sums.partition_point(|&sum| sum <= at).min(keys - 1)
        };
        Self {
            accesses: (0..accesses).map(access).collect(),
            keys,
        }
    }

    /// The keys that `admits` let in, each asked for until then: those are resident.
    pub fn admitted(&self, admits: impl Fn(u64) -> bool) -> Vec<bool> {
        let mut admitted = vec![false; self.keys];
        for &rank in &self.accesses {
            admitted[rank] = admitted[rank] || admits(rank as u64);
        }
        admitted
    }

    /// How many keys were asked for once, and how many of those were let in.
    pub fn once(&self, admitted: &[bool]) -> (usize, usize) {
        let mut counts = vec![0_u32; self.keys];
        self.accesses.iter().for_each(|&rank| counts[rank] += 1);
        let once = (0..self.keys).filter(|&rank| counts[rank] == 1);
        let mistakes = once.clone().filter(|&rank| admitted[rank]);
        (once.count(), mistakes.count())
    }
}
