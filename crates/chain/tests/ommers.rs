//! Which ommers a block may include: a chain of ten blocks, and candidates that branch off it.

use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes};
use warpline_chain::{ChainSpec, EthereumHardfork, HeaderError, OmmerError};

fn child(spec: &ChainSpec, parent: &Header, mark: u8) -> Header {
    let timestamp = parent.timestamp + 12;
    Header {
        parent_hash: parent.hash_slow(),
        number: parent.number + 1,
        timestamp,
        gas_limit: parent.gas_limit,
        difficulty: spec.next_difficulty(parent, timestamp),
        extra_data: Bytes::from(vec![mark]),
        ..Header::default()
    }
}

/// The rules, a block, and its ancestors down to genesis, parent first.
fn chain() -> (ChainSpec, Header, Vec<Header>) {
    let spec = ChainSpec::at_fork(EthereumHardfork::Istanbul, 1);
    let mut ancestors = vec![Header { gas_limit: 8_000_000, ..Header::default() }];
    for _ in 0..9 {
        ancestors.insert(0, child(&spec, &ancestors[0], 0));
    }
    let block = child(&spec, &ancestors[0], 0);
    (spec, block, ancestors)
}

#[test]
fn kinship_is_one_to_six_generations() {
    let (spec, block, ancestors) = chain();
    for (generation, parent) in ancestors.iter().enumerate() {
        let ommer = child(&spec, parent, 1);
        let (hash, parent) = (ommer.hash_slow(), ommer.parent_hash);
        let found = spec.validate_ommers(&block, &[ommer], &ancestors, &[]);
        // Generation zero is the block's own parent: its other child is a brother.
        if (1..=6).contains(&generation) {
            assert_eq!(found, Ok(()), "{generation}");
        } else {
            assert_eq!(found, Err(OmmerError::Kinship { hash, parent }), "{generation}");
        }
    }
    let stranger = Header { parent_hash: B256::repeat_byte(9), ..child(&spec, &ancestors[2], 1) };
    let error = spec.validate_ommers(&block, &[stranger], &ancestors, &[]).unwrap_err();
    assert!(matches!(error, OmmerError::Kinship { .. }));
}

#[test]
fn at_most_two_and_none_twice() {
    let (spec, block, ancestors) = chain();
    let [a, b, c] = [1, 2, 3].map(|mark| child(&spec, &ancestors[2], mark));
    let check = |ommers: &[Header], included: &[B256]| {
        spec.validate_ommers(&block, ommers, &ancestors, included)
    };
    let hash = a.hash_slow();
    assert_eq!(check(&[], &[]), Ok(()));
    assert_eq!(check(&[a.clone(), b.clone()], &[c.hash_slow()]), Ok(()));
    assert_eq!(check(&[a.clone(), a.clone()], &[]), Err(OmmerError::Duplicate { hash }));
    assert_eq!(check(&[b.clone(), a.clone()], &[hash]), Err(OmmerError::Duplicate { hash }));
    assert_eq!(check(&[a, b, c], &[]), Err(OmmerError::TooMany { max: 2, found: 3 }));
}

#[test]
fn an_ancestor_is_no_ommer() {
    let (spec, block, ancestors) = chain();
    for ancestor in &ancestors[..7] {
        let hash = ancestor.hash_slow();
        let found = spec.validate_ommers(&block, std::slice::from_ref(ancestor), &ancestors, &[]);
        assert_eq!(found, Err(OmmerError::Ancestor { hash }));
    }
    let hash = block.hash_slow();
    let found = spec.validate_ommers(&block, std::slice::from_ref(&block), &ancestors, &[]);
    assert_eq!(found, Err(OmmerError::Ancestor { hash }));
}

#[test]
fn an_ommer_is_a_valid_child() {
    let (spec, block, ancestors) = chain();
    let ommer = Header { gas_used: 8_000_001, ..child(&spec, &ancestors[1], 1) };
    let error = HeaderError::GasUsed { limit: 8_000_000, used: 8_000_001 };
    let hash = ommer.hash_slow();
    let found = spec.validate_ommers(&block, &[ommer], &ancestors, &[]);
    assert_eq!(found, Err(OmmerError::Header { hash, error }));
}

#[test]
fn the_beginning_of_the_chain_has_fewer_ancestors() {
    let (spec, _, ancestors) = chain();
    let genesis = &ancestors[9];
    let (first, ommer) = (&ancestors[8], child(&spec, genesis, 1));
    let second = child(&spec, first, 0);
    let known = [first.clone(), genesis.clone()];
    assert_eq!(spec.validate_ommers(&second, &[ommer], &known, &[]), Ok(()));
    let orphan = child(&spec, genesis, 1);
    assert!(spec.validate_ommers(&second, &[orphan], &[], &[]).is_err());
}
