//! Sources that misbehave.

use std::{
    error::Error,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::Duration,
};

use alloy_primitives::{Address, B256, Bytes, U256};
use warpline_primitives::{Account, MissingState, StateSource};

macro_rules! forward {
    ($source:ident, $error:ty $(, $convert:path)?) => {
        type Error = $error;

        fn account(&self, address: Address) -> Result<Option<Account>, Self::Error> {
            self.before()?;
            self.$source.account(address)$(.map_err($convert))?
        }

        fn storage(&self, address: Address, slot: U256) -> Result<U256, Self::Error> {
            self.before()?;
            self.$source.storage(address, slot)$(.map_err($convert))?
        }

        fn has_storage(&self, address: Address) -> Result<bool, Self::Error> {
            self.before()?;
            self.$source.has_storage(address)$(.map_err($convert))?
        }

        fn code(&self, code_hash: B256) -> Result<Bytes, Self::Error> {
            self.before()?;
            self.$source.code(code_hash)$(.map_err($convert))?
        }

        fn block_hash(&self, number: u64) -> Result<B256, Self::Error> {
            self.before()?;
            self.$source.block_hash(number)$(.map_err($convert))?
        }
    };
}

/// Answers after pauses of any length between none and some twenty microseconds, so that workers
/// meet in another order each time. The pauses follow from a seed and the order of the reads.
#[derive(Debug)]
pub struct SlowSource<S> {
    source: S,
    seed: u64,
    reads: AtomicU64,
}

impl<S> SlowSource<S> {
    /// Slows `source` down.
    pub const fn new(source: S, seed: u64) -> Self {
        Self { source, seed, reads: AtomicU64::new(0) }
    }

    fn pause(&self) {
        let read = self.reads.fetch_add(1, Relaxed);
        pause(self.seed, read);
    }
}

impl<S: StateSource> SlowSource<S> {
    fn before(&self) -> Result<(), S::Error> {
        self.pause();
        Ok(())
    }
}

impl<S: StateSource> StateSource for SlowSource<S> {
    forward!(source, S::Error);
}

/// Does nothing, spins, yields or sleeps for a moment, by what `seed` and `step` say.
pub(crate) fn pause(seed: u64, step: u64) {
    let dice = BuildHasherDefault::<DefaultHasher>::default().hash_one((seed, step));
    match dice % 16 {
        0..8 => {}
        8..12 => thread::yield_now(),
        12..15 => (0..(dice >> 8) % 4096).for_each(|_| std::hint::spin_loop()),
        _ => thread::sleep(Duration::from_micros((dice >> 8) % 20)),
    }
}

/// Fails at the `k`-th read and answers all others.
#[derive(Debug)]
pub struct FailingSource<S> {
    source: S,
    fails_at: u64,
    and_after: bool,
    reads: AtomicU64,
}

/// Why a [`FailingSource`] failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadFailed<E: Error> {
    /// It was this read's turn.
    #[error("read {0} was made to fail")]
    OnPurpose(u64),
    /// The source itself failed.
    #[error(transparent)]
    Source(E),
}

impl<S> FailingSource<S> {
    /// Fails at read number `fails_at`, counted from zero, and at that one only.
    pub const fn once(source: S, fails_at: u64) -> Self {
        Self { source, fails_at, and_after: false, reads: AtomicU64::new(0) }
    }

    /// Fails at read number `fails_at`, counted from zero, and ever after.
    pub const fn from(source: S, fails_at: u64) -> Self {
        Self { source, fails_at, and_after: true, reads: AtomicU64::new(0) }
    }

    /// How many reads there were.
    pub fn reads(&self) -> u64 {
        self.reads.load(Relaxed)
    }
}

impl<S: StateSource> FailingSource<S> {
    fn before(&self) -> Result<(), ReadFailed<S::Error>> {
        let read = self.reads.fetch_add(1, Relaxed);
        let fails = read == self.fails_at || (self.and_after && read > self.fails_at);
        if fails { Err(ReadFailed::OnPurpose(read)) } else { Ok(()) }
    }
}

impl<S: StateSource> StateSource for FailingSource<S> {
    forward!(source, ReadFailed<S::Error>, ReadFailed::Source);
}

/// Panics at the `k`-th read.
#[derive(Debug)]
pub struct PanickingSource<S> {
    source: S,
    panics_at: u64,
    reads: AtomicU64,
}

impl<S> PanickingSource<S> {
    /// Panics at read number `panics_at`, counted from zero.
    pub const fn new(source: S, panics_at: u64) -> Self {
        Self { source, panics_at, reads: AtomicU64::new(0) }
    }
}

impl<S: StateSource<Error = MissingState>> PanickingSource<S> {
    fn before(&self) -> Result<(), MissingState> {
        let read = self.reads.fetch_add(1, Relaxed);
        assert!(read != self.panics_at, "read {read} was made to panic");
        Ok(())
    }
}

impl<S: StateSource<Error = MissingState>> StateSource for PanickingSource<S> {
    forward!(source, MissingState);
}
