//! Who and what there is in the default blocks, and how they act.

use alloy_consensus::{TxEip2930, TxEip4844, TxEip7702, TxLegacy, transaction::Recovered};
use alloy_eips::{
    eip2930::{AccessList, AccessListItem},
    eip4895::{Withdrawal, Withdrawals},
    eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
    eip7702::Authorization,
};
use alloy_primitives::{Address, B256, Bytes, U256};
use warpline_primitives::{MemoryState, Transaction};

use super::script::DISTANT_FUTURE;
use crate::{
    artifact::TOKEN,
    contracts::{CollectibleState, PoolState, TokenState, mint_input, trade_input, transfer_input},
    generate::{MINT_GAS_LIMIT, TOKEN_GAS_LIMIT, TRADE_GAS_LIMIT},
    genesis::{base_state, ether, fund},
    random::{Addresses, Random, Role, Zipf, labelled},
    transaction::{Call, GWEI, Key, MAX_FEE},
};

/// Decides every choice that is left to chance.
const SEED: u64 = 2_015;
/// How many people have money from the start.
pub(super) const PEOPLE: usize = 40;
/// How many have none until somebody pays them.
const NEWCOMERS: usize = 6;

const TOKEN_NAMES: [&str; 4] = ["Copper", "Tin", "Silver", "Amber"];
/// Which tokens each pool trades; neighbours share one.
const MARKETS: [[usize; 2]; 3] = [[0, 1], [1, 2], [2, 3]];

/// The transactions and withdrawals of one block.
pub(super) type Body = (Vec<Recovered<Transaction>>, Withdrawals);

/// How many transactions of each kind, to be put in random order.
#[derive(Clone, Copy)]
pub(super) struct Mix {
    pub(super) payments: usize,
    pub(super) transfers: usize,
    pub(super) trades: usize,
    pub(super) mints: usize,
}

/// The blocks in the making.
pub(super) struct Script {
    chain_id: u64,
    random: Random,
    popularity: Zipf,
    pub(super) people: Vec<Key>,
    /// The nonce of everybody's next transaction.
    pub(super) nonces: Vec<u64>,
    pub(super) tokens: [Address; 4],
    pub(super) pools: [Address; 3],
    collection: Address,
    transactions: Vec<Recovered<Transaction>>,
    withdrawals: u64,
}

impl Script {
    pub(super) fn new(chain_id: u64) -> Self {
        let addresses = Addresses::new(SEED);
        let key = |index| Key::new(labelled("warpline default chain", index as u64));
        Self {
            chain_id,
            random: Random::new(SEED),
            popularity: Zipf::new(PEOPLE),
            people: (0..PEOPLE + NEWCOMERS).map(key).collect(),
            nonces: vec![0; PEOPLE + NEWCOMERS],
            tokens: [0, 1, 2, 3].map(|index| addresses.get(Role::Token, index)),
            pools: [0, 1, 2].map(|index| addresses.get(Role::Pool, index)),
            collection: addresses.get(Role::Collection, 0),
            transactions: Vec::new(),
            withdrawals: 0,
        }
    }

    /// The contracts in place, and ether and tokens with the people.
    pub(super) fn first_state(&self) -> MemoryState {
        let mut state = base_state();
        let people = &self.people[..PEOPLE];
        let mut tokens: Vec<_> = self
            .tokens
            .into_iter()
            .zip(TOKEN_NAMES)
            .map(|(address, name)| TokenState::new(address, name))
            .collect();
        for person in people {
            fund(&mut state, person.address, ether(100));
            for token in &mut tokens {
                token.set_balance(person.address, ether(1_000));
            }
        }
        for (address, market) in self.pools.into_iter().zip(MARKETS) {
            for token in market {
                tokens[token].set_balance(address, PoolState::RESERVE);
                for person in people {
                    tokens[token].set_allowance(person.address, address, ether(1_000_000));
                }
            }
            PoolState::new(address, market.map(|token| self.tokens[token]), 0).install(&mut state);
        }
        for token in &tokens {
            token.install(&mut state);
        }
        CollectibleState { address: self.collection, name: "Postcards" }.install(&mut state);
        state
    }

    /// Ends the block, with withdrawals to people in gwei (EIP-4895).
    pub(super) fn end_block(&mut self, withdrawals: &[(usize, u64)]) -> Body {
        let mut withdrawal = |(person, amount): &(usize, u64)| {
            self.withdrawals += 1;
            Withdrawal {
                index: self.withdrawals,
                validator_index: *person as u64,
                address: self.people[*person].address,
                amount: *amount,
            }
        };
        let withdrawals: Vec<_> = withdrawals.iter().map(&mut withdrawal).collect();
        (std::mem::take(&mut self.transactions), Withdrawals::new(withdrawals))
    }

    /// Sends a call as an EIP-1559 transaction.
    pub(super) fn send(&mut self, person: usize, call: Call) {
        let (nonce, tip) = (self.next_nonce(person), self.tip());
        let transaction = call.eip1559(self.chain_id, nonce, tip);
        self.transactions.push(self.people[person].sign(transaction));
    }

    pub(super) fn mix(&mut self, mix: Mix) {
        let mut left = [mix.payments, mix.transfers, mix.trades, mix.mints];
        while left.iter().sum::<usize>() > 0 {
            let mut point = self.random.index(left.iter().sum());
            let mut kind = 0;
            while point >= left[kind] {
                point -= left[kind];
                kind += 1;
            }
            left[kind] -= 1;
            match kind {
                0 => self.payment(),
                1 => self.token_transfer(),
                2 => self.trade(),
                _ => {
                    let person = self.anybody();
                    let call = Call::contract(self.collection, mint_input(), MINT_GAS_LIMIT);
                    self.send(person, call);
                }
            }
        }
    }

    /// Pays a newcomer, who pays the next one out of it, and so on: each of these transactions is
    /// invalid unless the one before it has been executed.
    pub(super) fn pass_on(&mut self) {
        let mut payer = self.anybody();
        for (passed, newcomer) in (PEOPLE..PEOPLE + NEWCOMERS).enumerate() {
            let amount = ether(NEWCOMERS as u64 + 1 - passed as u64);
            self.send(payer, Call::pay(self.people[newcomer].address, amount));
            payer = newcomer;
        }
    }

    /// Lets `person` run the collection's code as its own from now on (EIP-7702), in a
    /// transaction of `sponsor` that mints there.
    pub(super) fn delegate(&mut self, sponsor: usize, person: usize) {
        let (nonce, tip) = (self.next_nonce(sponsor), self.tip());
        let authorization = Authorization {
            chain_id: U256::from(self.chain_id),
            address: self.collection,
            nonce: self.next_nonce(person),
        };
        let transaction = TxEip7702 {
            chain_id: self.chain_id,
            nonce,
            gas_limit: 200_000,
            max_fee_per_gas: MAX_FEE,
            max_priority_fee_per_gas: tip,
            to: self.people[person].address,
            value: U256::ZERO,
            access_list: AccessList::default(),
            authorization_list: vec![self.people[person].authorize(authorization)],
            input: mint_input(),
        };
        self.transactions.push(self.people[sponsor].sign(transaction));
    }

    /// Posts two blobs (EIP-4844), of which a block knows the hashes only.
    pub(super) fn post_blobs(&mut self, person: usize) {
        let (nonce, tip) = (self.next_nonce(person), self.tip());
        let transaction = TxEip4844 {
            chain_id: self.chain_id,
            nonce,
            gas_limit: 21_000,
            max_fee_per_gas: MAX_FEE,
            max_priority_fee_per_gas: tip,
            to: self.people[0].address,
            value: U256::ZERO,
            access_list: AccessList::default(),
            blob_versioned_hashes: [0, 1].map(versioned_hash).into(),
            max_fee_per_blob_gas: GWEI,
            input: Bytes::new(),
        };
        self.transactions.push(self.people[person].sign(transaction));
    }

    /// Asks for a validator's exit by a contract call (EIP-7002): the block will have a request.
    pub(super) fn request_withdrawal(&mut self, person: usize) {
        // The validator's public key of 48 bytes and the amount of eight, zero for everything.
        let mut input = [0; 56];
        input[..32].copy_from_slice(labelled("validator", 0).as_slice());
        let mut call = Call::contract(WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, input.into(), 250_000);
        call.value = U256::ONE;
        self.send(person, call);
    }

    /// A payment, in turn as a transaction of each of the three types that can be one.
    fn payment(&mut self) {
        let (person, to) = (self.anybody(), self.anybody());
        let call = Call::pay(self.people[to].address, self.amount());
        let gas_price = MAX_FEE / 2;
        let Call { to, value, input, gas_limit } = call.clone();
        match self.random.below(3) {
            0 => {
                let (chain_id, nonce) = (Some(self.chain_id), self.next_nonce(person));
                let transaction =
                    TxLegacy { chain_id, nonce, gas_price, gas_limit, to, value, input };
                self.transactions.push(self.people[person].sign(transaction));
            }
            1 => {
                let (chain_id, nonce) = (self.chain_id, self.next_nonce(person));
                let slot = B256::from(TOKEN.slot("totalSupply"));
                let item = AccessListItem { address: self.tokens[0], storage_keys: vec![slot] };
                let transaction = TxEip2930 {
                    chain_id,
                    nonce,
                    gas_price,
                    gas_limit: 30_000,
                    to,
                    value,
                    access_list: AccessList(vec![item]),
                    input,
                };
                self.transactions.push(self.people[person].sign(transaction));
            }
            _ => self.send(person, call),
        }
    }

    fn token_transfer(&mut self) {
        let (person, to) = (self.anybody(), self.anybody());
        let token = self.tokens[self.random.index(self.tokens.len())];
        let input = transfer_input(self.people[to].address, self.amount());
        self.send(person, Call::contract(token, input, TOKEN_GAS_LIMIT));
    }

    fn trade(&mut self) {
        let (person, market) = (self.anybody(), self.random.index(MARKETS.len()));
        let token = self.tokens[MARKETS[market][self.random.index(2)]];
        let trader = self.people[person].address;
        let input = trade_input(token, self.amount(), trader, DISTANT_FUTURE);
        self.send(person, Call::contract(self.pools[market], input, TRADE_GAS_LIMIT));
    }

    /// Somebody with money, after Zipf.
    fn anybody(&mut self) -> usize {
        self.popularity.draw(&mut self.random)
    }

    fn amount(&mut self) -> U256 {
        U256::from(1 + self.random.below(1_000_000_000_000_000_000))
    }

    fn tip(&mut self) -> u128 {
        GWEI + u128::from(self.random.below(1_000)) * GWEI / 1_000
    }

    fn next_nonce(&mut self, person: usize) -> u64 {
        let nonce = self.nonces[person];
        self.nonces[person] += 1;
        nonce
    }
}

/// The hash a blob would have (EIP-4844): version 1 in the first byte.
fn versioned_hash(blob: u64) -> B256 {
    let mut hash = labelled("blob", blob);
    hash[0] = 1;
    hash
}
