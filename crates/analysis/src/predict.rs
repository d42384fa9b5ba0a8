//! Which locations the transactions of a block are going to read and write, how long they take and how
//! likely they are to conflict: learned from the blocks before.
//!
//! A [`Predictor`] is shown what happened in each block once it was executed, and asked for
//! [`AccessHints`] at the next. It remembers *patterns*: locations as functions of what a transaction
//! brings along, such as "the entry of the sender in the mapping at slot 3", under *contexts*: what the
//! transaction has in common with earlier ones, such as the function that it calls. Patterns are found
//! by trying which hashes of the transaction's own words give the slots that it touched; nobody has
//! to know the contract. What a contract's [code](crate::bytecode) says that its functions touch is
//! filled in as well, and weighed by how often it turned out to be so.
//!
//! ```
//! use warpline_analysis::predict::Predictor;
//! # use warpline_engine::{Engine, EngineConfig, Ethereum};
//! # use warpline_primitives::Chance;
//! # use warpline_testkit::true_hints;
//! # use warpline_workloads::{Size, Workload, generate};
//! # let generated = generate(Workload::Erc20Independent, Size::Transactions(20), 7);
//! # let (block, state) = (generated.block, generated.state);
//! # let engine = Engine::new(Ethereum::new(generated.chain), EngineConfig::with_threads(1))?;
//! # let (_, traces) = engine.trace(&block, &state)?;
//! # let happened = true_hints(&traces);
//! let mut predictor = Predictor::default();
//! predictor.learn(&block, &happened, &state);
//! let hints = predictor.predict(&block, &state);
//! assert_eq!(hints.transactions.len(), block.transactions.len());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! *What happened* has the same form as hints, with chances of 0 and 100. Where a block is traced,
//! traces give it. A node that does not execute twice takes it from what its execution shows anyway: an
//! [`Observed`] collects the writes of each transaction as they become final.
//!
//! Being wrong costs time only, so nothing here fails: what cannot be read of the state is not known.
//! The same blocks, and the same said of what happened in them, give the same predictor, whatever the
//! machine.

mod codes;
mod expand;
mod explain;
mod file;
mod model;
mod observed;
mod pattern;
mod score;
mod templates;

use std::collections::{BTreeMap, BTreeSet};

use alloy_consensus::Transaction;
use alloy_primitives::{Address, U256};
use warpline_primitives::{
    AccessHint, AccessHints, Chance, Location, RecoveredBlock, StateSource, TransactionHints,
};

use codes::Codes;
use expand::Expansion;
use explain::{Explainer, mentioned};
pub use file::{LoadError, SaveError};
use model::{Context, Count, Key, Limits, Model, Occurrence};
pub use observed::Observed;
use pattern::{Call, Load, Pattern};
pub use score::{Kind, Score, Tally};
use templates::{Guess, Lesson};

use crate::bytecode::BlockInputs;

/// How likely an access has to be to be worth a word.
const WORTH_SAYING: Chance = Chance::percent(10);
/// How likely both sides of a dependency have to be for one to wait for the other.
const WORTH_WAITING: Chance = Chance::percent(60);
/// How many accesses of a transaction are learned, and predicted.
const MAX_ACCESSES: usize = 2048;
/// How many hashes are computed for a block to find out what its slots are, and for each transaction of
/// it at most.
const BLOCK_HASHES: u32 = 1 << 20;
const TRANSACTION_HASHES: u32 = 1 << 14;

/// How much a [`Predictor`] remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Contexts: functions, contracts, and what was called together. Default: 65,536.
    pub max_contexts: usize,
    /// Patterns in all of them. Each takes some 200 bytes. Default: 262,144.
    pub max_patterns: usize,
    /// After how many blocks what was learned weighs half. Default: 1,024.
    pub half_life_blocks: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_contexts: 1 << 16, max_patterns: 1 << 18, half_life_blocks: 1 << 10 }
    }
}

impl Config {
    const fn limits(&self) -> Limits {
        Limits {
            contexts: self.max_contexts,
            patterns: self.max_patterns,
            half_life: self.half_life_blocks,
        }
    }
}

/// What predictions are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sources {
    /// The templates of the code that runs only.
    Templates,
    /// What was learned of functions and their callers only.
    Learned,
    /// Both.
    Both,
}

/// An online model of what transactions do. See the [module](self). Clones share analysed code and
/// nothing else.
#[derive(Clone, Debug, Default)]
pub struct Predictor {
    config: Config,
    model: Model,
    codes: Codes,
}

/// Slots of a block that count something: how often they were written so far.
type Counters = BTreeMap<Location, u64>;

impl Predictor {
    /// One that knows nothing yet.
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    /// How many blocks it learned.
    pub const fn blocks(&self) -> u64 {
        self.model.blocks
    }

    /// How many patterns it remembers.
    pub const fn patterns(&self) -> usize {
        self.model.patterns
    }

    /// How many contexts it remembers.
    pub fn contexts(&self) -> usize {
        self.model.contexts.len()
    }

    /// Whether it has seen the function that `tx` calls.
    pub fn knows<T: Transaction>(&self, tx: &T) -> bool {
        let call = Call { sender: Address::ZERO, recipient: tx.to(), input: tx.input() };
        let key = function(&call);
        key.is_some_and(|key| self.model.context(&key, &self.config.limits()).is_some())
    }

    /// What it expects of each transaction of `block`, whose parent state is `state`. Sender and
    /// recipient are always among it. Dependencies are [linked](AccessHints::link).
    ///
    /// Reads some of the state: the code of whom is called, and slots that say where others are.
    pub fn predict<S: StateSource>(&self, block: &RecoveredBlock, state: &S) -> AccessHints {
        self.predict_from(block, state, Sources::Both)
    }

    /// As [`predict`](Self::predict), from these sources only.
    pub fn predict_from<S: StateSource>(
        &self,
        block: &RecoveredBlock,
        state: &S,
        sources: Sources,
    ) -> AccessHints {
        self.codes.begin_block();
        let mut counters = Counters::new();
        let inputs = block_inputs(block);
        let transactions = block.transactions.iter().map(|tx| {
            let call = Call { sender: tx.signer(), recipient: tx.to(), input: tx.input() };
            let mut found = Found::new();
            let mut load = loader(state, &counters);
            if sources != Sources::Templates {
                self.remember(&call, &mut load, &mut found);
            }
            if let Some(recipient) = call.recipient.filter(|_| sources != Sources::Learned) {
                let mut guess = Guess::new(&self.model, self.config.limits());
                let expansion = self.expansion(state, &call, inputs);
                expansion.follow(recipient, (tx.value(), call.input), &mut load, &mut guess);
                guess.into_hints().for_each(|(rank, hint)| add_likely(&mut found, rank, hint));
            }
            drop(load);
            let mut accesses = in_order(found);
            add_plain(&mut accesses, &call, !tx.value().is_zero());
            count_writes(&mut counters, &accesses);
            let general = self.general(&call);
            TransactionHints {
                accesses,
                time_ns: general.and_then(|context| context.times.of(tx.gas_limit())),
                conflict: general.map_or(Chance::NEVER, Context::conflict),
                ..TransactionHints::default()
            }
        });
        let mut hints = AccessHints { transactions: transactions.collect() };
        hints.link(WORTH_WAITING);
        hints
    }

    /// The context that is most alike of those that say something about calls as a whole.
    fn general(&self, call: &Call<'_>) -> Option<&Context> {
        let limits = self.config.limits();
        let contract = call.recipient.map(Key::Contract);
        let payment = call.input.is_empty().then_some(Key::Payment);
        let keys = [function(call), payment, contract].into_iter().flatten();
        keys.filter_map(|key| self.model.context(&key, &limits)).next()
    }

    /// Adds what was learned of transactions like `call`.
    fn remember(&self, call: &Call<'_>, load: &mut Load<'_>, found: &mut Found) {
        let limits = self.config.limits();
        let known = |key: Key| self.model.context(&key, &limits);
        let function = function(call).and_then(known);
        let contract = || call.recipient.map(Key::Contract).and_then(known);
        let special = special(call).into_iter().filter_map(known);
        for context in function.or_else(contract).into_iter().chain(special) {
            for (pattern, count) in &context.patterns {
                let (read, write, commutes) = context.chances(pattern, count);
                if read >= WORTH_SAYING
                    && let Some(location) = call.locate(pattern, load)
                {
                    let at_ns = count.at_us.map(|us| u64::from(us) * 1000);
                    let hint = AccessHint { location, read, write, commutes, at_ns };
                    add_likely(found, count.rank, hint);
                }
            }
        }
    }

    fn expansion<'e, S>(
        &'e self,
        state: &'e S,
        call: &Call<'_>,
        block: BlockInputs,
    ) -> Expansion<'e, S> {
        Expansion { codes: &self.codes, state, origin: call.sender, block }
    }

    /// Learns what `happened` in `block`, whose parent state is `state`: for each transaction what it
    /// read and wrote, in order, how long it took if that is known, and what it came
    /// [after](TransactionHints::after) if it did. Transactions beyond those of the block are ignored.
    pub fn learn<S: StateSource>(
        &mut self,
        block: &RecoveredBlock,
        happened: &AccessHints,
        state: &S,
    ) {
        self.codes.begin_block();
        let mut counters = Counters::new();
        let mut budget = BLOCK_HASHES;
        let inputs = block_inputs(block);
        for (tx, done) in block.transactions.iter().zip(&happened.transactions) {
            let call = Call { sender: tx.signer(), recipient: tx.to(), input: tx.input() };
            let accesses = &done.accesses[..done.accesses.len().min(MAX_ACCESSES)];
            let mut explainer = Explainer::new(budget.min(TRANSACTION_HASHES));
            let patterns =
                self.explain(&mut explainer, &call, accesses, &mut loader(state, &counters));
            budget -= explainer.spent();
            if let Some(recipient) = call.recipient {
                let touched = accesses.iter().map(|it| (it.location, it.write >= Chance::EVEN));
                let mut lesson = Lesson::new(touched.collect());
                let mut load = loader(state, &counters);
                let expansion = self.expansion(state, &call, inputs);
                expansion.follow(recipient, (tx.value(), call.input), &mut load, &mut lesson);
                lesson.teach(&mut self.model, &self.config.limits());
            }
            let occurrence = Occurrence {
                patterns: counted(accesses, &patterns),
                conflicts: done.after.is_some(),
                time_ns: done.time_ns,
                gas_limit: tx.gas_limit(),
            };
            self.file(&call, &occurrence);
            count_writes(&mut counters, accesses);
        }
        self.model.blocks += 1;
    }

    /// What `accesses` are, as functions of `call`.
    fn explain(
        &self,
        explainer: &mut Explainer,
        call: &Call<'_>,
        accesses: &[AccessHint],
        load: &mut Load<'_>,
    ) -> explain::Explained {
        let touched: BTreeSet<_> = accesses.iter().map(|access| access.location).collect();
        let known = function(call).and_then(|key| self.model.contexts.get(&key));
        let known = known.into_iter().flat_map(|context| context.patterns.keys());
        explainer.explain(call, &touched, known, load)
    }

    /// Files what `call` did under everything that it has in common with others.
    fn file(&mut self, call: &Call<'_>, occurrence: &Occurrence) {
        let limits = self.config.limits();
        let contract = call.recipient.map(Key::Contract);
        for key in function(call).into_iter().chain(contract) {
            self.model.add(key, occurrence, &limits, |_| true);
        }
        if call.input.is_empty() {
            self.model.add(Key::Payment, occurrence, &limits, |_| false);
        }
        for key in special(call) {
            self.model.add(key, occurrence, &limits, Pattern::is_constant);
        }
    }
}

/// What is found of one transaction, with how much comes before it.
type Found = BTreeMap<Location, (u16, AccessHint)>;

/// Adds `hint`. Of two at one location what is more likely counts.
fn add_likely(found: &mut Found, rank: u16, hint: AccessHint) {
    let (first, known) = found.entry(hint.location).or_insert((rank, hint));
    *first = (*first).min(rank);
    known.commutes &= hint.commutes;
    known.at_ns = known.at_ns.or(hint.at_ns);
    known.read = known.read.max(hint.read);
    known.write = known.write.max(hint.write);
}

/// What was found, first things first.
fn in_order(found: Found) -> Vec<AccessHint> {
    let likely = found.into_values().filter(|(_, access)| access.read >= WORTH_SAYING);
    let mut found: Vec<_> = likely.collect();
    found.sort_by_key(|(rank, _)| *rank);
    found.into_iter().map(|(_, access)| access).take(MAX_ACCESSES).collect()
}

/// What code may ask of `block`.
fn block_inputs(block: &RecoveredBlock) -> BlockInputs {
    let header = &block.header;
    let chain = block.transactions.iter().find_map(|tx| tx.chain_id());
    BlockInputs {
        timestamp: U256::from(header.timestamp),
        number: U256::from(header.number),
        coinbase: header.beneficiary,
        prevrandao: header.mix_hash.into(),
        gas_limit: U256::from(header.gas_limit),
        chain_id: U256::from(chain.unwrap_or(1)),
        base_fee: U256::from(header.base_fee_per_gas.unwrap_or_default()),
    }
}

/// Which function is called.
fn function(call: &Call<'_>) -> Option<Key> {
    Some(Key::Function(call.recipient?, call.selector()))
}

/// Contexts that say more of fewer transactions.
fn special(call: &Call<'_>) -> Vec<Key> {
    let Some(recipient) = call.recipient else { return Vec::new() };
    let selector = call.selector();
    let mentions = mentioned(call).into_iter();
    let mentions = mentions.map(|address| Key::Mention(recipient, selector, address));
    mentions.chain([Key::Caller(call.sender, recipient)]).collect()
}

/// What slots hold before a transaction, if those that count something go on doing so.
fn loader<'l, S: StateSource>(
    state: &'l S,
    counters: &'l Counters,
) -> impl FnMut(Address, U256) -> Option<U256> + 'l {
    move |address, slot| {
        let value = state.storage(address, slot).ok()?;
        let count = counters.get(&Location::Slot(address, slot)).copied().unwrap_or_default();
        // What is larger does not count.
        Some(if value.bit_len() <= 64 { value + U256::from(count) } else { value })
    }
}

fn count_writes(counters: &mut Counters, accesses: &[AccessHint]) {
    for access in accesses.iter().filter(|access| access.write >= Chance::EVEN) {
        *counters.entry(access.location).or_default() += 1;
    }
}

/// What everybody knows: the sender pays, and the recipient is looked at.
fn add_plain(accesses: &mut Vec<AccessHint>, call: &Call<'_>, pays: bool) {
    let sender = Location::Account(call.sender);
    let recipient = call.recipient.map(Location::Account).filter(|it| *it != sender);
    let learned = accesses.iter().find(|access| Some(access.location) == recipient).copied();
    accesses.retain(|access| access.location != sender && Some(access.location) != recipient);
    // To be paid commutes; whatever else its code does to it need not.
    let (learned, commutes) = learned
        .map_or((Chance::NEVER, true), |it| (it.write, it.commutes || it.write < Chance::EVEN));
    let write = if pays { Chance::CERTAIN } else { learned };
    let paid = recipient.map(|at| AccessHint { write, commutes, ..AccessHint::read(at) });
    accesses.splice(0..0, [AccessHint::write(sender)].into_iter().chain(paid));
}

/// The patterns of `accesses`, counted once.
fn counted(accesses: &[AccessHint], patterns: &explain::Explained) -> Vec<(Pattern, Count)> {
    let mut counted = Vec::with_capacity(accesses.len());
    for (rank, access) in (0..).zip(accesses) {
        let count = Count {
            read: u32::from(access.read >= Chance::EVEN),
            write: u32::from(access.write >= Chance::EVEN),
            commutes: u32::from(access.commutes),
            rank,
            at_us: access.at_ns.map(|ns| u32::try_from(ns / 1000).unwrap_or(u32::MAX)),
        };
        let of = patterns.get(&access.location).into_iter().flatten();
        counted.extend(of.map(|pattern| (*pattern, count)));
    }
    counted
}
