//! Making a block smaller for as long as it still fails.
//!
//! What fails in one schedule may pass in the next, so a block that does not fail right away is
//! tried again, about as often as it takes the whole block to fail with near certainty. A smaller
//! block that fails less often may be missed; what is kept has failed.

use crate::{block::Block, program, transaction::simpler};

/// How often a candidate is given the chance to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempts(pub u32);

impl Attempts {
    /// Enough for what failed `failures` times in `of` attempts to fail once again, with all but
    /// one in fifty certainty; at most 60.
    pub fn after(failures: u32, of: u32) -> Self {
        let needed = if failures == 0 { 60 } else { (4 * of).div_ceil(failures) };
        Self(needed.clamp(1, 60))
    }
}

/// Drops what `block` does not need in order to fail: transactions, accounts, statements and
/// whatever is not plain. `fails` says whether a candidate does, and is asked a last time when it
/// returns `None`: no more time.
pub fn shrink(block: Block, mut fails: impl FnMut(&Block) -> Option<bool>) -> Block {
    let mut shrinker = Shrinker { smallest: block, fails: &mut fails, out_of_time: false };
    loop {
        let before = shrinker.smallest.clone();
        shrinker.pass();
        if shrinker.out_of_time || shrinker.smallest == before {
            return shrinker.smallest;
        }
    }
}

struct Shrinker<'f> {
    smallest: Block,
    fails: &'f mut dyn FnMut(&Block) -> Option<bool>,
    out_of_time: bool,
}

impl Shrinker<'_> {
    fn pass(&mut self) {
        self.drop_from(|block| &mut block.transactions);
        for index in 0..self.smallest.programs.len() {
            let empty = |block: &mut Block| block.programs[index].clear();
            self.attempt(empty);
        }
        self.drop_from(|block| &mut block.withdrawals);
        self.drop_from(|block| &mut block.slots);
        self.drop_from(|block| &mut block.made);
        self.drop_from(|block| &mut block.empty);
        self.drop_from(|block| &mut block.funded);
        self.drop_from(|block| &mut block.delegated);
        self.attempt(|block| block.unreadable = None);
        self.attempt(|block| block.beneficiary = None);
        self.attempt(|block| block.gas_limit = 30_000_000);
        for index in 0..self.smallest.programs.len() {
            self.simplify(
                |block| program::smaller(&block.programs[index]),
                |block, program| block.programs[index] = program,
            );
        }
        for index in 0..self.smallest.transactions.len() {
            self.simplify(
                |block| simpler(&block.transactions[index]),
                |block, transaction| block.transactions[index] = transaction,
            );
        }
    }

    /// Keeps a change that the failure survives.
    fn attempt(&mut self, change: impl FnOnce(&mut Block)) -> bool {
        let mut candidate = self.smallest.clone();
        change(&mut candidate);
        if self.out_of_time || candidate == self.smallest {
            return false;
        }
        let failed = (self.fails)(&candidate);
        self.out_of_time = failed.is_none();
        if failed == Some(true) {
            self.smallest = candidate;
        }
        failed == Some(true)
    }

    /// Drops from a list: halves first, then ever smaller parts.
    fn drop_from<T: Clone>(&mut self, list: impl Fn(&mut Block) -> &mut Vec<T>) {
        let mut part = list(&mut self.smallest).len().div_ceil(2);
        while part > 0 {
            // From the end: what comes last is the least likely to be a cause.
            let mut end = list(&mut self.smallest).len();
            while end > 0 {
                let start = end.saturating_sub(part);
                self.attempt(|block| drop(list(block).drain(start..end)));
                end = start;
            }
            part /= 2;
        }
    }

    /// Puts ever simpler things in the place of one.
    fn simplify<T>(&mut self, simpler: impl Fn(&Block) -> Vec<T>, put: impl Fn(&mut Block, T)) {
        while !self.out_of_time {
            let mut candidates = simpler(&self.smallest).into_iter();
            if !candidates.any(|candidate| self.attempt(|block| put(block, candidate))) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{program::Statement, tools::Tool, transaction::What};

    /// Fails if it has a transfer of tokens after a copy, and a contract that logs.
    fn fails(block: &Block) -> bool {
        let uses = |tool| move |transaction: &crate::transaction::Transaction| matches!(transaction.what, What::Use(used, ..) if used == tool);
        let copy = block.transactions.iter().position(uses(Tool::Copier));
        let token = block.transactions.iter().rposition(uses(Tool::Token));
        let logs = |program: &Vec<Statement>| format!("{program:?}").contains("Log");
        copy.zip(token).is_some_and(|(copy, token)| copy < token) && block.programs.iter().any(logs)
    }

    #[test]
    fn nothing_is_left_that_the_failure_does_not_need() {
        let seeds = (0..).map(|index| crate::block_seed(1, index));
        let block = seeds.map(|seed| Block::random(seed, None)).find(fails).unwrap();
        let small = shrink(block, |block| Some(fails(block)));
        assert!(fails(&small));
        assert_eq!(small.transactions.len(), 2);
        let statements: Vec<_> = small.programs.iter().flatten().collect();
        assert_eq!(statements, [&Statement::Log]);
        assert!(small.slots.is_empty() && small.withdrawals.is_empty());
    }

    #[test]
    fn it_ends_when_there_is_no_more_time() {
        let block = Block::random(3, None);
        let mut left = 5;
        let small = shrink(block, |_| {
            left -= 1;
            (left > 0).then_some(true)
        });
        assert_eq!(left, 0);
        assert!(small.transactions.len() < 40);
    }

    #[test]
    fn what_fails_rarely_is_tried_often() {
        assert_eq!(Attempts::after(10, 10), Attempts(4));
        assert_eq!(Attempts::after(1, 10), Attempts(40));
        assert_eq!(Attempts::after(0, 10), Attempts(60));
    }
}
