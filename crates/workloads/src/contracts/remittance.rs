//! The remittance desk in either form: orders that wait to be paid out, and balances, put in place.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, U256};
use alloy_sol_types::sol;
use warpline_primitives::MemoryState;

use super::{Contract, Ids, SHARDS, number, packed, shard_of, use_up};
use crate::{Field, Form, artifact, genesis::ether};

sol! {
    /// What the workloads call on a desk.
    interface Remittance {
        function send(address recipient, address agent, uint88 amount) external returns (uint256 id);
        function payOut(uint256 id) external;
    }
}

/// What is sent, to whom and through whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) sender: Address,
    pub(crate) recipient: Address,
    pub(crate) agent: Address,
    pub(crate) amount: U256,
}

/// A desk to be put in place.
#[derive(Clone, Debug)]
pub(crate) struct RemittanceState {
    form: Form,
    address: Address,
    /// The day of the orders, counted from 1970.
    day: u64,
    ids: Ids,
    orders: Vec<(U256, Order)>,
    users: BTreeSet<Address>,
}

/// What each user has with the desk.
const BALANCE: U256 = ether(1_000);
/// A shard's part of the daily limit, 10^27.
const QUOTA: u128 = 1_000_000_000_000_000_000_000_000_000 / SHARDS as u128;

impl RemittanceState {
    /// A desk without orders.
    pub(crate) const fn new(form: Form, address: Address, time: u64) -> Self {
        Self {
            form,
            address,
            day: time / 86_400,
            ids: Ids::new(form),
            orders: Vec::new(),
            users: BTreeSet::new(),
        }
    }

    /// Adds an order that was sent today and waits, and returns its id.
    pub(crate) fn add_order(&mut self, order: Order) -> U256 {
        let id = self.ids.next(order.sender);
        self.orders.push((id, order));
        self.users.insert(order.sender);
        id
    }

    /// Gives `user` a balance.
    pub(crate) fn add_user(&mut self, user: Address) {
        self.users.insert(user);
    }

    /// The ids handed out so far, to be continued.
    pub(crate) fn ids(&self) -> Ids {
        self.ids.clone()
    }

    /// Writes the desk into `state`. Some quotas of the day are used up, by orders that were paid out.
    pub(crate) fn install(&self, state: &mut MemoryState) {
        let artifact = artifact::of(Field::Remittance, self.form);
        let mut contract = Contract::place(artifact, self.address, state);
        let mut takings: BTreeMap<Address, [U256; 2]> = BTreeMap::new();
        let mut sent = [U256::ZERO; SHARDS];
        for (id, order) in &self.orders {
            let word = packed([(number(order.recipient), 160), (order.amount, 88)]);
            contract.set_words(contract.entry("orders", *id), &[word, number(order.agent)]);
            let fee = order.amount / U256::from(100);
            let commission = fee / U256::from(2);
            let [agent, desk] = takings.entry(order.agent).or_default();
            *agent += commission;
            *desk += fee - commission;
            sent[shard_of(order.sender)] += order.amount;
        }
        use_up(&mut sent);
        for sent in sent.iter_mut().step_by(16) {
            *sent = U256::from(QUOTA);
        }
        match self.form {
            Form::Naive => self.install_naive(&mut contract, &sent, &takings),
            Form::Parallel => self.install_parallel(&mut contract, &sent, &takings),
        }
    }

    fn install_naive(
        &self,
        contract: &mut Contract<'_>,
        sent: &[U256; SHARDS],
        takings: &BTreeMap<Address, [U256; 2]>,
    ) {
        contract.set(&[
            ("sequence", self.ids.count() + U256::ONE),
            ("day", U256::from(self.day)),
            ("sent", sent.iter().copied().sum()),
            ("earned", takings.values().map(|[_, desk]| *desk).sum()),
            ("owed", self.orders.iter().map(|(_, order)| order.amount).sum()),
        ]);
        for user in &self.users {
            contract.set_slot(contract.entry("balances", user.into_word()), BALANCE);
        }
        for (agent, [commissions, _]) in takings {
            contract.set_slot(contract.entry("balances", agent.into_word()), *commissions);
        }
    }

    fn install_parallel(
        &self,
        contract: &mut Contract<'_>,
        sent: &[U256; SHARDS],
        takings: &BTreeMap<Address, [U256; 2]>,
    ) {
        let quotas = sent.map(|sent| packed([(U256::from(self.day), 32), (sent, 128)]));
        contract.set_words(contract.artifact.slot("quotas"), &quotas);
        for user in &self.users {
            let word = packed([(BALANCE, 192), (self.ids.given_to(*user), 64)]);
            contract.set_slot(contract.entry("accounts", user.into_word()), word);
        }
        for (agent, halves) in takings {
            let word = packed(halves.map(|half| (half, 128)));
            contract.set_slot(contract.entry("takings", agent.into_word()), word);
        }
    }
}
