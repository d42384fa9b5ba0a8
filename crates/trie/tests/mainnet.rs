//! The witnesses of real blocks, where they are at hand: `WARPLINE_SHARED`, or `../shared` beside
//! the workspace.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{env, fs, io::Read, path::PathBuf};

use alloy_consensus::{
    Block, EthereumTxEnvelope, Header, Transaction, TxEip4844, transaction::SignerRecoverable,
};
use alloy_primitives::{Address, Bytes, U256, hex};
use alloy_rlp::Decodable;
use flate2::read::GzDecoder;
use serde_json::Value;
use warpline_primitives::{AccountDiff, StateDiff};
use warpline_trie::{StateTrie, TrieError};

fn witness_files() -> Option<Vec<PathBuf>> {
    let shared = env::var_os("WARPLINE_SHARED").map(PathBuf::from);
    let shared = shared.or_else(|| {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).canonicalize().ok()?;
        Some(root.parent()?.parent()?.parent()?.join("shared"))
    });
    let directory = fs::read_dir(shared?.join("blocks/mainnet/witness")).ok()?;
    let mut files: Vec<_> = directory.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    Some(files)
}

fn bytes(value: &Value) -> Bytes {
    hex::decode(value.as_str().unwrap()).unwrap().into()
}

#[test]
fn witnesses_prove_the_senders() {
    let Some(files) = witness_files() else {
        println!("skipped: no shared/blocks/mainnet/witness, set WARPLINE_SHARED");
        return;
    };
    assert!(!files.is_empty());
    for file in files {
        let mut json = String::new();
        GzDecoder::new(fs::File::open(&file).unwrap()).read_to_string(&mut json).unwrap();
        let json: Value = serde_json::from_str(&json).unwrap();
        let block = bytes(&json["block"]);
        let block = Block::<EthereumTxEnvelope<TxEip4844>>::decode(&mut &block[..]).unwrap();
        let witness = &json["witness"];
        let parent = Header::decode(&mut &bytes(&witness["headers"][0])[..]).unwrap();
        assert_eq!(parent.hash_slow(), block.header.parent_hash);

        let nodes = witness["state"].as_array().unwrap().iter().map(bytes);
        let mut trie = StateTrie::from_witness(parent.state_root, nodes).unwrap();
        assert_eq!(trie.root(), parent.state_root);
        let mut diff = StateDiff::default();
        for transaction in &block.body.transactions {
            let sender = transaction.recover_signer().unwrap();
            let account = trie.account(sender).unwrap();
            assert!(account.map_or(0, |account| account.nonce) <= transaction.nonce());
            // A sender may get its first funds in this very block.
            let Some(account) = account else { continue };
            let change = AccountDiff { account: Some(account), ..AccountDiff::default() };
            diff.insert_account(sender, change);
        }

        // Writing what is there leaves the root; writing and undoing brings it back.
        trie.apply(&diff).unwrap();
        assert_eq!(trie.root(), parent.state_root, "{}", file.display());
        let mut changed = diff.clone();
        for (sender, _) in diff.sorted_accounts() {
            changed.account_mut(*sender).account.as_mut().unwrap().balance += U256::ONE;
        }
        trie.apply(&changed).unwrap();
        assert_ne!(trie.root(), parent.state_root);
        trie.apply(&diff).unwrap();
        assert_eq!(trie.root(), parent.state_root);

        // A key nobody touched: absent, known, or behind a node that is named.
        match trie.account(Address::repeat_byte(0x5c)) {
            Ok(_) | Err(TrieError::MissingNode { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}
