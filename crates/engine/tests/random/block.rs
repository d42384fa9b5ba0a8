//! What blocks consist of.

use alloy_primitives::{Address, U256};
use proptest::prelude::*;
use warpline_testkit::{BASE_FEE, BENEFICIARY, Case, Fork, TIP, Tx};

use crate::{
    program::{Condition, Sink, Statement, assemble, program},
    world::{
        ADDRESSES, CONTRACTS, INITS, KEYS, PLACES, SENDERS, anybody, contract, init, key, place,
        runtime, sender, usual_salt,
    },
};

/// A block and what was before it.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    programs: Vec<Vec<Statement>>,
    /// Contract, slot, value.
    slots: Vec<(usize, u64, u64)>,
    /// Places where a contract was made before the block, and a value in its first slot.
    made: Vec<(usize, u64)>,
    /// Accounts that exist but hold nothing.
    empty: Vec<usize>,
    funded: Vec<usize>,
    /// Authorities that are delegated already, with their targets.
    delegated: Vec<(usize, usize)>,
    beneficiary: Option<usize>,
    transactions: Vec<Transaction>,
    withdrawals: Vec<(usize, u64)>,
}

#[derive(Clone, Debug)]
struct Transaction {
    from: usize,
    what: What,
    value: u64,
    /// Above the base fee, in wei.
    tip: u128,
    gas: u64,
    /// Says a wrong nonce.
    wrong_nonce: Option<u64>,
    /// Lists an address and a slot as accessed.
    access: Option<(usize, u64)>,
}

#[derive(Clone, Debug)]
enum What {
    Pay(usize),
    Call(usize, u64),
    Create(usize),
    /// The key, its target, whether to tell a wrong nonce, and whom to call.
    Authorize(usize, usize, bool, usize),
    Blob(usize),
    /// What is done to the [phoenix].
    Phoenix(Fate),
}

/// The phoenix is there before each block, and one of the first contracts can make it again.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Dies,
    Rises,
    Counts,
}

/// Where it is, among the places.
const PHOENIX: usize = 3;
/// The bit of the argument that tells a contract to make it.
const NEST: u64 = 4;

fn phoenix() -> Address {
    place(PHOENIX)
}

fn rise() -> Statement {
    Statement::Create2(PHOENIX, 0, usual_salt(PHOENIX), Sink::Word)
}

pub(crate) fn block() -> impl Strategy<Value = Block> {
    let few = |of: usize| prop::collection::vec(0..of, 0..3);
    let beneficiary = prop_oneof![3 => Just(None), 2 => (0..ADDRESSES).prop_map(Some)];
    let state = (
        prop::collection::vec(program(), CONTRACTS),
        prop::collection::vec((0..CONTRACTS, 0_u64..4, 0_u64..5), 0..10),
        prop::collection::vec((0..PLACES, 0_u64..5), 0..5),
        few(ADDRESSES),
        few(ADDRESSES),
        prop::collection::vec((0..KEYS, 0..CONTRACTS), 0..2),
    );
    let withdrawals = prop::collection::vec((0..ADDRESSES, 0_u64..3), 0..3);
    let transactions = prop::collection::vec(transaction(), 5..40);
    (state, beneficiary, transactions, withdrawals).prop_map(
        |(
            (programs, slots, made, empty, funded, delegated),
            beneficiary,
            transactions,
            withdrawals,
        )| {
            Block {
                programs,
                slots,
                made,
                empty,
                funded,
                delegated,
                beneficiary,
                transactions,
                withdrawals,
            }
        },
    )
}

fn transaction() -> impl Strategy<Value = Transaction> {
    let from = prop_oneof![40 => 0..SENDERS - 2, 1 => SENDERS - 2..SENDERS];
    let value = prop_oneof![2 => Just(0_u64), 2 => 1_u64..5, 1 => Just(1_000_000)];
    let tip = prop_oneof![2 => Just(0_u128), 4 => Just(TIP), 1 => Just(1_000)];
    let gas = prop_oneof![6 => Just(300_000_u64), 1 => Just(100_000), 1 => 60_000_u64..90_000];
    let wrong_nonce = prop_oneof![200 => Just(None), 1 => (0_u64..5).prop_map(Some)];
    let access = prop::option::weighted(0.2, (0..ADDRESSES, 0_u64..4));
    (from, what(), value, tip, gas, wrong_nonce, access).prop_map(
        |(from, what, value, tip, gas, wrong_nonce, access)| Transaction {
            from,
            what,
            value,
            tip,
            gas,
            wrong_nonce,
            access,
        },
    )
}

fn what() -> impl Strategy<Value = What> {
    let wrong = prop::bool::weighted(0.1);
    prop_oneof![
        4 => (0..ADDRESSES).prop_map(What::Pay),
        10 => (0..CONTRACTS, 0_u64..8).prop_map(|(to, argument)| What::Call(to, argument)),
        3 => (0..ADDRESSES, 0_u64..8).prop_map(|(to, argument)| What::Call(to, argument)),
        1 => (0..INITS).prop_map(What::Create),
        2 => (0..KEYS, 0..ADDRESSES, wrong, 0..ADDRESSES)
            .prop_map(|(key, target, wrong, to)| What::Authorize(key, target, wrong, to)),
        1 => (0..ADDRESSES).prop_map(What::Blob),
        2 => prop_oneof![Just(Fate::Dies), Just(Fate::Rises), Just(Fate::Counts)]
            .prop_map(What::Phoenix),
    ]
}

impl Block {
    pub(crate) fn case(&self, fork: Fork) -> Case {
        let mut case = Case::new(fork);
        let beneficiary = self.beneficiary.map_or(BENEFICIARY, anybody);
        for index in &self.empty {
            case = case.empty_account(anybody(*index));
        }
        for index in &self.funded {
            case = case.balance(anybody(*index), U256::from(5));
        }
        for index in 0..SENDERS - 2 {
            case = case.fund(sender(index));
        }
        for index in SENDERS - 2..SENDERS {
            case = case.balance(sender(index), U256::from(9_000_000));
        }
        for (index, program) in self.programs.iter().enumerate() {
            let address = contract(index);
            let nest = Statement::If(Condition::Argument(NEST), vec![rise(), Statement::Stop]);
            let program: Vec<_> = std::iter::once(nest).chain(program.iter().cloned()).collect();
            case =
                case.contract(address, assemble(&program, fork)).balance(address, U256::from(50));
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
        if fork >= Fork::Prague {
            for (index, target) in &self.delegated {
                case = case.delegated(key(*index).address, contract(*target));
            }
        }
        case = case.beneficiary(beneficiary);
        let mut nonces = [0; KEYS];
        for (index, _) in self.delegated.iter().filter(|_| fork >= Fork::Prague) {
            nonces[*index] = 1;
        }
        for tx in &self.transactions {
            case = case.tx(tx.build(fork, &mut nonces));
        }
        for (index, amount) in &self.withdrawals {
            case = case.withdrawal(anybody(*index), *amount);
        }
        case
    }
}

impl Transaction {
    /// `nonces` are those of the authorities as far as authorizations tell.
    fn build(&self, fork: Fork, nonces: &mut [u64; KEYS]) -> Tx {
        let from = sender(self.from);
        let base_fee = if fork < Fork::London { 0 } else { u128::from(BASE_FEE) };
        let call = |to: Address, argument: u64| Tx::call(from, to).args(&[argument, 1 + argument]);
        let tx = match self.what {
            What::Pay(to) => Tx::pay(from, anybody(to), 0).gas(self.gas),
            What::Call(to, argument) => call(anybody(to), argument),
            What::Phoenix(Fate::Rises) => call(contract(PHOENIX / INITS), 1 << NEST),
            What::Phoenix(Fate::Dies | Fate::Counts) => call(phoenix(), 0),
            What::Create(kind) => Tx::create(from, init(kind)),
            What::Authorize(index, target, wrong, to) if fork >= Fork::Prague => {
                let nonce = nonces[index] + u64::from(wrong);
                nonces[index] += u64::from(!wrong);
                // Some clear the delegation.
                let target = if target % 7 == 6 { Address::ZERO } else { anybody(target) };
                let to = if to % 2 == 0 { key(index).address } else { anybody(to) };
                call(to, 3).authorize(key(index).authorize(target, nonce))
            }
            What::Blob(to) if fork >= Fork::Cancun => call(anybody(to), 1).blobs(1),
            What::Authorize(_, _, _, to) | What::Blob(to) => call(anybody(to), 2),
        };
        let value = match self.what {
            What::Phoenix(Fate::Dies) => 1,
            What::Phoenix(_) => 0,
            _ => self.value,
        };
        let mut tx = tx.value(U256::from(value)).gas(self.gas).price(base_fee + self.tip);
        if fork >= Fork::London && !matches!(self.what, What::Pay(_)) {
            tx = tx.fees(base_fee + self.tip, self.tip.min(TIP));
        }
        if let Some((address, slot)) = self.access
            && fork >= Fork::Berlin
        {
            tx = tx.access(anybody(address), &[slot]);
        }
        match self.wrong_nonce {
            Some(nonce) => tx.nonce(nonce),
            None => tx,
        }
    }
}
