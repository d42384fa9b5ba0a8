//! Reproducible choices.

use warpline_workloads::Random;

/// A seeded generator, and ways to choose by it.
#[derive(Clone, Debug)]
pub(crate) struct Dice(Random);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(Random::new(seed))
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0.next()
    }

    /// A number below `bound`, which must not be zero.
    pub(crate) const fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    /// An index below `bound`, which must not be zero.
    pub(crate) fn index(&mut self, bound: usize) -> usize {
        self.0.index(bound)
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
