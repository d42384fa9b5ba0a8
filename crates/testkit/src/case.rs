//! A block with everything that executing it takes, written as a table.

use alloy_consensus::Header;
use alloy_eips::{
    eip2935::{HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CODE},
    eip4788::{BEACON_ROOTS_ADDRESS, BEACON_ROOTS_CODE},
    eip4895::{Withdrawal, Withdrawals},
    eip7002::{WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, WITHDRAWAL_REQUEST_PREDEPLOY_CODE},
    eip7251::{CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, CONSOLIDATION_REQUEST_PREDEPLOY_CODE},
};
use alloy_primitives::{Address, B256, Bytes, U256, address, keccak256, map::AddressMap};
use warpline_chain::{ChainSpec, EthereumHardforks};
use warpline_primitives::{Account, MemoryState, RecoveredBlock, StateSource};

use crate::{Fork, Outcome, Plan, Tx, check_block};

/// The chain id of every case.
pub(crate) const CHAIN_ID: u64 = 1;
/// The number of every case's block.
pub const BLOCK_NUMBER: u64 = 1_000;
/// The base fee from London on, in wei per gas.
pub const BASE_FEE: u64 = 10;
/// What a legacy transaction pays for a unit of gas unless it says otherwise, in wei.
pub const GAS_PRICE: u128 = 12;
/// What of it is the beneficiary's from London on.
pub const TIP: u128 = GAS_PRICE - BASE_FEE as u128;
/// Who earns the fees unless the case says otherwise.
pub const BENEFICIARY: Address = address!("0xfee0000000000000000000000000000000000fee");

/// An address that is all one byte.
pub const fn account(byte: u8) -> Address {
    Address::repeat_byte(byte)
}

/// So many ether in wei.
pub fn ether(amount: u64) -> U256 {
    U256::from(amount) * U256::from(1_000_000_000_000_000_000_u64)
}

/// A block and the state it starts from. See the [crate's documentation](crate) for an example.
#[derive(Clone, Debug)]
pub struct Case {
    chain: ChainSpec,
    header: Header,
    state: MemoryState,
    nonces: AddressMap<u64>,
    transactions: Vec<Tx>,
    withdrawals: Vec<Withdrawal>,
    plan: Plan,
}

impl Case {
    /// A block under the rules of `fork`, with the contracts its system calls need.
    pub fn new(fork: Fork) -> Self {
        Self::on(ChainSpec::at_fork(fork, CHAIN_ID))
    }

    /// A block on `chain`.
    pub fn on(chain: ChainSpec) -> Self {
        let header = Header {
            parent_hash: keccak256("parent"),
            beneficiary: BENEFICIARY,
            number: BLOCK_NUMBER,
            timestamp: 1_000_000,
            gas_limit: 30_000_000,
            ..Header::default()
        };
        let mut case = Self {
            chain,
            header,
            state: MemoryState::default(),
            nonces: AddressMap::default(),
            transactions: Vec::new(),
            withdrawals: Vec::new(),
            plan: Plan::default(),
        };
        for (address, code) in [
            (BEACON_ROOTS_ADDRESS, &BEACON_ROOTS_CODE),
            (HISTORY_STORAGE_ADDRESS, &HISTORY_STORAGE_CODE),
            (WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, &WITHDRAWAL_REQUEST_PREDEPLOY_CODE),
            (CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, &CONSOLIDATION_REQUEST_PREDEPLOY_CODE),
        ] {
            case = case.contract(address, code.clone());
        }
        for number in BLOCK_NUMBER - 256..BLOCK_NUMBER {
            case.state.insert_block_hash(number, keccak256(number.to_be_bytes()));
        }
        case
    }

    /// Gives an account a thousand ether; one that does not exist yet comes into being.
    #[must_use]
    pub fn fund(self, address: Address) -> Self {
        self.balance(address, ether(1_000))
    }

    /// Funds several accounts.
    #[must_use]
    pub fn fund_all(self, addresses: impl IntoIterator<Item = Address>) -> Self {
        addresses.into_iter().fold(self, Self::fund)
    }

    /// Sets a balance.
    #[must_use]
    pub fn balance(self, address: Address, balance: U256) -> Self {
        self.edit(address, |account| account.balance = balance)
    }

    /// Sets a nonce.
    #[must_use]
    pub fn account_nonce(self, address: Address, nonce: u64) -> Self {
        self.edit(address, |account| account.nonce = nonce)
    }

    /// Puts an empty account in place, as there were some before EIP-161.
    #[must_use]
    pub fn empty_account(self, address: Address) -> Self {
        self.edit(address, |_| {})
    }

    /// Puts a contract in place.
    #[must_use]
    pub fn contract(mut self, address: Address, code: impl Into<Bytes>) -> Self {
        let code_hash = self.state.insert_code(code.into());
        self.edit(address, |account| {
            account.code_hash = code_hash;
            account.nonce = account.nonce.max(1);
        })
    }

    /// Lets `address` run `target`'s code from the beginning (EIP-7702).
    #[must_use]
    pub fn delegated(self, address: Address, target: Address) -> Self {
        self.contract(address, [&[0xef, 0x01, 0x00], target.as_slice()].concat())
    }

    /// Sets a storage slot.
    #[must_use]
    pub fn slot(mut self, address: Address, slot: u64, value: u64) -> Self {
        self.state.insert_storage(address, U256::from(slot), U256::from(value));
        self
    }

    /// Adds a transaction.
    #[must_use]
    pub fn tx(mut self, tx: Tx) -> Self {
        self.transactions.push(tx);
        self
    }

    /// Adds transactions.
    #[must_use]
    pub fn txs(self, txs: impl IntoIterator<Item = Tx>) -> Self {
        txs.into_iter().fold(self, Self::tx)
    }

    /// Adds a withdrawal (EIP-4895).
    #[must_use]
    pub fn withdrawal(mut self, address: Address, amount_gwei: u64) -> Self {
        let index = self.withdrawals.len() as u64;
        let validator_index = index;
        self.withdrawals.push(Withdrawal { index, validator_index, address, amount: amount_gwei });
        self
    }

    /// Says who earns the fees.
    #[must_use]
    pub fn beneficiary(self, beneficiary: Address) -> Self {
        self.header(|header| header.beneficiary = beneficiary)
    }

    /// Sets the block's gas limit.
    #[must_use]
    pub fn gas_limit(self, gas_limit: u64) -> Self {
        self.header(|header| header.gas_limit = gas_limit)
    }

    /// Changes the header.
    #[must_use]
    pub fn header(mut self, edit: impl FnOnce(&mut Header)) -> Self {
        edit(&mut self.header);
        self
    }

    /// Executes less, or more, often than usual.
    #[must_use]
    pub fn plan(mut self, plan: Plan) -> Self {
        self.plan = plan;
        self
    }

    /// The state before the block.
    pub const fn state(&self) -> &MemoryState {
        &self.state
    }

    /// The rules.
    pub const fn chain(&self) -> &ChainSpec {
        &self.chain
    }

    /// The block.
    pub fn block(&self) -> RecoveredBlock {
        let header = self.full_header();
        let mut nonces = self.nonces.clone();
        let transactions = self.transactions.iter().map(|tx| {
            let nonce = nonces.entry(tx.from).or_default();
            let this = tx.nonce.unwrap_or(*nonce);
            *nonce = this + 1;
            tx.clone().build(this)
        });
        let transactions = transactions.collect();
        let withdrawals = self.chain.is_shanghai_active_at_timestamp(header.timestamp);
        RecoveredBlock {
            hash: header.hash_slow(),
            header,
            transactions,
            ommers: Vec::new(),
            withdrawals: withdrawals.then(|| Withdrawals::new(self.withdrawals.clone())),
        }
    }

    /// Executes the block in every way and compares everything.
    ///
    /// # Panics
    /// When two ways disagree, in whatever respect, or one hangs.
    pub fn assert_all_equal(&self) -> Outcome {
        let outcome = check_block(&self.chain, &self.block(), &self.state, &self.plan);
        outcome.named(self.transactions.iter().map(|tx| (tx.from, tx.recipient())).collect())
    }

    /// As [`assert_all_equal`](Self::assert_all_equal), of a block that is invalid from
    /// transaction `index` on.
    ///
    /// # Panics
    /// When it is not.
    pub fn assert_invalid_at(&self, index: usize) {
        assert_eq!(self.assert_all_equal().invalid_at(), Some(index), "the first invalid one");
    }

    fn edit(mut self, address: Address, edit: impl FnOnce(&mut Account)) -> Self {
        let found = self.state.account(address).expect("memory answers every question");
        let mut account = found.unwrap_or_default();
        edit(&mut account);
        self.state.insert_account(address, account);
        self.nonces.insert(address, account.nonce);
        self
    }

    /// The header with what the fork asks for.
    fn full_header(&self) -> Header {
        let mut header = self.header.clone();
        let (number, time) = (header.number, header.timestamp);
        if self.chain.is_london_active_at_block(number) {
            header.base_fee_per_gas.get_or_insert(BASE_FEE);
        }
        if !self.chain.is_paris_active_at_block(number) && header.difficulty.is_zero() {
            header.difficulty = U256::from(0x20000);
        }
        if self.chain.is_cancun_active_at_timestamp(time) {
            header.excess_blob_gas.get_or_insert(0);
            header.blob_gas_used.get_or_insert(0);
            header.parent_beacon_block_root.get_or_insert(B256::repeat_byte(0xbe));
        }
        header
    }
}
