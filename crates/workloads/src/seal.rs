//! From an executed block to one whose header commits to it.

use alloy_consensus::{
    TxReceipt as _,
    proofs::{
        calculate_ommers_root, calculate_receipt_root, calculate_transaction_root,
        calculate_withdrawals_root,
    },
};
use alloy_primitives::{B256, Bloom};
use warpline_primitives::{BlockOutput, RecoveredBlock};

/// Fills in what a header says about body and execution: the roots, the bloom, gas and blob gas
/// used, the requests hash, and with them the block's hash.
///
/// Fields that came with a fork are filled in where the header has them already. What was decided
/// before execution (number, time, base fee, limits) stays as it is.
#[must_use]
pub fn seal(mut block: RecoveredBlock, output: &BlockOutput, state_root: B256) -> RecoveredBlock {
    let header = &mut block.header;
    header.transactions_root = calculate_transaction_root(&block.transactions);
    header.ommers_hash = calculate_ommers_root(&block.ommers);
    header.withdrawals_root =
        block.withdrawals.as_ref().map(|withdrawals| calculate_withdrawals_root(withdrawals));
    header.state_root = state_root;
    header.receipts_root = calculate_receipt_root(&output.receipts);
    header.logs_bloom =
        output.receipts.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | receipt.bloom());
    header.gas_used = output.gas_used;
    header.blob_gas_used = header.blob_gas_used.map(|_| output.blob_gas_used);
    header.requests_hash = header.requests_hash.map(|_| output.requests.requests_hash());
    block.hash = block.header.hash_slow();
    block
}
