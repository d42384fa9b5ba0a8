//! Random blocks: what they consist of, and the block and state that it makes.

use std::sync::Arc;

use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, Header, constants::EMPTY_WITHDRAWALS};
use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_primitives::{B256, U256, keccak256};
use warpline_chain::{ChainSpec, EthereumHardforks};
use warpline_primitives::{MemoryState, RecoveredBlock};
use warpline_testkit::{BASE_FEE, BENEFICIARY, Case, Fork};
use warpline_trie::StateTrie;

use crate::{
    assemble::assemble,
    dice::Dice,
    program::{Condition, Sink, Statement, program},
    rules::Rules,
    shapes::{merge, shape},
    source::Read,
    tools::{Tool, token_slot},
    transaction::{NEST, PHOENIX, Progress, Transaction},
    world::{
        ADDRESSES, CONTRACTS, PEOPLE, PLACES, RICH, anybody, contract, person, place, runtime,
        usual_salt,
    },
};

/// When the block before the generated one was made.
const GENESIS_TIME: u64 = 1_000_000;
/// The gas limit of most blocks.
const GAS_LIMIT: u64 = 30_000_000;

/// A block and what was before it, as plain data: made from a seed, made smaller by dropping parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    pub(crate) rules: Rules,
    /// What each of the contracts does.
    pub(crate) programs: Vec<Vec<Statement>>,
    /// Contract, slot, value.
    pub(crate) slots: Vec<(usize, u64, u64)>,
    /// Places where a contract was made before the block, and a value in its first slot.
    pub(crate) made: Vec<(usize, u64)>,
    /// Accounts that exist but hold nothing.
    pub(crate) empty: Vec<usize>,
    /// Accounts that hold a few wei.
    pub(crate) funded: Vec<usize>,
    /// People who delegated already, with their targets.
    pub(crate) delegated: Vec<(usize, usize)>,
    pub(crate) beneficiary: Option<usize>,
    pub(crate) gas_limit: u64,
    pub(crate) transactions: Vec<Transaction>,
    pub(crate) withdrawals: Vec<(usize, u64)>,
    /// What the source of the parent state cannot read, in executions of their own.
    pub(crate) unreadable: Option<Read>,
}

/// A [`Block`] as it is executed: the child of a genesis block, with all that its header can say
/// before execution.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The rules' name and fork.
    pub rules: Rules,
    /// The rules.
    pub chain: Arc<ChainSpec>,
    /// The header of the block before.
    pub genesis: Header,
    /// The state before the block.
    pub state: MemoryState,
    /// The block. Its transactions are not truly signed.
    pub block: RecoveredBlock,
    /// What the source of the parent state cannot read, in executions of their own.
    pub(crate) unreadable: Option<Read>,
}

impl Block {
    /// The block that `seed` means, under `rules` or under some that the seed chooses.
    pub fn random(seed: u64, rules: Option<Rules>) -> Self {
        let dice = &mut Dice::new(seed);
        let chosen = Rules::random(dice);
        let few = |dice: &mut Dice| dice.several(0, 3, |dice| dice.index(ADDRESSES));
        Self {
            rules: rules.unwrap_or(chosen),
            programs: (0..CONTRACTS).map(|_| program(dice)).collect(),
            slots: dice
                .several(0, 10, |dice| (dice.index(CONTRACTS), dice.below(4), dice.below(5))),
            made: dice.several(0, 5, |dice| (dice.index(PLACES), dice.below(5))),
            empty: few(dice),
            funded: few(dice),
            delegated: dice.several(0, 3, |dice| (dice.index(PEOPLE), dice.index(ADDRESSES))),
            beneficiary: (dice.weighted(&[3, 2]) == 1).then(|| dice.index(ADDRESSES)),
            gas_limit: match dice.index(16) {
                0 => 1_000_000 + dice.below(5_000_000),
                1 => 5_000_000,
                _ => GAS_LIMIT,
            },
            transactions: transactions(dice),
            withdrawals: dice.several(0, 4, |dice| (dice.index(ADDRESSES), dice.below(3))),
            unreadable: dice.once_in(6).then(|| Read::random(dice)),
        }
    }

    /// The rules it is executed under.
    pub const fn rules(&self) -> Rules {
        self.rules
    }

    /// How many transactions it has.
    pub const fn transaction_count(&self) -> usize {
        self.transactions.len()
    }

    /// The block, and the state before it.
    pub fn generate(&self) -> Generated {
        let chain = self.rules.chain();
        let case = self.case(&chain);
        let mut state = case.state().clone();
        for index in 0..RICH {
            let slot = token_slot(person(index).address);
            state.insert_storage(Tool::Token.address(), slot, U256::from(100));
        }
        let accounts = state.accounts().map(|(address, account, slots)| {
            let slots = slots.into_iter().flatten().map(|(slot, value)| (*slot, *value));
            (*address, *account, slots)
        });
        let state_root = StateTrie::from_accounts(accounts).root();
        let genesis = Header { state_root, ..first_header(&chain, self.gas_limit) };
        let header = Header {
            beneficiary: self.beneficiary.map_or(BENEFICIARY, anybody),
            ..next_header(&chain, &genesis)
        };
        state.insert_block_hash(genesis.number, header.parent_hash);
        let block = case.header(|empty| *empty = header).block();
        let unreadable = self.unreadable;
        Generated { rules: self.rules, chain: Arc::new(chain), genesis, state, block, unreadable }
    }

    fn case(&self, chain: &ChainSpec) -> Case {
        let fork = self.rules.fork();
        let mut case = Case::on(chain.clone());
        for index in &self.empty {
            case = case.empty_account(anybody(*index));
        }
        for index in &self.funded {
            case = case.balance(anybody(*index), U256::from(5));
        }
        for index in 0..RICH {
            case = case.fund(person(index).address);
        }
        for index in RICH..PEOPLE - 1 {
            case = case.balance(person(index).address, U256::from(9_000_000));
        }
        case = self.contracts(case);
        let mut progress = Progress::default();
        if fork >= Fork::Prague {
            for (index, target) in &self.delegated {
                case = case.delegated(person(*index).address, anybody(*target));
                progress.nonces[*index] = 1;
            }
        }
        for tx in &self.transactions {
            case = case.tx(tx.build(fork, &mut progress));
        }
        for (index, amount) in &self.withdrawals {
            case = case.withdrawal(anybody(*index), *amount);
        }
        case
    }

    fn contracts(&self, mut case: Case) -> Case {
        for tool in Tool::ALL {
            let address = tool.address();
            case = case.contract(address, tool.code()).slot(address, 0, tool.first_value());
        }
        for (index, program) in self.programs.iter().enumerate() {
            let address = contract(index);
            let rise = Statement::Create2(PHOENIX, 0, usual_salt(PHOENIX), Sink::Word);
            let nest = Statement::If(Condition::Argument(NEST), vec![rise, Statement::Stop]);
            let program: Vec<_> = std::iter::once(nest).chain(program.iter().cloned()).collect();
            case = case.contract(address, assemble(&program, self.rules.fork()));
            case = case.balance(address, U256::from(50));
        }
        for (index, slot, value) in &self.slots {
            case = case.slot(contract(*index), *slot, *value);
        }
        for (index, value) in self.made.iter().chain([&(PHOENIX, 4)]) {
            if let Some(runtime) = runtime(*index) {
                let address = place(*index);
                case = case.contract(address, runtime).slot(address, 0, *value);
            }
        }
        case
    }
}

/// Some with no connection, some whose conflicts have a shape, or both.
fn transactions(dice: &mut Dice) -> Vec<Transaction> {
    let random = |dice: &mut Dice, from, to| dice.several(from, to, Transaction::random);
    match dice.weighted(&[4, 2, 3]) {
        0 => random(dice, 5, 40),
        1 => {
            let (first, second) = (shape(dice), shape(dice));
            merge(dice, first, second)
        }
        _ => {
            let (first, second) = (shape(dice), random(dice, 3, 20));
            merge(dice, first, second)
        }
    }
}

/// The header of block 0: half full, so that the base fee stays what it is.
fn first_header(chain: &ChainSpec, gas_limit: u64) -> Header {
    let time = GENESIS_TIME;
    let cancun = chain.is_cancun_active_at_timestamp(time);
    Header {
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        difficulty: if chain.is_merged(0) { U256::ZERO } else { U256::from(0x2_0000) },
        gas_limit,
        gas_used: gas_limit / 2,
        timestamp: time,
        base_fee_per_gas: chain.is_london_active_at_block(0).then_some(BASE_FEE),
        withdrawals_root: chain.is_shanghai_active_at_timestamp(time).then_some(EMPTY_WITHDRAWALS),
        blob_gas_used: cancun.then_some(0),
        excess_blob_gas: cancun.then_some(0),
        parent_beacon_block_root: cancun.then_some(B256::ZERO),
        requests_hash: chain.is_prague_active_at_timestamp(time).then_some(EMPTY_REQUESTS_HASH),
        block_access_list_hash: chain.block_access_lists_at(time).then(|| keccak256([0xc0])),
        ..Header::default()
    }
}

/// The header of a block after it, as far as it is known before execution.
fn next_header(chain: &ChainSpec, parent: &Header) -> Header {
    let timestamp = parent.timestamp + 12;
    Header {
        parent_hash: parent.hash_slow(),
        number: parent.number + 1,
        timestamp,
        difficulty: chain.next_difficulty(parent, timestamp),
        mix_hash: keccak256("randomness"),
        base_fee_per_gas: chain.next_base_fee(parent),
        excess_blob_gas: chain.next_excess_blob_gas(parent, timestamp),
        parent_beacon_block_root: parent.parent_beacon_block_root.map(|_| B256::repeat_byte(0xbe)),
        gas_used: 0,
        ..first_header(chain, parent.gas_limit)
    }
}
