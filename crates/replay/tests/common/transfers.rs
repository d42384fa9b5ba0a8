//! An executor of plain transfers: enough for blocks without contracts, and for nothing else.

use alloy_consensus::{Eip658Value, Receipt, ReceiptEnvelope, ReceiptWithBloom, Transaction as _};
use alloy_eips::{eip4895::Withdrawal, eip7685::Requests};
use alloy_primitives::{Address, Bloom, TxKind, U256, map::AddressMap};
use warpline_chain::EthereumHardforks;
use warpline_primitives::{
    Account, AccountDiff, BlockOutput, CommitObserver, CommitStep, StateDiff, StateSource,
    WorkCounts,
};
use warpline_replay::{BlockInput, ExecutionError};

/// The error for blocks that need a real executor.
#[derive(Debug, thiserror::Error)]
#[error("not a plain transfer")]
pub(crate) struct NotATransfer;

#[derive(Debug, thiserror::Error)]
#[error("transaction {0} breaks a rule")]
struct Invalid(usize);

/// Balances and nonces on top of a parent state.
struct Ledger<'a> {
    input: &'a BlockInput,
    accounts: AddressMap<Option<Account>>,
    touched: Vec<Address>,
    /// Whether touched empty accounts vanish (EIP-161).
    clears: bool,
}

impl Ledger<'_> {
    fn get(&self, address: Address) -> Option<Account> {
        let before = || self.input.parent.account(address).unwrap();
        self.accounts.get(&address).copied().unwrap_or_else(before)
    }

    fn set(&mut self, address: Address, account: Account) {
        let gone = self.clears && account.is_empty();
        self.accounts.insert(address, (!gone).then_some(account));
        self.touched.push(address);
    }

    fn credit(&mut self, address: Address, amount: U256) {
        let mut account = self.get(address).unwrap_or_default();
        account.balance += amount;
        self.set(address, account);
    }

    /// What has been touched since the last step, and differs from `before`.
    fn step(&mut self, before: &AddressMap<Option<Account>>) -> StateDiff {
        let mut diff = StateDiff::default();
        for address in std::mem::take(&mut self.touched) {
            let old = before.get(&address).copied();
            let old = old.unwrap_or_else(|| self.input.parent.account(address).unwrap());
            let account = self.get(address);
            if account != old {
                diff.insert_account(address, AccountDiff { account, ..AccountDiff::default() });
            }
        }
        diff
    }
}

/// Executes a block of plain transfers.
pub(crate) fn execute(
    input: &BlockInput,
    mut observer: Option<&mut dyn CommitObserver>,
) -> Result<BlockOutput, ExecutionError> {
    let header = &input.block.header;
    let chain = &input.chain;
    if chain.is_cancun_active_at_timestamp(header.timestamp) || chain.is_dao_block(header.number) {
        return Err(ExecutionError::Failed(Box::new(NotATransfer)));
    }
    let clears = chain.is_spurious_dragon_active_at_block(header.number);
    let mut ledger = Ledger { input, accounts: AddressMap::default(), touched: Vec::new(), clears };
    let mut receipts = Vec::new();
    let mut gas_used = 0;
    for index in 0..input.block.transactions.len() {
        let before = ledger.accounts.clone();
        gas_used += transfer(&mut ledger, index, gas_used)?;
        if let Some(observer) = &mut observer {
            observer.on_commit(CommitStep::Transaction(index), &ledger.step(&before));
        }
        let status = Eip658Value::Eip658(true);
        let receipt = Receipt { status, cumulative_gas_used: gas_used, logs: Vec::new() };
        receipts.push(ReceiptEnvelope::Legacy(ReceiptWithBloom::new(receipt, Bloom::ZERO)));
    }
    reward(&mut ledger);
    ledger.touched = ledger.accounts.keys().copied().collect();
    let state = ledger.step(&AddressMap::default());
    let work = WorkCounts::default();
    let requests = Requests::default();
    Ok(BlockOutput {
        receipts,
        state,
        requests,
        gas_used,
        blob_gas_used: 0,
        access_list: None,
        work,
    })
}

/// Runs the transaction at `index`, before which the block has used `used` gas.
fn transfer(ledger: &mut Ledger<'_>, index: usize, used: u64) -> Result<u64, ExecutionError> {
    let invalid = || ExecutionError::InvalidBlock(Box::new(Invalid(index)));
    let unsupported = || ExecutionError::Failed(Box::new(NotATransfer));
    let header = &ledger.input.block.header;
    let transaction = &ledger.input.block.transactions[index];
    let TxKind::Call(to) = transaction.kind() else { return Err(unsupported()) };
    let callee = ledger.get(to).unwrap_or_default();
    if callee.has_code() || to < Address::with_last_byte(32) || transaction.access_list().is_some()
    {
        return Err(unsupported());
    }
    let istanbul = ledger.input.chain.is_istanbul_active_at_block(header.number);
    let byte = |byte: &u8| match byte {
        0 => 4,
        _ if istanbul => 16,
        _ => 68,
    };
    let gas = 21_000 + transaction.input().iter().map(byte).sum::<u64>();
    let price = U256::from(transaction.effective_gas_price(header.base_fee_per_gas));
    let value = transaction.value();
    let sender = transaction.signer();
    let mut account = ledger.get(sender).unwrap_or_default();
    let limit = U256::from(transaction.gas_limit());
    let cost = price.checked_mul(limit).and_then(|fee| fee.checked_add(value));
    let affordable = cost.is_some_and(|cost| cost <= account.balance);
    let fits = transaction.gas_limit() >= gas && used + transaction.gas_limit() <= header.gas_limit;
    if account.nonce != transaction.nonce() || !affordable || !fits {
        return Err(invalid());
    }
    let fee = price * U256::from(gas);
    account.nonce += 1;
    account.balance -= fee + value;
    ledger.set(sender, account);
    ledger.credit(to, value);
    let burnt = U256::from(header.base_fee_per_gas.unwrap_or_default()) * U256::from(gas);
    ledger.credit(header.beneficiary, fee - burnt);
    Ok(gas)
}

/// Pays the miners and the validators.
fn reward(ledger: &mut Ledger<'_>) {
    let block = &ledger.input.block;
    let (number, chain) = (block.header.number, &ledger.input.chain);
    if !chain.is_merged(number) {
        let ether = match () {
            () if chain.is_constantinople_active_at_block(number) => 2,
            () if chain.is_byzantium_active_at_block(number) => 3,
            () => 5_u64,
        };
        let base = U256::from(ether) * U256::from(10_u64.pow(18));
        for ommer in &block.ommers {
            let share = base * U256::from(8 + ommer.number - number) / U256::from(8);
            ledger.credit(ommer.beneficiary, share);
        }
        let nephews = base * U256::from(block.ommers.len()) / U256::from(32);
        ledger.credit(block.header.beneficiary, base + nephews);
    }
    for Withdrawal { address, amount, .. } in block.withdrawals.iter().flat_map(|list| list.iter())
    {
        ledger.credit(*address, U256::from(*amount) * U256::from(10_u64.pow(9)));
    }
}
