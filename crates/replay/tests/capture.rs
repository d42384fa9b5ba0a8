//! Captures: what is written is read, equal ones are equal bytes, and whatever is broken is said to be so.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::Arc;

use alloy_eip7928::{AccountChanges, BlockAccessList};
use alloy_primitives::{Address, B256, Bytes, Keccak256, U256, keccak256};
use common::{TempDir, documents};
use proptest::prelude::*;
use serde_json::Value;
use warpline_chain::{ChainSpec, EthereumHardfork};
use warpline_replay::{
    CAPTURE_VERSION, Capture, CaptureError, Captured, CapturedState, Captures, Input, Inputs,
    Origin,
};

/// Magic, version, compression, chain id, two lengths, checksum.
const HEAD: usize = 67;

fn captures(path: &std::path::Path) -> Vec<(Origin, Capture)> {
    let block = |captured| match captured {
        Captured::Block(origin, capture) => (origin, *capture),
        other => panic!("not a block: {other:?}"),
    };
    Captures::open([path]).map(|captured| block(captured.unwrap())).collect()
}

fn capture_of(document: &Value) -> Capture {
    let folder = TempDir::new("capture");
    let file = folder.write("input.json", document.to_string().as_bytes());
    captures(&file).remove(0).1
}

fn both() -> [Capture; 2] {
    [capture_of(&documents::snapshot()), capture_of(&documents::witness())]
}

fn error_of(bytes: &[u8]) -> String {
    Capture::decode(bytes).unwrap_err().to_string()
}

/// `payload` as it would be if somebody had written it on purpose, not compressed.
fn sealed(payload: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x89WLCAP\r\n\0\x01\0\0\0\0\0\0\0\0\x01".to_vec();
    bytes.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    bytes.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    let mut hasher = Keccak256::new();
    hasher.update(&bytes);
    hasher.update(payload);
    bytes.extend_from_slice(hasher.finalize().as_slice());
    bytes.extend_from_slice(payload);
    bytes
}

fn payload_of(capture: &Capture) -> Vec<u8> {
    zstd::decode_all(&capture.encode().unwrap()[HEAD..]).unwrap()
}

#[test]
fn captures_are_read_as_they_were_written() {
    for capture in both() {
        let bytes = capture.encode().unwrap();
        let (again, length) = Capture::decode(&bytes).unwrap();
        assert_eq!((length, &again), (bytes.len(), &capture));
        assert_eq!(again.encode().unwrap(), bytes);
        let (stored, _) = Capture::decode(&sealed(&payload_of(&capture))).unwrap();
        assert_eq!(stored, capture);
    }
}

#[test]
fn equal_captures_are_equal_bytes_in_whatever_order_they_came() {
    let [mut snapshot, mut witness] = both();
    snapshot.codes = vec![Bytes::from_static(&[2]), Bytes::from_static(&[1])];
    let mut other = snapshot.clone();
    other.codes =
        vec![Bytes::from_static(&[1]), Bytes::from_static(&[2]), Bytes::from_static(&[1])];
    assert_eq!(snapshot.encode().unwrap(), other.encode().unwrap());
    assert_eq!(snapshot, other);
    let CapturedState::Snapshot(accounts) = &mut other.state else { panic!("a snapshot") };
    accounts.values_mut().next().unwrap().storage.insert(U256::from(7), U256::ZERO);
    assert_eq!(snapshot.encode().unwrap(), other.encode().unwrap());

    let original = witness.encode().unwrap();
    let CapturedState::Witness(nodes) = &mut witness.state else { panic!("a witness") };
    nodes.reverse();
    nodes.push(nodes[0].clone());
    assert_eq!(witness.encode().unwrap(), original);
}

#[test]
fn what_a_capture_may_have_is_kept() {
    let [mut capture, _] = both();
    let list: BlockAccessList = vec![AccountChanges::new(Address::repeat_byte(7))];
    capture.access_list = Some(list);
    capture.ommer_hashes = vec![B256::repeat_byte(1), B256::repeat_byte(1)];
    capture.chain = Arc::new(ChainSpec::at_fork(EthereumHardfork::Cancun, 77));
    let (again, _) = Capture::decode(&capture.encode().unwrap()).unwrap();
    assert_eq!(again, capture);
    assert_eq!(again.access_list, capture.access_list);
    assert_eq!(again.chain.chain_id(), 77);
    assert_eq!(again.chain.fork_at(0, 0), EthereumHardfork::Cancun);
    assert_eq!(again.ommer_hashes.len(), 2);
}

#[test]
fn files_may_hold_several_and_are_recognised_by_their_content() {
    let folder = TempDir::new("captures");
    let [snapshot, witness] = both().map(|capture| capture.encode().unwrap());
    let whole = [snapshot.clone(), witness.clone()].concat();
    folder.write("a.capture", &whole);
    folder.write("b.capture", &snapshot);
    folder.write("c.json", &witness);
    folder.write("d.txt", &witness);
    let blocks: Vec<_> = Inputs::open([folder.path()])
        .map(|input| match input.unwrap() {
            Input::Block(input) => (input.origin.to_string(), input.number()),
            other => panic!("{other:?}"),
        })
        .collect();
    let numbers: Vec<_> = blocks.iter().map(|(_, number)| *number).collect();
    assert_eq!(numbers, [46_147, 10, 46_147, 10]);
    assert!(blocks[0].0.ends_with("a.capture#0"), "{blocks:?}");
    assert!(blocks[1].0.ends_with(&format!("a.capture#{}", snapshot.len())), "{blocks:?}");
    assert!(blocks[2].0.ends_with("b.capture"), "{blocks:?}");

    // What is wrong with one ends the file and not the others.
    let mut damaged = whole;
    damaged[HEAD + 3] ^= 1;
    folder.write("a.capture", &damaged);
    let inputs: Vec<_> = Inputs::open([folder.path()]).collect();
    assert_eq!(inputs.len(), 3);
    let error = inputs[0].as_ref().unwrap_err().to_string();
    assert!(error.contains("a.capture: the capture is damaged"), "{error}");
}

#[test]
fn what_is_broken_is_said_to_be_so() {
    let capture = &both()[1];
    let good = capture.encode().unwrap();
    for cut in [8, 9, 20, HEAD - 1, HEAD, good.len() - 1] {
        assert!(error_of(&good[..cut]).contains("cut off"), "{cut}");
    }
    assert_eq!(error_of(&good[..7]), "not a capture");
    assert_eq!(error_of(b""), "not a capture");
    let mut newer = good.clone();
    newer[9] = 2;
    let error = error_of(&newer);
    assert!(error.contains("version 2, this program reads up to 1"), "{error}");
    assert!(error.contains("use a newer warpline"), "{error}");
    assert_eq!(CAPTURE_VERSION, 1);
    let mut huge = good.clone();
    huge[19] = 0xff;
    assert!(error_of(&huge).contains("at most 1073741824 are read"));
    // Whatever changes in it is noticed.
    for at in 0..good.len() {
        let mut damaged = good.clone();
        damaged[at] ^= 0x40;
        assert!(Capture::decode(&damaged).is_err(), "byte {at}");
    }
}

#[test]
fn payloads_that_nobody_wrote_are_refused() {
    assert!(error_of(&sealed(b"")).contains("payload: malformed RLP"));
    assert!(error_of(&sealed(&[0xc0])).contains("payload: malformed RLP"));
    let payload = payload_of(&both()[0]);
    assert!(
        error_of(&sealed(&[&payload[..], &[0x80]].concat())).contains("payload: malformed RLP")
    );
    let bomb = zstd::encode_all(&*vec![0; 1 << 20], 1).unwrap();
    let mut head = sealed(&bomb);
    head[10] = 1;
    head.splice(35..HEAD, keccak(&head[..35], &bomb));
    assert!(error_of(&head).contains("expected"), "{}", error_of(&head));
    let mut unknown = sealed(&payload);
    unknown[10] = 9;
    let checksum = keccak(&unknown[..35], &payload);
    unknown.splice(35..HEAD, checksum);
    assert_eq!(error_of(&unknown), "unknown compression 9");
}

fn keccak(head: &[u8], rest: &[u8]) -> Vec<u8> {
    keccak256([head, rest].concat()).to_vec()
}

#[test]
fn a_parent_of_another_block_is_refused() {
    let [snapshot, witness] = both();
    let mut without = witness.clone();
    without.parent_header = None;
    let error = without.into_input(Origin::file("it")).unwrap_err().to_string();
    assert!(error.contains("it: parent_header: no header of the parent block"), "{error}");
    let other = Capture { parent_header: witness.parent_header, ..snapshot };
    let error = other.into_input(Origin::file("it")).unwrap_err().to_string();
    assert!(error.contains("it: parent_header: header chain broken"), "{error}");
}

#[test]
fn every_real_block_is_the_same_from_a_capture() {
    for folder in ["blocks/mainnet/prestate", "blocks/mainnet/witness"] {
        let Some(path) = common::shared(folder) else { return };
        let (mut before, mut after) = (0, 0);
        for (origin, capture) in captures(&path) {
            let bytes = capture.encode().unwrap();
            let (again, _) = Capture::decode(&bytes).unwrap();
            assert_eq!(again, capture, "{origin}");
            before += origin.path.metadata().unwrap().len();
            after += bytes.len() as u64;
            let [expected, found] =
                [capture, again].map(|capture| capture.into_input(origin.clone()).unwrap());
            assert_eq!(found.hash(), expected.hash());
            assert_eq!(found.ommers, expected.ommers);
            found.check().unwrap();
        }
        println!("{folder}: {before} bytes of JSON with gzip, {after} bytes of captures");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Capture::decode(&bytes).is_err());
        drop(Capture::decode(&[b"\x89WLCAP\r\n\0\x01".as_slice(), &bytes].concat()));
        drop(Capture::decode(&sealed(&bytes)));
    }

    #[test]
    fn changed_payloads_are_refused_or_read_as_they_are(
        which in 0..2_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut payload = payload_of(&both()[which]);
        for (index, byte) in &changes {
            let at = index.index(payload.len());
            payload[at] = *byte;
        }
        match Capture::decode(&sealed(&payload)) {
            Ok((capture, _)) => drop(capture.into_input(Origin::file("changed"))),
            Err(CaptureError::Checksum { .. } | CaptureError::Truncated { .. }) => {
                prop_assert!(false, "the file is whole")
            }
            Err(error) => drop(error.to_string()),
        }
    }
}
