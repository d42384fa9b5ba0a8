//! A fixed sample of the conformance fixtures, quick enough for every run of the tests.
//!
//! Replaying all of them is a command of its own: see CONTRIBUTING.md.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    path::Path,
};

use tempfile::TempDir;

use warpline_testkit::shared;

use crate::{conformance_json, replay_json};

/// The fixtures are packed with a larger window than zstd accepts unasked.
const ZSTD_WINDOW_LOG: u32 = 27;

/// An archive, the folder in it, and the members taken from there. Between them they cover the
/// forks from Frontier on, transitions, branches and ommers, and valid and invalid blocks.
const SAMPLE: [(&str, &str, &[&str]); 3] = [
    (
        "legacy-constantinople",
        "Constantinople/BlockchainTests",
        &[
            "InvalidBlocks/bcForgedTest/bcForkBlockTest.json",
            "InvalidBlocks/bcInvalidHeaderTest/wrongGasLimit.json",
            "InvalidBlocks/bcUncleHeaderValidity/incorrectUncleTimestamp.json",
            "InvalidBlocks/bcUncleTest/InChainUncleGreatGreatGreatGreatGrandPa.json",
            "ValidBlocks/bcMultiChainTest/CallContractFromNotBestBlock.json",
            "ValidBlocks/bcStateTests/TransactionFromCoinbaseNotEnoughFounds.json",
            "ValidBlocks/bcTotalDifficultyTest/uncleBlockAtBlock3afterBlock4.json",
            "ValidBlocks/bcWalletTest/wallet2outOf3txs.json",
        ],
    ),
    (
        "ethereum-tests",
        "BlockchainTests",
        &[
            "InvalidBlocks/bc4895-withdrawals/amountIs0.json",
            "InvalidBlocks/bcEIP3675/timestampPerBlock.json",
            "InvalidBlocks/bcMultiChainTest/UncleFromSideChain.json",
            "InvalidBlocks/bcStateTests/NotEnoughCashContractCreation.json",
            "TransitionTests/bcArrowGlacierToParis/powToPosTest.json",
            "TransitionTests/bcBerlinToLondon/BerlinToLondonTransition.json",
            "TransitionTests/bcFrontierToHomestead/ContractCreationFailsOnHomestead.json",
            "TransitionTests/bcHomesteadToDao/DaoTransactions_XBlockm1.json",
            "TransitionTests/bcHomesteadToEIP150/EIP150Transition.json",
            "TransitionTests/bcMergeToShanghai/shanghaiBeforeTransition.json",
            "ValidBlocks/bcEIP1153-transientStorage/tloadDoesNotPersistCrossTxn.json",
            "ValidBlocks/bcEIP1559/besuBaseFeeBug.json",
            "ValidBlocks/bcEIP4844-blobtransactions/blockWithAllTransactionTypes.json",
            "ValidBlocks/bcStateTests/suicideCoinbaseState.json",
        ],
    ),
    (
        "execution-spec-tests",
        "",
        &[
            "amsterdam_main_20260506/blockchain_tests/for_amsterdam/amsterdam/\
         eip7928_block_level_access_lists/block_access_lists/bal_empty_block_no_coinbase.json",
            "osaka_7825_7934_7918/blockchain_tests/for_osaka/osaka/\
         eip7825_transaction_gas_limit_cap/eip_mainnet/tx_gas_limit_cap_exceeded.json",
            "prague_7702/blockchain_tests/for_prague/prague/\
         eip7702_set_code_tx/set_code_txs/signature_s_out_of_range.json",
            "prague_requests_2935/blockchain_tests/for_cancuntopragueattime15k/prague/\
         eip7251_consolidations/consolidations_during_fork/consolidation_requests_during_fork.json",
            "prague_requests_2935/blockchain_tests/for_prague/prague/\
         eip6110_deposits/eip_mainnet/eip_6110.json",
        ],
    ),
];

/// What the sample must at least contain blocks of.
const FORKS: [&str; 13] = [
    "Frontier",
    "Homestead",
    "Tangerine Whistle",
    "Spurious Dragon",
    "Byzantium",
    "Petersburg",
    "Berlin",
    "London",
    "Paris",
    "Shanghai",
    "Cancun",
    "Prague",
    "Osaka",
];

/// A folder with the sample, or `None`, said in one line, where there are no fixtures.
fn sample() -> Option<TempDir> {
    let folder = TempDir::new().unwrap();
    for (archive, prefix, names) in SAMPLE {
        let path = shared(&format!("fixtures/{archive}.tar.zst"))?;
        unpack(&path, Path::new(prefix), names, &folder.path().join(archive));
    }
    Some(folder)
}

#[test]
fn a_sample_of_the_blockchain_tests_passes() {
    let Some(folder) = sample() else { return };
    let members: usize = SAMPLE.iter().map(|(_, _, names)| names.len()).sum();
    let (assert, report) = replay_json(&[], &[folder.path()]);
    let tests = &report["tests"];
    println!("{} cases of {members} files, {} passed", tests["cases"], tests["passed"]);

    assert.code(0);
    assert_eq!(tests["passed"], tests["cases"], "{tests:#}");
    let blocks = report["blocks"].as_array().unwrap();
    let mut forks: BTreeMap<&str, usize> = BTreeMap::new();
    for block in blocks {
        assert_ne!(block["identical"], false, "{block:#}");
        *forks.entry(block["fork"].as_str().unwrap()).or_default() += 1;
    }
    println!("{} blocks executed: {forks:?}", blocks.len());
    for fork in FORKS {
        assert!(forks.contains_key(fork), "{fork} is not among {forks:?}");
    }
}

#[test]
fn the_sample_conforms_in_any_order() {
    let Some(folder) = sample() else { return };
    let (assert, in_order) = conformance_json(&["--threads", "2"], &[folder.path()]);
    assert.code(0);
    assert_eq!(in_order["passed"], in_order["cases"], "{in_order:#}");
    let executed = in_order["blocks"].as_u64().unwrap();
    println!("{} cases, {executed} blocks executed", in_order["cases"]);
    assert!(executed > 0);

    let options = ["--threads", "2", "--shuffle", "7"];
    let (assert, shuffled) = conformance_json(&options, &[folder.path()]);
    assert.code(0);
    for member in ["cases", "passed", "failed", "skipped", "blocks", "forks"] {
        assert_eq!(in_order[member], shuffled[member], "{member}");
    }
}

/// Writes the members `names` below `prefix` of an archive to the folder `target`.
fn unpack(archive: &Path, prefix: &Path, names: &[&str], target: &Path) {
    std::fs::create_dir_all(target).unwrap();
    let mut wanted: BTreeSet<_> = names.iter().map(|name| prefix.join(name)).collect();
    let mut decoder = zstd::Decoder::new(File::open(archive).unwrap()).unwrap();
    decoder.window_log_max(ZSTD_WINDOW_LOG).unwrap();
    for entry in tar::Archive::new(decoder).entries().unwrap() {
        let mut entry = entry.unwrap();
        if wanted.remove(&*entry.path().unwrap()) {
            entry.unpack_in(target).unwrap();
        }
        if wanted.is_empty() {
            return;
        }
    }
    panic!("{} has no {wanted:?}", archive.display());
}
