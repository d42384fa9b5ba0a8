//! Going on alone: where nothing that is done ahead lasts, one worker executes the transactions, each
//! when it is its turn, and the others sleep.
//!
//! In a block that is one line of transactions workers only get into each other's way: what the others
//! execute is in vain, and what they execute in line travels between caches. Which blocks are like that
//! cannot be known beforehand, and a block can be in parts. So the holder of the commit role keeps
//! count of the transactions that it commits: which of them were executed in vain, or were begun when the
//! one directly before them was committed. What is executed for the first time when it is its turn says
//! nothing: so it is with what the quickest worker takes, in any block. If nearly as many were in vain as
//! there can be, nobody takes anything for a while. What is next in line is then executed by whoever holds
//! the commit role, which goes from transaction to transaction. Then it is tried again, and left for
//! twice as long if that was no better.
//!
//! Where reads are known to be slow nobody goes alone: what is executed in vain has read what is wanted
//! later.

use super::Scheduler;
use crate::{
    hooks::Site,
    sync::atomic::{
        AtomicU32,
        Ordering::{Relaxed, SeqCst},
    },
};

/// How many commits are looked at before it is decided.
const SAMPLE: u32 = if cfg!(feature = "model") { 2 } else { 32 };
/// For how many transactions one worker goes on alone the first time, and at most.
const FIRST: u32 = if cfg!(feature = "model") { 1 } else { 128 };
const MOST: u32 = if cfg!(feature = "model") { 2 } else { 2048 };

/// What is known of whether it is any use to execute ahead. All but `until` is touched by the holder of
/// the commit role only, and therefore relaxed: who gives the role back releases, who takes it acquires.
#[derive(Debug)]
pub(super) struct Alone {
    /// From which transaction on others take part again; 0 where they do.
    until: AtomicU32,
    /// Of how many commits at least that were of no use it is concluded; more than there are for never.
    enough: u32,
    looked_at: AtomicU32,
    of_no_use: AtomicU32,
    span: AtomicU32,
}

impl Default for Alone {
    fn default() -> Self {
        Self {
            until: AtomicU32::new(0),
            enough: u32::MAX,
            looked_at: AtomicU32::new(0),
            of_no_use: AtomicU32::new(0),
            span: AtomicU32::new(FIRST),
        }
    }
}

impl Alone {
    /// Among so many workers. Of a line that they execute in turns one in so many is executed once, on
    /// values that last, and the others in vain before; four fifths of those are enough.
    pub(super) fn among(width: usize) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "nobody has so many threads")]
        let width = width as u32;
        let enough = SAMPLE * 4 * width.saturating_sub(1) / (5 * width.max(1));
        let enough = if width < 2 { u32::MAX } else { enough.max(1) };
        Self { enough, ..Self::default() }
    }
}

impl Scheduler {
    /// Whether only who holds the commit role executes.
    pub(super) fn is_alone(&self) -> bool {
        let until = self.alone.until.load(SeqCst);
        until > 0 && until > self.committed()
    }

    /// Takes into account that `tx` was committed by the caller, who holds the commit role, and whether
    /// it was executed `in_vain` before. Returns whether others take part again from here on, so that the
    /// role is better given back.
    pub(super) fn learn_use(&self, tx: u32, in_vain: bool) -> bool {
        let Alone { until, enough, looked_at, of_no_use, span } = &self.alone;
        if *enough == u32::MAX {
            return false;
        }
        let end = until.load(Relaxed);
        if end > 0 {
            if tx + 1 < end {
                return false;
            }
            // What was committed meanwhile need not be handed out: who takes it finds it committed.
            self.cursor.fetch_max(tx + 1, SeqCst);
            until.store(0, SeqCst);
            self.wake();
            return true;
        }
        let useless = in_vain || self.follows_directly(tx);
        let seen = looked_at.load(Relaxed) + 1;
        let useless_seen = of_no_use.load(Relaxed) + u32::from(useless);
        let decided = seen >= SAMPLE || self.hooks.spuriously(Site::Alone, tx);
        if !decided {
            looked_at.store(seen, Relaxed);
            of_no_use.store(useless_seen, Relaxed);
            return false;
        }
        looked_at.store(0, Relaxed);
        of_no_use.store(0, Relaxed);
        if useless_seen >= *enough || seen < SAMPLE {
            let length = span.load(Relaxed);
            span.store((length * 2).min(MOST), Relaxed);
            until.store(tx.saturating_add(1 + length), SeqCst);
        } else {
            span.store(FIRST, Relaxed);
        }
        false
    }

    /// Whether `tx` was begun when the one directly before it was committed, with nothing to do
    /// meanwhile.
    fn follows_directly(&self, tx: u32) -> bool {
        tx > 0 && self.conflicts.predecessor(tx) == tx - 1 && !self.conflicts.pauses(tx)
    }
}
