//! Blocks of one kind and any size, for benchmarks and tests.
//!
//! A generated block stands alone: it comes with the state it starts from, in which every contract
//! is in place and every sender is funded, and all of its transactions succeed. The same workload,
//! size and seed give the same block.

use alloy_consensus::{Header, transaction::Recovered};
use alloy_eips::eip4895::Withdrawals;
use alloy_primitives::{Address, U256, map::AddressMap};
use warpline_chain::ChainSpec;
use warpline_primitives::{MemoryState, RecoveredBlock, Transaction};

use crate::{
    Size, Workload,
    genesis::{base_state, chain, ether, fund, genesis_header, next_header},
    random::{Addresses, Random, Role},
    transaction::{Call, GWEI, unsigned},
};

mod fields;
mod mixed;
mod shapes;

/// The gas limits of the generated calls. Unused gas is not charged, so they are generous.
pub(crate) const TOKEN_GAS_LIMIT: u64 = 80_000;
pub(crate) const TRADE_GAS_LIMIT: u64 = 250_000;
pub(crate) const MINT_GAS_LIMIT: u64 = 120_000;

/// A block's gas limit is never below this, however few its transactions are.
const MIN_BLOCK_GAS_LIMIT: u64 = 30_000_000;

/// A block with everything that executing it takes.
#[derive(Clone, Debug)]
pub struct GeneratedBlock {
    /// What kind of block it is.
    pub workload: Workload,
    /// The rules it runs under.
    pub chain: ChainSpec,
    /// The header before it: half full, and silent about the state, whose root nobody has computed.
    pub parent: Header,
    /// The state it starts from.
    pub state: MemoryState,
    /// The block, not [sealed](crate::seal), its transactions without true signatures: `r` is the
    /// sender's address and `s` is one, which makes every transaction hash different.
    pub block: RecoveredBlock,
}

/// Makes a block of one kind.
///
/// The senders are given, not recovered: signing a gigagas of transfers would take seconds, and
/// execution does not look at signatures. For truly signed blocks see
/// [`default_chain`](crate::default_chain).
pub fn generate(workload: Workload, size: Size, seed: u64) -> GeneratedBlock {
    let count = size.transactions(workload);
    let mut builder = Builder::new(seed, count);
    match workload {
        Workload::TransfersIndependent => builder.transfers_independent(count),
        Workload::TransfersChain => builder.transfers_chain(count),
        Workload::TransfersHot => builder.transfers_hot(count),
        Workload::Erc20Independent => builder.erc20_independent(count),
        Workload::Erc20Hot => builder.erc20_hot(count),
        Workload::SwapsIndependent => builder.swaps_independent(count),
        Workload::SwapsHot => builder.swaps_hot(count),
        Workload::NftMint => builder.nft_mint(count),
        Workload::Mixed => builder.mixed(count),
        Workload::Field(field, form) => builder.field(field, form, count),
    }
    builder.finish(workload)
}

/// A block in the making.
#[derive(Debug)]
struct Builder {
    chain: ChainSpec,
    addresses: Addresses,
    random: Random,
    state: MemoryState,
    nonces: AddressMap<u64>,
    transactions: Vec<Recovered<Transaction>>,
    gas_limit: u64,
    /// The time of the block before, in seconds since 1970.
    parent_time: u64,
    /// The contract of the field that the block is of.
    registry: Address,
}

impl Builder {
    fn new(seed: u64, count: usize) -> Self {
        let mut nonces = AddressMap::default();
        nonces.reserve(count);
        Self {
            chain: chain(),
            addresses: Addresses::new(seed),
            random: Random::new(seed),
            state: base_state(),
            nonces,
            transactions: Vec::with_capacity(count),
            gas_limit: 0,
            parent_time: genesis_header(0).timestamp,
            registry: Address::ZERO,
        }
    }

    fn sender(&self, index: usize) -> Address {
        self.addresses.get(Role::Sender, index)
    }

    fn recipient(&self, index: usize) -> Address {
        self.addresses.get(Role::Recipient, index)
    }

    /// A small amount, of ether or of a token.
    fn amount(&mut self) -> U256 {
        U256::from(1 + self.random.below(1_000_000_000_000_000))
    }

    /// A time after which no trade is executed any more, well after this block.
    const fn deadline(&self) -> u64 {
        self.parent_time + 3_600
    }

    /// Appends a transaction; whoever sends one for the first time is funded.
    fn send(&mut self, sender: Address, call: Call) {
        let nonce = self.nonces.entry(sender).or_default();
        if *nonce == 0 {
            fund(&mut self.state, sender, ether(1_000));
        }
        let tip = GWEI + u128::from(self.random.below(1_000)) * GWEI / 1_000;
        self.gas_limit += call.gas_limit;
        let transaction = call.eip1559(self.chain.chain_id(), *nonce, tip);
        *nonce += 1;
        self.transactions.push(unsigned(transaction, sender));
    }

    fn finish(mut self, workload: Workload) -> GeneratedBlock {
        let gas_limit = self.gas_limit.max(MIN_BLOCK_GAS_LIMIT);
        // Half full, so that the base fee stays as it is.
        let parent = Header { gas_used: gas_limit / 2, ..genesis_header(gas_limit) };
        let header = next_header(&self.chain, &parent);
        self.state.insert_block_hash(parent.number, header.parent_hash);
        let block = RecoveredBlock {
            hash: header.hash_slow(),
            header,
            transactions: self.transactions,
            ommers: Vec::new(),
            withdrawals: Some(Withdrawals::default()),
        };
        GeneratedBlock { workload, chain: self.chain, parent, state: self.state, block }
    }
}
