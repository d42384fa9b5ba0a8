//! Branches, and the head moving between them.

use warpline_node::{Chain, ChainOptions, ImportError, Imported};
use warpline_replay::Rejection;

use crate::builder::{Builder, Built};

pub(crate) const NONE: ChainOptions =
    ChainOptions { durable_every: 1, keep_states: None, cached_nodes: 1 << 16, verify_pow: false };

pub(crate) fn line(builder: &Builder, parent: &Built, salt: u8, length: u8) -> Vec<Built> {
    let mut line: Vec<Built> = Vec::new();
    for at in 0..length {
        let parent = line.last().unwrap_or(parent);
        let next = builder.child(parent, salt, &[at % 20, (at + salt) % 20, 5]);
        line.push(next);
    }
    line
}

fn import(chain: &mut Chain, built: &Built) -> Imported {
    chain.import(built.incoming()).unwrap()
}

/// The chain is `blocks` and nothing else, in every table.
pub(crate) fn assert_is(chain: &Chain, blocks: &[&Built]) {
    let view = chain.database().view().unwrap();
    let head = blocks.last().unwrap();
    assert_eq!(chain.head().hash, head.block.hash);
    assert_eq!(view.head().hash, head.block.hash);
    for built in blocks {
        let number = built.block.number();
        assert_eq!(view.number(built.block.hash).unwrap(), Some(number));
        let state = view.state_at(number).unwrap();
        assert_eq!(state.root(), built.block.header.state_root);
        for transaction in &built.block.transactions {
            let place = view.transaction(*transaction.tx_hash()).unwrap().unwrap();
            assert_eq!(place.block, number);
        }
    }
    chain.database().check(|_| {}).unwrap();
}

#[test]
fn a_longer_branch_takes_over_and_loses_again() {
    let builder = Builder::new(false);
    let mut chain = builder.chain(NONE);
    let genesis = builder.genesis();
    let (a, b) = (line(&builder, &genesis, 1, 5), line(&builder, &genesis, 2, 8));
    for block in &a[..3] {
        assert_eq!(import(&mut chain, block), Imported::Extended);
    }
    for block in &b[..3] {
        assert_eq!(import(&mut chain, block), Imported::Beside);
    }
    assert_is(&chain, &a[..3].iter().collect::<Vec<_>>());
    let taken = Imported::Reorganised { ancestor: 0, removed: 3 };
    assert_eq!(import(&mut chain, &b[3]), taken);
    assert_is(&chain, &b[..4].iter().collect::<Vec<_>>());
    assert_eq!(import(&mut chain, &b[4]), Imported::Extended);
    // The blocks that were taken back are known, and can be built on without being sent again.
    assert_eq!(import(&mut chain, &a[1]), Imported::Known);
    let a = [&a[..3], &line(&builder, &a[2], 3, 4)].concat();
    assert_eq!(import(&mut chain, &a[3]), Imported::Beside);
    assert_eq!(import(&mut chain, &a[4]), Imported::Beside);
    let taken = Imported::Reorganised { ancestor: 0, removed: 5 };
    assert_eq!(import(&mut chain, &a[5]), taken);
    assert_is(&chain, &a[..6].iter().collect::<Vec<_>>());
}

#[test]
fn after_the_merge_the_last_block_is_the_head() {
    let builder = Builder::new(true);
    let mut chain = builder.chain(NONE);
    let genesis = builder.genesis();
    let a = line(&builder, &genesis, 1, 4);
    for block in &a {
        assert_eq!(import(&mut chain, block), Imported::Extended);
    }
    let b = builder.child(&a[1], 9, &[7, 8]);
    let back = Imported::Reorganised { ancestor: 2, removed: 2 };
    assert_eq!(import(&mut chain, &b), back);
    assert_is(&chain, &[&a[0], &a[1], &b]);
}

#[test]
fn a_block_that_was_taken_back_can_be_sent_again() {
    let builder = Builder::new(true);
    let mut chain = builder.chain(NONE);
    let genesis = builder.genesis();
    let (a, b) = (line(&builder, &genesis, 1, 4), line(&builder, &genesis, 2, 3));
    for block in a.iter().chain(&b) {
        import(&mut chain, block);
    }
    assert_is(&chain, &b.iter().collect::<Vec<_>>());
    assert_eq!(import(&mut chain, &a[2]), Imported::Reorganised { ancestor: 0, removed: 3 });
    assert_eq!(import(&mut chain, &a[3]), Imported::Extended);
    assert_is(&chain, &a.iter().collect::<Vec<_>>());
    // A branch on a block that was part of the chain when the branch began, and is not any more.
    let c = line(&builder, &b[1], 3, 2);
    assert_eq!(import(&mut chain, &c[0]), Imported::Reorganised { ancestor: 0, removed: 4 });
    assert_eq!(import(&mut chain, &c[1]), Imported::Extended);
    assert_is(&chain, &[&b[0], &b[1], &c[0], &c[1]]);
}

#[test]
fn a_transaction_of_both_branches_is_found_in_the_one_that_won() {
    let builder = Builder::new(false);
    let genesis = builder.genesis();
    let a = builder.child(&genesis, 1, &[3, 4]);
    let first = builder.child(&genesis, 1, &[4]);
    let b = [first.clone(), builder.child(&first, 1, &[5, 3])];
    let hash = |built: &Built, index: usize| *built.block.transactions[index].tx_hash();
    let (three, four, five) = (hash(&a, 0), hash(&a, 1), hash(&b[1], 0));
    assert_eq!((hash(&b[1], 1), hash(&b[0], 0)), (three, four));
    let mut chain = builder.chain(NONE);
    import(&mut chain, &a);
    let place = |chain: &Chain, hash| {
        let place = chain.database().view().unwrap().transaction(hash).unwrap();
        place.map(|place| (place.block, place.index))
    };
    assert_eq!(
        [three, four, five].map(|hash| place(&chain, hash)),
        [Some((1, 0)), Some((1, 1)), None]
    );
    assert_eq!(import(&mut chain, &b[0]), Imported::Beside);
    assert_eq!(import(&mut chain, &b[1]), Imported::Reorganised { ancestor: 0, removed: 1 });
    let expected = [Some((2, 1)), Some((1, 0)), Some((2, 0))];
    assert_eq!([three, four, five].map(|hash| place(&chain, hash)), expected);
    assert_is(&chain, &[&b[0], &b[1]]);
    // And back.
    let c = [a.clone(), builder.child(&a, 2, &[1])];
    let c = [&c[..], &[builder.child(&c[1], 2, &[2])]].concat();
    assert_eq!(import(&mut chain, &c[1]), Imported::Beside);
    assert_eq!(import(&mut chain, &c[2]), Imported::Reorganised { ancestor: 0, removed: 2 });
    assert_eq!(
        [three, four, five].map(|hash| place(&chain, hash)),
        [Some((1, 0)), Some((1, 1)), None]
    );
    assert_is(&chain, &c.iter().collect::<Vec<_>>());
}

#[test]
fn a_restart_keeps_the_chain_and_forgets_the_branches() {
    let builder = Builder::new(false);
    let mut chain = builder.chain(NONE);
    let genesis = builder.genesis();
    let (a, b) = (line(&builder, &genesis, 1, 3), line(&builder, &genesis, 2, 4));
    for block in a.iter().chain(&b[..2]) {
        import(&mut chain, block);
    }
    let database = chain.database().clone();
    drop(chain);
    let mut chain = builder.reopen(database, NONE);
    assert_is(&chain, &a.iter().collect::<Vec<_>>());
    let error = chain.import(b[2].incoming()).unwrap_err();
    let unknown = matches!(error, ImportError::Rejected(Rejection::UnknownParent { .. }));
    assert!(unknown, "{error}");
    for block in &b {
        import(&mut chain, block);
    }
    assert_is(&chain, &b.iter().collect::<Vec<_>>());
}

#[test]
fn pruning_keeps_as_many_states_as_it_is_told() {
    let builder = Builder::new(true);
    let mut chain = builder.chain(ChainOptions { keep_states: Some(3), ..NONE });
    let genesis = builder.genesis();
    let blocks = line(&builder, &genesis, 1, 10);
    for block in &blocks {
        import(&mut chain, block);
    }
    assert_eq!(chain.database().view().unwrap().earliest_state(), 7);
    assert_is(&chain, &blocks[6..].iter().collect::<Vec<_>>());
    // A branch from a state that is gone cannot be judged, and says so.
    let error = chain.import(builder.child(&blocks[4], 2, &[1]).incoming()).unwrap_err();
    assert!(matches!(error, ImportError::Storage(_)), "{error}");
    assert_is(&chain, &blocks[6..].iter().collect::<Vec<_>>());
}

/// What a member changed is all that is kept of it, but for the last one that came.
#[test]
fn a_branch_of_a_branch_takes_over() {
    let builder = Builder::new(false);
    let genesis = builder.genesis();
    let (a, b) = (line(&builder, &genesis, 1, 5), line(&builder, &genesis, 2, 4));
    let c = line(&builder, &b[1], 3, 4);
    let mut chain = builder.chain(NONE);
    for block in &a {
        import(&mut chain, block);
    }
    let mut bad = c[0].clone();
    bad.block.header.state_root = Default::default();
    bad.block.hash = bad.block.header.hash_slow();
    for block in [&b[0], &b[1], &b[2], &c[0], &b[3], &c[1], &c[2]] {
        assert_eq!(import(&mut chain, block), Imported::Beside);
        bad.block.header.parent_hash = block.block.hash;
        assert!(chain.import(bad.incoming()).is_err());
    }
    let taken = Imported::Reorganised { ancestor: 0, removed: 5 };
    assert_eq!(import(&mut chain, &c[3]), taken);
    assert_is(&chain, &[&b[0], &b[1], &c[0], &c[1], &c[2], &c[3]]);
}

#[test]
fn a_block_too_far_behind_the_head_is_told_apart_from_one_that_is_wrong() {
    let builder = Builder::new(true);
    let mut chain = builder.chain(NONE);
    let genesis = builder.genesis();
    let mut last = genesis.clone();
    for _ in 0..1026 {
        last = builder.child(&last, 1, &[]);
        chain.import_ahead(last.incoming()).unwrap();
    }
    chain.finish().unwrap();
    let late = builder.child(&genesis, 2, &[]);
    let error = chain.import(late.incoming()).unwrap_err();
    let expected = matches!(error, ImportError::TooFarBehind { number: 1, head: 1026, .. });
    assert!(expected, "{error}");
    let second = builder.child(&builder.child(&genesis, 1, &[]), 2, &[]);
    let back = Imported::Reorganised { ancestor: 1, removed: 1025 };
    assert_eq!(import(&mut chain, &second), back);
}
