//! What was learned of some blocks holds for later ones.

use alloy_primitives::{Address, U256};
use warpline_analysis::predict::{Config, Kind, LoadError, Observed, Predictor, Score};
use warpline_engine::{Engine, EngineConfig, Ethereum, ExecuteOptions, Strategy};
use warpline_primitives::{
    AccessHint, AccessHints, Chance, Location, MemoryState, RecoveredBlock, TransactionHints,
};
use warpline_testkit::{Case, Fork, Tx, account, random_hints, true_hints};
use warpline_workloads::{GeneratedBlock, Size, Workload, generate};

fn engine(generated: &GeneratedBlock) -> Engine {
    let vm = Ethereum::new(generated.chain.clone());
    Engine::new(vm, EngineConfig::with_threads(1)).expect("threads can be started")
}

/// A block, and what happened in it.
struct Lesson {
    generated: GeneratedBlock,
    happened: AccessHints,
}

/// Two blocks, one on top of the other, of which the second is of other users of the same contracts.
fn lessons(workload: Workload) -> [Lesson; 2] {
    let mut first = generate(workload, Size::Transactions(120), 42);
    let mut later = first.clone();
    later.block.transactions.drain(..60);
    first.block.transactions.truncate(60);
    let output = engine(&first).execute(&first.block, &first.state).expect("the block is valid");
    later.state.apply(&output.state);
    [first, later].map(|generated| {
        let traced = engine(&generated).trace(&generated.block, &generated.state);
        let happened = true_hints(&traced.expect("the block is valid").1);
        Lesson { generated, happened }
    })
}

impl Lesson {
    fn teach(&self, predictor: &mut Predictor) {
        predictor.learn(&self.generated.block, &self.happened, &self.generated.state);
    }

    fn predicted(&self, predictor: &Predictor) -> AccessHints {
        predictor.predict(&self.generated.block, &self.generated.state)
    }

    fn score(&self, predictor: &Predictor) -> Score {
        let mut score = Score::default();
        let predicted = self.predicted(predictor);
        score.add(&self.generated.block, &predicted, &self.happened, Chance::EVEN);
        score
    }
}

/// A predictor that has learned the first of two blocks, and the second.
fn trained(workload: Workload) -> (Predictor, Lesson) {
    let [first, later] = lessons(workload);
    let mut predictor = Predictor::default();
    first.teach(&mut predictor);
    (predictor, later)
}

#[test]
fn writes_of_other_users_are_predicted() {
    for (workload, least) in [
        (Workload::Erc20Independent, 0.99),
        (Workload::Erc20Hot, 0.99),
        (Workload::SwapsHot, 0.97),
        (Workload::NftMint, 0.97),
    ] {
        let (predictor, later) = trained(workload);
        let score = later.score(&predictor);
        for tally in [score.writes(Kind::Slot), score.reads(Kind::Slot)] {
            let (precision, recall) = (tally.precision(), tally.recall());
            assert!(precision >= Some(least), "{workload}: {precision:?} {tally:?}");
            assert!(recall >= Some(least), "{workload}: {recall:?} {tally:?}");
        }
    }
}

#[test]
fn times_and_conflicts_are_predicted() {
    let (predictor, later) = trained(Workload::SwapsHot);
    let hints = later.predicted(&predictor);
    assert!(hints.transactions.iter().all(|tx| tx.time_ns.is_some_and(|ns| ns > 0)));
    assert!(hints.transactions.iter().all(|tx| tx.conflict > Chance::percent(90)));
    let after = |index: usize| hints.transactions[index].after;
    assert!((1..60).all(|index| after(index) == Some(index - 1)), "they need each other");
    let (predictor, later) = trained(Workload::Erc20Independent);
    let hints = later.predicted(&predictor);
    assert!(hints.transactions.iter().all(|tx| tx.after.is_none() && tx.conflict < Chance::EVEN));
}

fn saved(predictor: &Predictor) -> Vec<u8> {
    let mut bytes = Vec::new();
    predictor.save(&mut bytes).expect("there is room");
    bytes
}

#[test]
fn the_same_blocks_give_the_same_predictor_and_it_survives_being_saved() {
    let [first, later] = lessons(Workload::Mixed);
    let learned = || {
        let mut predictor = Predictor::default();
        first.teach(&mut predictor);
        predictor
    };
    let predictor = learned();
    let bytes = saved(&predictor);
    assert_eq!(bytes, saved(&learned()));
    let loaded = Predictor::load(&*bytes, Config::default()).unwrap();
    assert_eq!(saved(&loaded), bytes);
    assert_eq!(later.predicted(&loaded), later.predicted(&predictor));
}

#[test]
fn damaged_and_foreign_files_are_refused() {
    let (predictor, _) = trained(Workload::NftMint);
    let bytes = saved(&predictor);
    let load = |bytes: &[u8]| Predictor::load(bytes, Config::default());
    let head = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    for at in (head + 1..bytes.len() - 1).step_by(997) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(matches!(load(&damaged), Err(LoadError::Damaged { .. })), "byte {at}");
    }
    for length in (0..bytes.len() - 1).step_by(997) {
        assert!(load(&bytes[..length]).is_err(), "the first {length} bytes");
    }
    let header = String::from_utf8(bytes[..head].to_vec()).unwrap();
    let with = |from: &str, to: &str| {
        let header = header.replace(from, to);
        load(&[header.as_bytes(), &bytes[head..]].concat())
    };
    let newer = with("\"version\":1", "\"version\":2");
    assert!(matches!(newer, Err(LoadError::Version { found: 2 })));
    assert!(matches!(with("warpline", "warplane"), Err(LoadError::Foreign)));
    let length = format!("\"length\":{}", bytes.len() - head - 2);
    let huge = with(&length, "\"length\":18446744073709551615");
    assert!(matches!(huge, Err(LoadError::TooLong { bytes: u64::MAX })), "{huge:?}");
    assert!(matches!(load(b""), Err(LoadError::Foreign)));
    assert!(matches!(load(&[b'['; 1 << 20]), Err(LoadError::Foreign)));
}

#[test]
fn what_does_not_fit_is_forgotten_when_it_is_loaded() {
    let (predictor, _) = trained(Workload::Mixed);
    let mut config = Config::default();
    config.max_contexts = 16;
    let loaded = Predictor::load(&*saved(&predictor), config).unwrap();
    assert!(loaded.contexts() <= 16 && predictor.contexts() > 16);
}

/// A block of calls of contracts that nobody called before, and what they did.
fn strangers(seed: u64, count: u64, slots: u64) -> (RecoveredBlock, AccessHints) {
    let of = |n: u64| {
        let number = (seed * 1_000_000 + n).to_be_bytes();
        let mut address = [0xee; 20];
        address[12..].copy_from_slice(&number);
        Address::from(address)
    };
    let sender = account(0xa1);
    let case = Case::new(Fork::Cancun).fund(sender);
    let case = case.txs((0..count).map(|n| Tx::call(sender, of(n))));
    let done = |n| TransactionHints {
        accesses: (0..slots)
            .map(|slot| AccessHint::write(Location::Slot(of(n), U256::from(slot))))
            .collect(),
        time_ns: Some(n),
        ..TransactionHints::default()
    };
    (case.block(), AccessHints { transactions: (0..count).map(done).collect() })
}

#[test]
fn memory_is_bounded_whatever_is_learned() {
    let mut config = Config::default();
    (config.max_contexts, config.max_patterns) = (500, 3_000);
    let mut predictor = Predictor::new(config);
    let state = MemoryState::default();
    for seed in 0..16 {
        let (block, happened) = strangers(seed, 40, if seed % 2 == 0 { 5 } else { 700 });
        predictor.learn(&block, &happened, &state);
        assert!(predictor.contexts() <= 500, "{}", predictor.contexts());
        assert!(predictor.patterns() <= 3_000, "{}", predictor.patterns());
    }
    assert!(predictor.contexts() > 2, "and it is made use of");
    let (block, happened) = strangers(99, 1, 5_000);
    predictor.learn(&block, &happened, &state);
    let nonsense = random_hints(&block, 7);
    predictor.learn(&block, &nonsense, &state);
    predictor.predict(&block, &state);
}

#[test]
fn what_does_not_occur_any_more_is_forgotten() {
    let mut config = Config::default();
    config.half_life_blocks = 4;
    let mut predictor = Predictor::new(config);
    let state = MemoryState::default();
    let (old, happened) = strangers(1, 3, 4);
    predictor.learn(&old, &happened, &state);
    let expected = |predictor: &Predictor| {
        let hints = predictor.predict(&old, &state);
        let accesses = hints.transactions.iter().flat_map(|tx| &tx.accesses);
        accesses.filter(|access| matches!(access.location, Location::Slot(..))).count()
    };
    assert_eq!(expected(&predictor), 12);
    for seed in 2..30 {
        let (block, happened) = strangers(seed, 3, 4);
        predictor.learn(&block, &happened, &state);
    }
    assert_eq!(expected(&predictor), 0);
}

#[test]
fn what_a_contract_does_now_outweighs_what_it_did() {
    let mut config = Config::default();
    config.half_life_blocks = 4;
    let mut predictor = Predictor::new(config);
    let state = MemoryState::default();
    let (block, before) = strangers(1, 1, 1);
    let mut now = before.clone();
    let slot =
        Location::Slot(*before.transactions[0].accesses[0].location.address(), U256::from(9));
    now.transactions[0].accesses = vec![AccessHint::write(slot)];
    (0..20).for_each(|_| predictor.learn(&block, &before, &state));
    (0..20).for_each(|_| predictor.learn(&block, &now, &state));
    let hints = predictor.predict(&block, &state);
    let likely = hints.transactions[0].accesses.iter();
    let likely = likely.filter(|access| access.write >= Chance::EVEN).map(|it| it.location);
    let slots: Vec<_> = likely.filter(|it| matches!(it, Location::Slot(..))).collect();
    assert_eq!(slots, [slot]);
}

#[test]
fn it_learns_from_what_an_observer_is_shown() {
    let [Lesson { generated: first, .. }, later] = lessons(Workload::Erc20Independent);
    let mut observed = Observed::new(first.block.header.beneficiary);
    let options = ExecuteOptions::from(Strategy::Sequential).observed_by(&mut observed);
    engine(&first).execute_with(&first.block, &first.state, options).unwrap();
    let mut predictor = Predictor::default();
    let happened = observed.happened();
    let needy = happened.transactions.iter().filter(|tx| tx.after.is_some());
    assert_eq!(needy.count(), 0, "fees make nobody need another");
    predictor.learn(&first.block, &happened, &first.state);
    let writes = later.score(&predictor).writes(Kind::Slot);
    assert!(writes.precision() > Some(0.97) && writes.recall() > Some(0.97), "{writes:?}");
}
