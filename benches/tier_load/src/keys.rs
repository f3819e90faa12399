//! Which keys are asked for, in which order: drawn before the load begins, so that it costs nothing then.

/// Key numbers, one per request.
pub fn draw(order: &str, universe: u32, requests: usize, seed: u64) -> crate::Result<Vec<u32>> {
    let mut random = Random(seed);
    match order {
        "once" => Ok((0..universe).cycle().take(requests).collect()),
        "uniform" => Ok((0..requests).map(|_| random.below(universe)).collect()),
        "zipf" => {
            let zipf = Zipf::new(universe, 0.99);
            Ok((0..requests).map(|_| zipf.draw(&mut random)).collect())
        }
        _ => Err("--keys is zipf, uniform or once".into()),
    }
}

/// `SplitMix64` (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u32) -> u32 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u32
    }

    /// In [0, 1).
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Zipf's distribution over `0..universe`: rank r is drawn in proportion to (r + 1)^-exponent. Rejection-inversion
/// (Hörmann, Derflinger: Rejection-inversion to generate variates from monotone discrete distributions, 1996), which
/// is exact and takes constant time; names are those of the paper. The exponent is not 1.
struct Zipf {
    exponent: f64,
    h_first: f64,
    h_last: f64,
    shortcut: f64,
    universe: f64,
}

impl Zipf {
    fn new(universe: u32, exponent: f64) -> Self {
        let mut zipf = Self {
            exponent,
            h_first: 0.0,
            h_last: 0.0,
            shortcut: 0.0,
            universe: f64::from(universe),
        };
        zipf.h_first = zipf.big_h(1.5) - 1.0;
        zipf.h_last = zipf.big_h(zipf.universe + 0.5);
        zipf.shortcut = 2.0 - zipf.big_h_inverse(zipf.big_h(2.5) - 2f64.powf(-exponent));
        zipf
    }

    fn draw(&self, random: &mut Random) -> u32 {
        loop {
            let area = self.h_last + random.fraction() * (self.h_first - self.h_last);
            let x = self.big_h_inverse(area);
            let rank = x.round().clamp(1.0, self.universe);
            if rank - x <= self.shortcut || area >= self.big_h(rank + 0.5) - rank.powf(-self.exponent) {
                return rank as u32 - 1;
            }
        }
    }

    /// The integral of x^-exponent.
    fn big_h(&self, x: f64) -> f64 {
        x.powf(1.0 - self.exponent) / (1.0 - self.exponent)
    }

    fn big_h_inverse(&self, area: f64) -> f64 {
        ((1.0 - self.exponent) * area).powf(1.0 / (1.0 - self.exponent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_come_as_often_as_zipf_says() {
        let (universe, requests) = (1000, 2_000_000);
        let mut counts = vec![0u32; universe as usize];
        for rank in draw("zipf", universe, requests, 1).unwrap() {
            counts[rank as usize] += 1;
        }
        let harmonic: f64 = (1..=universe).map(|rank| f64::from(rank).powf(-0.99)).sum();
        for rank in [1, 2, 3, 10, 100, 999] {
            let expected = requests as f64 * f64::from(rank).powf(-0.99) / harmonic;
            let found = f64::from(counts[rank as usize - 1]);
            assert!(
                (found - expected).abs() < 5.0 * expected.sqrt(),
                "{rank}: {found}, not {expected}"
            );
        }
    }

    #[test]
    fn each_key_comes_once() {
        assert_eq!(draw("once", 3, 3, 0).unwrap(), [0, 1, 2]);
    }
}
