//! What all executions of a block agreed on, with questions that tests like to ask.

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};
use warpline_primitives::{Account, BlockOutput, MemoryState, StateSource};

/// What all executions of a block agreed on.
#[derive(Clone, Debug)]
pub struct Outcome {
    result: Result<BlockOutput, Option<usize>>,
    after: MemoryState,
    names: Vec<(Address, Option<Address>)>,
}

impl Outcome {
    /// A block that was executed on `before`.
    pub(crate) fn valid(output: BlockOutput, before: &MemoryState) -> Self {
        let mut after = before.clone();
        after.apply(&output.state);
        Self { result: Ok(output), after, names: Vec::new() }
    }

    /// A block that is invalid at a transaction, or in a system step.
    pub(crate) fn invalid(index: Option<usize>) -> Self {
        Self { result: Err(index), after: MemoryState::default(), names: Vec::new() }
    }

    pub(crate) fn named(mut self, names: Vec<(Address, Option<Address>)>) -> Self {
        self.names = names;
        self
    }

    /// Whether the block is valid.
    pub const fn is_valid(&self) -> bool {
        self.result.is_ok()
    }

    /// The transaction at which the block is invalid; `None` where it is valid or a step around
    /// the transactions is what is wrong.
    pub fn invalid_at(&self) -> Option<usize> {
        self.result.as_ref().err().copied().flatten()
    }

    /// The output.
    ///
    /// # Panics
    /// When the block is invalid.
    pub fn output(&self) -> &BlockOutput {
        match &self.result {
            Ok(output) => output,
            Err(index) => panic!("the block is invalid at {index:?}"),
        }
    }

    /// The state after the block.
    ///
    /// # Panics
    /// When the block is invalid.
    pub fn state(&self) -> &MemoryState {
        let _ = self.output();
        &self.after
    }

    /// Whether each transaction succeeded.
    pub fn successes(&self) -> Vec<bool> {
        self.output().receipts.iter().map(|receipt| receipt.status()).collect()
    }

    /// The gas of each transaction.
    pub fn gas(&self) -> Vec<u64> {
        let mut before = 0;
        let receipts = self.output().receipts.iter();
        let gas = receipts.map(|receipt| {
            let cumulative = receipt.cumulative_gas_used();
            cumulative - std::mem::replace(&mut before, cumulative)
        });
        gas.collect()
    }

    /// The address of the contract that the creation at `index` made, if its nonce was `nonce`.
    ///
    /// # Panics
    /// When that transaction is no creation.
    pub fn created(&self, index: usize, nonce: u64) -> Address {
        let (from, to) = self.names[index];
        assert_eq!(to, None, "transaction {index} creates nothing");
        from.create(nonce)
    }

    /// An account after the block.
    pub fn account(&self, address: Address) -> Option<Account> {
        self.state().account(address).expect("memory answers every question")
    }

    /// A balance after the block.
    pub fn balance(&self, address: Address) -> U256 {
        self.account(address).unwrap_or_default().balance
    }

    /// A nonce after the block.
    pub fn nonce(&self, address: Address) -> u64 {
        self.account(address).unwrap_or_default().nonce
    }

    /// A storage slot after the block.
    pub fn slot(&self, address: Address, slot: u64) -> U256 {
        let slot = U256::from(slot);
        self.state().storage(address, slot).expect("memory answers every question")
    }
}

/// All accounts with all their slots, in order; every code that they name is there.
///
/// # Panics
/// When an account names code that the state does not hold.
pub fn full_state(state: &MemoryState) -> BTreeMap<Address, (Account, BTreeMap<U256, U256>)> {
    let accounts = state.accounts().map(|(address, account, slots)| {
        if account.has_code() {
            let code = state.code(account.code_hash).expect("every account's code is there");
            assert_eq!(alloy_primitives::keccak256(code), account.code_hash);
        }
        let slots = slots.into_iter().flatten().map(|(slot, value)| (*slot, *value)).collect();
        (*address, (*account, slots))
    });
    accounts.collect()
}
