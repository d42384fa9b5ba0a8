//! The registry of consents in either form: consents, and the log of them, put in place.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, U256};
use alloy_sol_types::sol;
use warpline_primitives::MemoryState;

use super::{Contract, number, packed};
use crate::{Field, Form, artifact, artifact::mapping_slot};

sol! {
    /// What the workloads call on a registry of consents.
    interface Consents {
        function grant(uint32 institution, uint16 purpose, uint40 end) external;
        function revoke(uint32 institution, uint16 purpose) external;
        function recordAccess(address patient, uint16 purpose, bytes32 request) external;
    }
}

/// That an institution may use a patient's records for a purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Consent {
    pub(crate) patient: Address,
    pub(crate) institution: u32,
    pub(crate) purpose: u16,
}

/// A registry to be put in place.
#[derive(Clone, Debug)]
pub(crate) struct ConsentState {
    /// Which contract it is.
    pub(crate) form: Form,
    /// Where it is.
    pub(crate) address: Address,
    /// When all consents were given, and until when, in seconds since 1970.
    pub(crate) times: [u64; 2],
    /// What is in force.
    pub(crate) consents: BTreeSet<Consent>,
    /// Who works for which institution.
    pub(crate) staff: BTreeMap<Address, u32>,
}

/// The number of the contract's `Action.Granted`.
const GRANTED: U256 = U256::ONE;

impl Consent {
    /// How the contract names institution and purpose in one.
    fn scope(self) -> U256 {
        U256::from(self.institution) << 16 | U256::from(self.purpose)
    }
}

impl ConsentState {
    /// Writes the registry into `state`. Each consent has one entry in the log.
    pub(crate) fn install(&self, state: &mut MemoryState) {
        let artifact = artifact::of(Field::Consent, self.form);
        let mut contract = Contract::place(artifact, self.address, state);
        for (person, institution) in &self.staff {
            let slot = contract.entry("staff", person.into_word());
            contract.set_slot(slot, U256::from(*institution));
        }
        match self.form {
            Form::Naive => self.install_naive(&mut contract),
            Form::Parallel => self.install_parallel(&mut contract),
        }
    }

    fn install_naive(&self, contract: &mut Contract<'_>) {
        let [from, until] = self.times.map(U256::from);
        let mut log = Vec::with_capacity(self.consents.len());
        let mut held: BTreeMap<u32, u64> = BTreeMap::new();
        for consent in &self.consents {
            let patient = number(consent.patient);
            let institution = U256::from(consent.institution);
            let first = packed([(patient, 160), (from, 40), (institution, 32), (GRANTED, 8)]);
            let second = packed([(patient, 160), (U256::from(consent.purpose), 16)]);
            log.push([first, second, U256::ZERO]);
            *held.entry(consent.institution).or_default() += 1;
            let scopes = contract.entry("until", consent.patient.into_word());
            contract.set_slot(mapping_slot(consent.scope(), scopes), until);
        }
        contract.set_array("log", &log);
        contract.set(&[("inForce", U256::from(self.consents.len()))]);
        for (institution, count) in held {
            let slot = contract.entry("held", U256::from(institution));
            contract.set_slot(slot, U256::from(count));
        }
    }

    fn install_parallel(&self, contract: &mut Contract<'_>) {
        let [from, until] = self.times.map(U256::from);
        let mut logs: BTreeMap<Address, Vec<[U256; 2]>> = BTreeMap::new();
        for consent in &self.consents {
            let entry = packed([
                (number(consent.patient), 160),
                (from, 40),
                (U256::from(consent.institution), 32),
                (U256::from(consent.purpose), 16),
                (GRANTED, 8),
            ]);
            logs.entry(consent.patient).or_default().push([entry, U256::ZERO]);
            let scopes = contract.entry("files", consent.patient.into_word()) + U256::from(2);
            contract.set_slot(mapping_slot(consent.scope(), scopes), until);
        }
        for (patient, log) in logs {
            let file = contract.entry("files", patient.into_word());
            let count = U256::from(log.len());
            contract.set_slot(file, packed([(count, 64), (count, 64)]));
            contract.set_log(file + U256::ONE, &log);
        }
    }
}
