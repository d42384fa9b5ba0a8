//! Reproducible choices.
//!
//! Written out rather than taken from a library, so that a seed means the same block on every
//! platform and after every update of a dependency.

/// SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Clone, Debug)]
pub(crate) struct Dice {
    state: u64,
}

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which must not be zero. The bias of the remainder is no concern.
    pub(crate) const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// An index below `bound`, which must not be zero.
    pub(crate) fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).expect("it is below a usize")
    }

    /// A number from `from` on and below `to`.
    pub(crate) fn between(&mut self, from: usize, to: usize) -> usize {
        from + self.index(to - from)
    }

    /// Whether a thing happens that does so once in `times`.
    pub(crate) const fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of several.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())]
    }

    /// An index into `weights`, as likely as its weight is large.
    pub(crate) fn weighted(&mut self, weights: &[u64]) -> usize {
        let mut left = self.below(weights.iter().sum());
        let chosen = weights.iter().position(|weight| {
            let here = left < *weight;
            left = left.wrapping_sub(*weight);
            here
        });
        chosen.unwrap_or(0)
    }

    /// As many as `from` to below `to`.
    pub(crate) fn several<T>(
        &mut self,
        from: usize,
        to: usize,
        mut make: impl FnMut(&mut Self) -> T,
    ) -> Vec<T> {
        (0..self.between(from, to)).map(|_| make(self)).collect()
    }
}

/// The seed of block `index` of a session with this seed.
pub const fn block_seed(session: u64, index: u64) -> u64 {
    let mut dice = Dice::new(session ^ index.wrapping_mul(0xd6e8_feb8_6659_fd93));
    dice.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_mix_gives_its_published_sequence() {
        // The first outputs for seed 1234567 of the reference implementation.
        let mut dice = Dice::new(1_234_567);
        assert_eq!(dice.next(), 6_457_827_717_110_365_317);
        assert_eq!(dice.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn weights_are_weights() {
        let mut dice = Dice::new(7);
        let mut counts = [0_u32; 3];
        for _ in 0..4_000 {
            counts[dice.weighted(&[1, 0, 3])] += 1;
        }
        assert_eq!(counts[1], 0);
        assert!((2.5..3.5).contains(&(f64::from(counts[2]) / f64::from(counts[0]))), "{counts:?}");
    }
}
