//! The blocks of the fields: what users do with a contract, in whichever form it is written.
//!
//! Nothing that is drawn here depends on the form. So the same users make the same calls in the same
//! order, and what differs between the two blocks of a field is the contract alone, and with it the
//! ids that it hands out.
//!
//! Most transactions come from different users. What they share is what such users share: a popular
//! seller, a lot that many inspect, a patient with many visits, an agent whom many send through.

use alloy_primitives::{Address, B256};
use alloy_sol_types::SolCall;

use super::Builder;
use crate::{
    Field, Form,
    random::{Role, labelled},
    transaction::Call,
};

mod consent;
mod game;
mod lending;
mod remittance;
mod supply_chain;

/// More than any call here uses; unused gas is not charged.
const GAS_LIMIT: u64 = 400_000;

impl Builder {
    pub(super) fn field(&mut self, field: Field, form: Form, count: usize) {
        // Another place for each contract, for a report on several of these blocks to tell them apart.
        let index = field as usize * Form::ALL.len() + form as usize;
        self.registry = self.addresses.get(Role::Registry, index);
        match field {
            Field::Lending => self.lending(form, count),
            Field::Game => self.game(form, count),
            Field::SupplyChain => self.supply_chain(form, count),
            Field::Consent => self.consent(form, count),
            Field::Remittance => self.remittance(form, count),
        }
    }

    /// Anybody of twice as many users as there are transactions: three in four then send only one.
    fn any_user(&mut self, count: usize) -> Address {
        let index = self.random.index(2 * count);
        self.sender(index)
    }

    /// Somebody who acts for an institution, or between users.
    fn official(&self, index: usize) -> Address {
        self.addresses.get(Role::Official, index)
    }

    /// The hash of a document that is kept elsewhere.
    fn document(&mut self) -> B256 {
        labelled("document", self.random.next())
    }

    /// Appends a call of the field's contract.
    fn call(&mut self, sender: Address, function: &impl SolCall) {
        let call = Call::function(self.registry, function, GAS_LIMIT);
        self.send(sender, call);
    }
}
