//! A chain from Homestead to the second blob parameter fork, where it is at hand.

use std::fs;

use warpline_engine::EngineConfig;
use warpline_node::{Chain, ChainOptions, ChainSource, encode_block, import_file};
use warpline_replay::ChainFile;
use warpline_storage::{Database, DatabaseOptions};

#[test]
fn comes_in_and_goes_out_again() {
    let Some(folder) = warpline_testkit::shared("rpc-compat") else { return };
    let genesis = ChainSource::Json(fs::read(folder.join("genesis.json")).unwrap());
    let directory = tempfile::tempdir().unwrap();
    let options = DatabaseOptions { cache_bytes: 64 << 20, check_integrity: false };
    let genesis = genesis.genesis_block().unwrap();
    drop(Database::create(directory.path(), &genesis, options).unwrap());
    let engine = EngineConfig::with_threads(2);
    let mut chain =
        Chain::open(directory.path(), options, engine, ChainOptions::default()).unwrap();
    let path = folder.join("chain.rlp");
    // Interrupted in the middle, and begun again.
    let mut left = 20;
    let done = import_file(&mut chain, ChainFile::open(&path).unwrap(), |_| {
        left -= 1;
        left > 0
    });
    assert_eq!(done.unwrap().imported, 20);
    let done = import_file(&mut chain, ChainFile::open(&path).unwrap(), |_| true).unwrap();
    assert_eq!((done.imported, done.known), (34, 20));
    chain.database().check(|_| {}).unwrap();
    let view = chain.database().view().unwrap();
    let exported: Vec<u8> =
        (1..=54).flat_map(|number| encode_block(&view.block(number).unwrap().unwrap())).collect();
    assert!(exported == fs::read(&path).unwrap(), "the export differs from the file");
}
