//! Reproducible choices: a seeded generator and popularity after Zipf.
//!
//! Written out rather than taken from a library, so that a seed means the same block on every
//! platform and after every update of a dependency. Integers throughout, for the same reason.

use alloy_primitives::{Address, B256, U256, keccak256};

/// SplitMix64 (Steele, Lea and Flood, 2014): small, seedable, and good enough to vary a workload.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The generator that `seed` starts.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number, of 64 random bits.
    pub const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`. The bias of the remainder, at most `bound / 2^64`, is of no concern
    /// here.
    ///
    /// # Panics
    /// When `bound` is zero.
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// An index below `bound`.
    ///
    /// # Panics
    /// When `bound` is zero.
    pub fn index(&mut self, bound: usize) -> usize {
        let index = self.below(bound as u64);
        usize::try_from(index).expect("it is below a usize")
    }

    /// One of `choices`, each as often as its weight says.
    ///
    /// # Panics
    /// When there is no choice, or none that weighs anything.
    pub(crate) fn choose<T: Copy>(&mut self, choices: &[(T, u64)]) -> T {
        let mut point = self.below(choices.iter().map(|(_, weight)| weight).sum());
        let mut choices = choices.iter();
        loop {
            let (choice, weight) = choices.next().expect("the point is below the sum of weights");
            if point < *weight {
                return *choice;
            }
            point -= weight;
        }
    }
}

/// Ranks with the popularity Zipf's law gives them: rank `k`, from 1, weighs `1 / k`.
#[derive(Clone, Debug)]
pub(crate) struct Zipf {
    /// Sums of the weights up to and with each rank.
    cumulative: Vec<u64>,
}

impl Zipf {
    /// The weight of rank 1. Up to 2^24 ranks keep the sum, about 17 times this, within 64 bits.
    const FIRST: u64 = 1 << 40;

    /// `ranks` ranks, at least one.
    pub(crate) fn new(ranks: usize) -> Self {
        let mut sum = 0;
        let weights = (1..=ranks.max(1) as u64).map(|rank| {
            sum += (Self::FIRST / rank).max(1);
            sum
        });
        Self { cumulative: weights.collect() }
    }

    /// An index below the number of ranks, the most popular being 0.
    pub(crate) fn draw(&self, random: &mut Random) -> usize {
        let total = self.cumulative.last().copied().unwrap_or(1);
        let point = random.below(total);
        self.cumulative.partition_point(|sum| *sum <= point)
    }
}

/// What some use often and all use now and then: half of the time one after [`Zipf`], otherwise any.
/// Of 20,000, the most popular is then drawn about every twentieth time.
#[derive(Clone, Debug)]
pub(crate) struct Skewed {
    ranks: usize,
    popularity: Zipf,
}

impl Skewed {
    /// `ranks` ranks, at least one.
    pub(crate) fn new(ranks: usize) -> Self {
        Self { ranks: ranks.max(1), popularity: Zipf::new(ranks) }
    }

    /// An index below the number of ranks, the most popular being 0.
    pub(crate) fn draw(&self, random: &mut Random) -> usize {
        if random.below(2) == 0 { self.popularity.draw(random) } else { random.index(self.ranks) }
    }
}

/// Addresses nobody has a key to, one for each seed, role and index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    seed: u64,
}

impl Addresses {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { seed }
    }

    pub(crate) fn get(&self, role: Role, index: usize) -> Address {
        let mut preimage = [0; 17];
        preimage[..8].copy_from_slice(&self.seed.to_be_bytes());
        preimage[8] = role as u8;
        preimage[9..].copy_from_slice(&(index as u64).to_be_bytes());
        Address::from_word(keccak256(preimage))
    }
}

/// What an address is for; keeps the addresses of different roles apart.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum Role {
    Sender,
    Recipient,
    Token,
    Pool,
    Collection,
    /// The contract of a field.
    Registry,
    /// Who acts for an institution: an inspector, a member of the staff, an agent.
    Official,
}

/// A word that depends on nothing but `label` and `number`.
pub(crate) fn labelled(label: &str, number: u64) -> B256 {
    let mut preimage = label.as_bytes().to_vec();
    preimage.extend(U256::from(number).to_be_bytes::<32>());
    keccak256(preimage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_mix_gives_its_published_sequence() {
        // The first outputs for seed 1234567 of the reference implementation.
        let mut random = Random::new(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn the_first_rank_is_drawn_about_twice_as_often_as_the_second() {
        let zipf = Zipf::new(100);
        let mut random = Random::new(7);
        let mut counts = [0u32; 100];
        for _ in 0..20_000 {
            counts[zipf.draw(&mut random)] += 1;
        }
        assert!(counts.iter().all(|count| *count > 0));
        let ratio = f64::from(counts[0]) / f64::from(counts[1]);
        assert!((1.8..2.2).contains(&ratio), "{ratio}");
    }
}
