//! What random transactions do.

use alloy_eips::{eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, eip7702::SignedAuthorization};
use alloy_primitives::{Address, U256};
use warpline_testkit::{BASE_FEE, Fork, TIP, Tx};

use crate::{
    dice::Dice,
    tools::{TOOLS, Tool},
    world::{ADDRESSES, CONTRACTS, INITS, PEOPLE, RICH, anybody, contract, init, person, place},
};

/// A transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transaction {
    pub(crate) from: usize,
    pub(crate) what: What,
    pub(crate) value: u64,
    /// Above the base fee, in wei.
    pub(crate) tip: u128,
    pub(crate) gas: u64,
    pub(crate) style: Style,
    /// Says a wrong nonce.
    pub(crate) wrong_nonce: Option<u64>,
    /// Lists an address and a slot as accessed.
    pub(crate) access: Option<(usize, u64)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Pay(usize),
    /// Calls somebody with two numbers.
    Call(usize, u64),
    Use(Tool, u64, u64),
    Create(usize),
    Authorize(Vec<Permission>, usize),
    /// Calls somebody along with so many blobs.
    Blob(usize, u8),
    /// Sends somebody so many bytes of data, none of them zero or all (EIP-7623).
    Data(usize, usize, bool),
    /// Asks for a withdrawal (EIP-7002).
    Request,
    /// What is done to the [phoenix].
    Phoenix(Fate),
}

/// An authorization (EIP-7702).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Permission {
    pub(crate) who: usize,
    pub(crate) target: usize,
    pub(crate) flaw: Option<Flaw>,
}

/// Why an authorization does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    Nonce,
    Chain,
}

/// How the sender pays for gas, as far as the fork knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Price,
    /// Fee cap and tip (EIP-1559).
    Fees,
}

/// The phoenix is there before each block, and one of the first contracts can make it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is paid: alive it dies of that, and dead it becomes an account without code.
    Paid,
    Rises,
    Counts,
}

/// Where it is, among the places.
pub(crate) const PHOENIX: usize = 3;
/// The bit of the argument that tells a contract to make it.
pub(crate) const NEST: u64 = 4;

pub(crate) fn phoenix() -> Address {
    place(PHOENIX)
}

/// Blobs that a block may have on every fork that has any (EIP-4844).
const MAX_BLOBS: u8 = 6;

/// How far the block has come, if all goes well.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// The next nonces of all people.
    pub(crate) nonces: [u64; PEOPLE],
    blobs: u8,
}

impl Transaction {
    /// One that does no harm.
    pub(crate) const fn plain(from: usize, what: What) -> Self {
        Self {
            from,
            what,
            value: 0,
            tip: TIP,
            gas: 300_000,
            style: Style::Price,
            wrong_nonce: None,
            access: None,
        }
    }

    pub(crate) fn random(dice: &mut Dice) -> Self {
        let from = if dice.once_in(80) { dice.between(RICH, PEOPLE - 1) } else { dice.index(RICH) };
        let what = what(dice);
        let value = match dice.weighted(&[4, 4, 2]) {
            0 => 0,
            1 => 1 + dice.below(4),
            _ => 1_000_000,
        };
        let gas = match dice.weighted(&[240, 40, 40, 4, 1, 1]) {
            0 => 300_000,
            1 => 100_000,
            2 => 60_000 + dice.below(30_000),
            3 => 21_000 + dice.below(10_000),
            4 => 1 << 24,
            _ => 20_000_000 + dice.below(11_000_000),
        };
        Self {
            value,
            gas,
            tip: match dice.weighted(&[2, 4, 1]) {
                0 => 0,
                1 => TIP,
                _ => 1_000,
            },
            style: dice.pick(&[Style::Price, Style::Fees]),
            wrong_nonce: dice.once_in(400).then(|| dice.below(5)),
            access: dice.once_in(5).then(|| (dice.index(ADDRESSES), dice.below(4))),
            ..Self::plain(from, what)
        }
    }

    /// The transaction, and `progress` by one.
    pub(crate) fn build(&self, fork: Fork, progress: &mut Progress) -> Tx {
        let from = person(self.from).address;
        let base_fee = if fork < Fork::London { 0 } else { u128::from(BASE_FEE) };
        let nonce = &mut progress.nonces[self.from % PEOPLE];
        let said = self.wrong_nonce.unwrap_or(*nonce);
        *nonce = said + 1;
        let mut tx = self.named(from, fork, progress).nonce(said);
        tx = tx.value(U256::from(self.value())).gas(self.gas).price(base_fee + self.tip);
        if fork >= Fork::London && self.style == Style::Fees {
            tx = tx.fees(base_fee + self.tip, self.tip.min(TIP));
        }
        if let Some((address, slot)) = self.access
            && fork >= Fork::Berlin
        {
            tx = tx.access(anybody(address), &[slot]);
        }
        tx
    }

    const fn value(&self) -> u64 {
        match self.what {
            What::Phoenix(Fate::Paid) => 1,
            What::Phoenix(_) => 0,
            _ => self.value,
        }
    }

    /// Whom it calls with what.
    fn named(&self, from: Address, fork: Fork, progress: &mut Progress) -> Tx {
        let call = |to: Address, argument: u64| Tx::call(from, to).args(&[argument, 1 + argument]);
        match &self.what {
            What::Pay(to) => Tx::pay(from, anybody(*to), 0),
            What::Call(to, argument) => call(anybody(*to), *argument),
            What::Use(tool, first, second) => {
                let first = if tool.takes_address() {
                    anybody(usize::try_from(*first).unwrap_or_default()).into_word().into()
                } else {
                    U256::from(*first)
                };
                let words = [first, U256::from(*second)].map(|word| word.to_be_bytes::<32>());
                Tx::call(from, tool.address()).data(words.concat())
            }
            What::Phoenix(Fate::Rises) => call(contract(PHOENIX / INITS), 1 << NEST),
            What::Phoenix(Fate::Paid | Fate::Counts) => call(phoenix(), 0),
            What::Create(kind) => Tx::create(from, init(*kind)),
            What::Authorize(permissions, to) if fork >= Fork::Prague => {
                let tx = call(anybody(*to), 3);
                permissions
                    .iter()
                    .fold(tx, |tx, permission| tx.authorize(permission.give(progress)))
            }
            What::Blob(to, count)
                if fork >= Fork::Cancun && progress.blobs + count <= MAX_BLOBS =>
            {
                progress.blobs += count;
                call(anybody(*to), 1).blobs(*count)
            }
            What::Authorize(_, to) | What::Blob(to, _) => call(anybody(*to), 2),
            What::Data(to, length, zero) => {
                Tx::call(from, anybody(*to)).data(vec![u8::from(!zero); *length])
            }
            What::Request => Tx::call(from, WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS).data(vec![1; 56]),
        }
    }
}

impl Permission {
    fn random(dice: &mut Dice) -> Self {
        let flaw = dice.once_in(8).then(|| dice.pick(&[Flaw::Nonce, Flaw::Chain]));
        Self { who: dice.index(PEOPLE), target: dice.index(ADDRESSES + 6), flaw }
    }

    fn give(self, progress: &mut Progress) -> SignedAuthorization {
        // The last few clear the delegation.
        let target = if self.target < ADDRESSES { anybody(self.target) } else { Address::ZERO };
        let (chain, wrong) = match self.flaw {
            None => (u64::from(self.target.is_multiple_of(2)), 0),
            Some(Flaw::Nonce) => (1, 1),
            Some(Flaw::Chain) => (7, 0),
        };
        let nonce = &mut progress.nonces[self.who % PEOPLE];
        let authorization = person(self.who).authorize_on(chain, target, *nonce + wrong);
        *nonce += u64::from(self.flaw.is_none());
        authorization
    }
}

fn what(dice: &mut Dice) -> What {
    let to = dice.index(ADDRESSES);
    match dice.weighted(&[8, 18, 8, 5, 2, 6, 2, 1, 1, 4]) {
        0 => What::Pay(to),
        1 => What::Call(dice.index(CONTRACTS), dice.below(8)),
        2 => What::Call(to, dice.below(8)),
        3 => {
            let tool = Tool::ALL[dice.index(TOOLS)];
            What::Use(tool, dice.below(ADDRESSES as u64), dice.below(8))
        }
        4 => What::Create(dice.index(INITS)),
        5 => {
            let permissions = dice.several(1, 4, Permission::random);
            // Half of the time the code that was just put there runs.
            let who = permissions.last().map_or(0, |last| last.who % PEOPLE);
            What::Authorize(permissions, if dice.once_in(2) { 8 + who } else { to })
        }
        6 => What::Blob(to, if dice.once_in(10) { 6 } else { 1 }),
        7 => What::Data(to, dice.index(3_000), dice.once_in(2)),
        8 => What::Request,
        _ => What::Phoenix(dice.pick(&[Fate::Paid, Fate::Rises, Fate::Counts])),
    }
}

/// Transactions that a little less happens in.
pub(crate) fn simpler(transaction: &Transaction) -> Vec<Transaction> {
    let plain = Transaction::plain(transaction.from, transaction.what.clone());
    let mut all = vec![
        plain.clone(),
        Transaction { value: 0, ..transaction.clone() },
        Transaction { tip: TIP, ..transaction.clone() },
        Transaction { gas: plain.gas, ..transaction.clone() },
        Transaction { style: plain.style, ..transaction.clone() },
        Transaction { wrong_nonce: None, ..transaction.clone() },
        Transaction { access: None, ..transaction.clone() },
    ];
    if let What::Authorize(permissions, to) = &transaction.what {
        for index in 0..permissions.len() {
            let mut fewer = permissions.clone();
            fewer.remove(index);
            let what =
                if fewer.is_empty() { What::Call(*to, 2) } else { What::Authorize(fewer, *to) };
            all.push(Transaction { what, ..transaction.clone() });
        }
    }
    all.retain(|simpler| simpler != transaction);
    all
}
