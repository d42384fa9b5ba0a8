//! Blockchain tests through the runner, as far as an executor of plain transfers goes: branches,
//! ommers, headers, malformed encodings, receipts with state roots.

mod common;

use std::collections::BTreeMap;

use common::transfers::{NotATransfer, execute};
use warpline_replay::{CaseFailure, CaseReport, Input, Inputs, Verdict, run_chain_test};

/// Folders with many blocks that an executor of plain transfers can run.
const FOLDERS: [&str; 8] = [
    "bcForgedTest",
    "bcInvalidHeaderTest",
    "bcMultiChainTest",
    "bcTotalDifficultyTest",
    "bcUncleHeaderValidity",
    "bcUncleTest",
    "bcUncleSpecialTests",
    "bcValidBlockTest",
];

fn needs_contracts(report: &CaseReport) -> bool {
    match &report.verdict {
        Verdict::Failed(failure) => match &**failure {
            CaseFailure::NotExecuted { source, .. } => source.is::<NotATransfer>(),
            _ => false,
        },
        _ => false,
    }
}

#[test]
fn cases_of_plain_transfers_pass() {
    let Some(archive) = common::shared("fixtures/legacy-constantinople.tar.zst") else { return };
    let mut passed: BTreeMap<&str, usize> = BTreeMap::new();
    for input in Inputs::open([archive]) {
        let Ok(Input::ChainTest(test)) = input else { panic!("{input:?}") };
        let member = test.origin.member.clone().unwrap();
        let Some(folder) = FOLDERS.into_iter().find(|folder| member.contains(folder)) else {
            continue;
        };
        let report = run_chain_test(&test, execute);
        if needs_contracts(&report) {
            continue;
        }
        if let Verdict::Failed(failure) = &report.verdict {
            panic!("{} [{}]: {failure}", report.origin, report.network);
        }
        assert_eq!(report.blocks.len(), test.blocks.len());
        *passed.entry(folder).or_default() += 1;
    }
    println!("{passed:?}");
    assert_eq!(passed.len(), FOLDERS.len());
    assert!(passed.values().sum::<usize>() > 400, "{passed:?}");
}
