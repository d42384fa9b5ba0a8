//! No bytes make a decoder panic.

mod common;

use std::sync::Arc;

use alloy_primitives::hex;
use common::{TempDir, documents, transfers};
use proptest::prelude::*;
use warpline_chain::{ChainSpec, EthereumHardfork};
use warpline_replay::{Input, Inputs, Origin, decode_block, decode_document, run_chain_test};

/// Decodes, and runs what is found to the end.
fn exercise(document: &[u8]) {
    let chain = Arc::new(ChainSpec::mainnet());
    for input in decode_document(document, &Origin::file("fuzz"), &chain) {
        match input {
            Ok(Input::ChainTest(test)) => drop(run_chain_test(&test, transfers::execute)),
            Ok(Input::Block(input)) => drop(input.check()),
            Ok(Input::Skipped(_)) => {}
            Err(error) => drop(error.to_string()),
        }
    }
}

fn changed(mut bytes: Vec<u8>, changes: &[(prop::sample::Index, u8)]) -> Vec<u8> {
    for (index, byte) in changes {
        let index = index.index(bytes.len());
        bytes[index] = *byte;
    }
    bytes
}

/// A few places and what to put there: any byte, or one that keeps hex and JSON alive.
fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    let byte = prop_oneof![any::<u8>(), prop::sample::select(b"0189abf\"{}[],:xn ".to_vec())];
    prop::collection::vec((any::<prop::sample::Index>(), byte), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_no_document(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        exercise(&bytes);
        for fork in [EthereumHardfork::Frontier, EthereumHardfork::Osaka] {
            prop_assert!(decode_block(&bytes, &ChainSpec::at_fork(fork, 1)).is_err());
        }
    }

    #[test]
    fn changed_documents(which in 0..3_usize, changes in changes(), cut in any::<prop::sample::Index>()) {
        let document = [documents::snapshot, documents::witness, documents::chain_test][which]();
        let bytes = changed(document.to_string().into_bytes(), &changes);
        exercise(&bytes);
        exercise(&bytes[..cut.index(bytes.len())]);
    }

    #[test]
    fn changed_blocks(changes in changes()) {
        let document = documents::chain_test();
        let rlp = hex::decode(document["case"]["blocks"][0]["rlp"].as_str().unwrap()).unwrap();
        let rlp = changed(rlp, &changes);
        drop(decode_block(&rlp, &ChainSpec::at_fork(EthereumHardfork::Prague, 1)));
        // The same bytes as the block of a test and of a witness.
        let mut document = document;
        document["case"]["blocks"][0]["rlp"] = hex::encode_prefixed(&rlp).into();
        exercise(document.to_string().as_bytes());
        let mut witness = documents::witness();
        witness["block"] = hex::encode_prefixed(&rlp).into();
        exercise(witness.to_string().as_bytes());
    }

    #[test]
    fn changed_archives(which in 0..3_usize, changes in changes()) {
        let folder = TempDir::new("fuzz");
        let witness = documents::witness().to_string().into_bytes();
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(witness.len() as u64);
        for name in ["a.json", "b.json"] {
            archive.append_data(&mut header, name, &*witness).unwrap();
        }
        let archive = archive.into_inner().unwrap();
        let packed = match which {
            0 => archive,
            1 => zstd::encode_all(&*archive, 1).unwrap(),
            _ => {
                let mut encoder = flate2::read::GzEncoder::new(&*archive, Default::default());
                let mut packed = Vec::new();
                std::io::Read::read_to_end(&mut encoder, &mut packed).unwrap();
                packed
            }
        };
        let file = folder.write("archive", &changed(packed, &changes));
        prop_assert!(Inputs::open([file]).count() <= 4);
    }
}
