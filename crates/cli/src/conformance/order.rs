//! The order in which cases are run.
//!
//! One engine runs them all, and nothing may leak from one case to the next; in the order of the
//! files the same cases always follow each other, in a shuffled one they do not.

use warpline_workloads::Random;

/// How many items wait for their turn. Large enough to mix files, folders and networks; small
/// enough to hold in memory, whatever the size of an archive.
const WINDOW: usize = 1024;

/// Items in a random order that the seed fixes, each drawn from a window over what comes next.
///
/// A complete shuffle would have to hold all items. With a window an item comes at most
/// `WINDOW - 1` places early; how late it comes is not bounded, but rarely more than some windows.
pub(super) struct Shuffled<I: Iterator> {
    items: I,
    window: Vec<I::Item>,
    random: Random,
}

impl<I: Iterator> Shuffled<I> {
    pub(super) fn new(items: I, seed: u64) -> Self {
        Self { items, window: Vec::with_capacity(WINDOW), random: Random::new(seed) }
    }
}

impl<I: Iterator> Iterator for Shuffled<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        let room = WINDOW - self.window.len();
        self.window.extend(self.items.by_ref().take(room));
        if self.window.is_empty() {
            return None;
        }
        let index = self.random.index(self.window.len());
        Some(self.window.swap_remove(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shuffled(count: usize, seed: u64) -> Vec<usize> {
        Shuffled::new(0..count, seed).collect()
    }

    #[test]
    fn every_item_comes_once_in_an_order_that_the_seed_fixes() {
        for count in [0, 1, 10, WINDOW, 3 * WINDOW] {
            let order = shuffled(count, 7);
            assert_eq!(order, shuffled(count, 7));
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..count).collect::<Vec<_>>());
            if count > 1 {
                assert_ne!(order, sorted, "{count}");
                assert_ne!(order, shuffled(count, 8), "{count}");
            }
        }
    }

    #[test]
    fn no_item_comes_before_it_is_in_the_window() {
        let order = shuffled(3 * WINDOW, 1);
        assert!(order.iter().enumerate().all(|(place, item)| *item < place + WINDOW));
    }
}
