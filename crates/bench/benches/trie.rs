//! `cargo bench -p warpline-bench --bench trie [-- --accounts 10000000]`: state roots after blocks,
//! incrementally on a database in memory, against a full rebuild.
//!
//! Each block is taken on a trie that has just been opened (*cold*), and on one that has prefetched
//! its keys (*warm*), by one thread and by all. What is timed is applying the block and committing:
//! the root, and the list of nodes to write. The rebuild is the one by which the state was made.

use std::{
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::{Address, B256, U256};
use rayon::{ThreadPool, ThreadPoolBuilder};
use warpline_primitives::{Account, AccountDiff, StateDiff};
use warpline_trie::{MemoryTables, Recorder, StateTrie, TrieUpdates};

/// The command's allocator, so that the times can be compared with its own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Contracts with most of the slots, each with half as many as the one before it.
const CONTRACTS: u64 = 6;
/// Each time is the least of so many.
const REPEATS: usize = 3;

type Failure = Box<dyn std::error::Error>;

/// A state that need not be held: every account and slot is computed from its number.
#[derive(Clone, Copy)]
struct Universe {
    accounts: u64,
}

impl Universe {
    fn address(index: u64) -> Address {
        let words = [index, index + (1 << 40), index + (1 << 41)].map(mix);
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        Address::from_slice(&bytes[..20])
    }

    fn account(index: u64) -> Account {
        Account { balance: U256::from(mix(index)), nonce: index % 100, ..Account::default() }
    }

    /// As many slots as accounts in all contracts together, about; a few in every fifth account.
    fn slots(self, index: u64) -> u64 {
        match index {
            0..CONTRACTS => self.accounts >> (index + 1),
            _ if index.is_multiple_of(5) => 3,
            _ => 0,
        }
    }

    fn accounts(
        self,
    ) -> impl Iterator<Item = (Address, Account, impl Iterator<Item = (U256, U256)>)> {
        (0..self.accounts).map(move |index| {
            let slots = (0..self.slots(index)).map(|slot| (U256::from(slot), U256::from(slot + 1)));
            (Self::address(index), Self::account(index), slots)
        })
    }

    /// A block that changes `slots` slots, nine in ten of them in the large contracts, and as many
    /// balances as half of that. Of the slots one in ten is new, one in ten is cleared.
    fn block(self, slots: u64) -> StateDiff {
        let mut diff = StateDiff::default();
        for number in 0..slots / 2 {
            let index = CONTRACTS + mix(number) % (self.accounts - CONTRACTS);
            self.touch(&mut diff, index);
        }
        for number in 0..slots {
            let random = mix(number + (1 << 42));
            let index = match random % 10 {
                0 => mix(random) % (self.accounts / 5) * 5,
                _ => u64::from((random >> 8).trailing_zeros()).min(CONTRACTS - 1),
            };
            let there = self.slots(index).max(1);
            let (slot, value) = match mix(random + 1) % 10 {
                0 => (there + random % (1 << 40), random),
                1 => (random % there, 0),
                _ => (random % there, random),
            };
            let change = self.touch(&mut diff, index);
            change.storage.insert(U256::from(slot), U256::from(value));
        }
        diff
    }

    fn touch(self, diff: &mut StateDiff, index: u64) -> &mut AccountDiff {
        let change = diff.account_mut(Self::address(index));
        let mut account = Self::account(index);
        account.nonce += 1;
        change.account = Some(account);
        change
    }
}

/// A number that looks random (the finalizer of SplitMix64).
const fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A state in a database, and what it took to make it.
struct Stored {
    universe: Universe,
    tables: Arc<MemoryTables>,
    root: B256,
    rebuild: Duration,
}

impl Stored {
    fn new(accounts: u64) -> Self {
        let universe = Universe { accounts };
        let start = Instant::now();
        let updates = StateTrie::from_accounts(universe.accounts()).commit();
        let rebuild = start.elapsed();
        let tables = MemoryTables::new();
        tables.write_state(universe.accounts(), &updates);
        Self { universe, tables: Arc::new(tables), root: updates.root, rebuild }
    }

    /// The least time that `diff` takes, and what comes of it.
    fn time(
        &self,
        pool: &ThreadPool,
        diff: &StateDiff,
        warm: bool,
    ) -> Result<(Duration, TrieUpdates), Failure> {
        let mut best: Option<(Duration, TrieUpdates)> = None;
        for _ in 0..REPEATS {
            let mut trie = StateTrie::from_source(self.root, self.tables.clone());
            if warm {
                let keys = diff.accounts();
                trie.prefetch(keys.map(|(key, change)| (*key, change.storage.keys().copied())))?;
            }
            let start = Instant::now();
            let updates = pool.install(|| trie.apply(diff).map(|()| trie.commit()))?;
            let time = start.elapsed();
            if best.as_ref().is_none_or(|(best, _)| time < *best) {
                best = Some((time, updates));
            }
        }
        best.ok_or_else(|| "nothing was measured".into())
    }

    #[expect(clippy::print_stdout, reason = "a benchmark is there to be read")]
    fn measure(&self, slots: u64, pools: &[ThreadPool; 2]) -> Result<(), Failure> {
        let diff = self.universe.block(slots);
        let recorder = Arc::new(Recorder::new(self.tables.clone()));
        let mut trie = StateTrie::from_source(self.root, recorder.clone());
        trie.apply(&diff)?;
        let expected = trie.commit();
        let read = recorder.take().len();
        let (written, removed) = (expected.written(), expected.removed());
        println!(
            "{slots} slots in {} accounts: {read} nodes read, {written} written, {removed} removed",
            diff.len()
        );
        for (name, warm) in [("cold", false), ("warm", true)] {
            let [one, all] = [&pools[0], &pools[1]].map(|pool| self.time(pool, &diff, warm));
            let ((one, one_updates), (all, all_updates)) = (one?, all?);
            assert!(one_updates == expected && all_updates == expected, "the updates differ");
            println!(
                "  {name}: {:9.3} ms by one thread, {:9.3} ms by all: {:.2} times as fast; \
                 the rebuild takes {:.0} times as long",
                one.as_secs_f64() * 1e3,
                all.as_secs_f64() * 1e3,
                one.as_secs_f64() / all.as_secs_f64(),
                self.rebuild.as_secs_f64() / all.as_secs_f64(),
            );
        }
        Ok(())
    }
}

#[expect(clippy::print_stdout, reason = "a benchmark is there to be read")]
fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    // Without `--bench`, which `cargo bench` passes, this is a test that it works.
    let measured = arguments.iter().any(|argument| argument == "--bench");
    let given = arguments.iter().skip_while(|argument| *argument != "--accounts").nth(1);
    let accounts = given.map(|accounts| accounts.parse()).transpose()?;
    let accounts = accounts.unwrap_or(if measured { 1_000_000 } else { 2_000 });
    let threads = std::thread::available_parallelism()?.get();
    let pool = |threads| ThreadPoolBuilder::new().num_threads(threads).build();
    let pools = [pool(1)?, pool(threads)?];
    let stored = pools[1].install(|| Stored::new(accounts));
    println!(
        "{accounts} accounts, {} nodes stored; rebuilt by {threads} threads in {:.1} s",
        stored.tables.nodes(),
        stored.rebuild.as_secs_f64()
    );
    let sizes = if measured { &[100, 1_000, 10_000, 50_000][..] } else { &[10, 300] };
    sizes.iter().try_for_each(|slots| stored.measure(*slots, &pools))
}
