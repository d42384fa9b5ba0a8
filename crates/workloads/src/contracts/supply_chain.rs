//! The registry of lots in either form: lots and what is known of them put in place.

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::sol;
use warpline_primitives::MemoryState;

use super::{Contract, Ids, number, packed};
use crate::{Field, Form, artifact};

sol! {
    /// What the workloads call on a registry of lots.
    interface SupplyChain {
        function register(bytes32 description) external returns (uint256 lot);
        function handOver(uint256 lot, address to, bytes32 note) external;
        function inspect(uint256 lot, bool passed, bytes32 report) external;
    }
}

/// A registry to be put in place.
#[derive(Clone, Debug)]
pub(crate) struct SupplyChainState {
    form: Form,
    address: Address,
    /// When everything was registered, in seconds since 1970.
    time: u64,
    ids: Ids,
    lots: Vec<Lot>,
    inspectors: BTreeSet<Address>,
}

#[derive(Clone, Copy, Debug)]
struct Lot {
    id: U256,
    maker: Address,
    description: B256,
}

/// The number of the contract's `Action.Registered`.
const REGISTERED: U256 = U256::ONE;

impl SupplyChainState {
    /// A registry without lots.
    pub(crate) const fn new(form: Form, address: Address, time: u64) -> Self {
        Self {
            form,
            address,
            time,
            ids: Ids::new(form),
            lots: Vec::new(),
            inspectors: BTreeSet::new(),
        }
    }

    /// Registers a lot, and returns its id.
    pub(crate) fn add_lot(&mut self, maker: Address, description: B256) -> U256 {
        let id = self.ids.next(maker);
        self.lots.push(Lot { id, maker, description });
        id
    }

    /// Lets `inspector` record findings.
    pub(crate) fn add_inspector(&mut self, inspector: Address) {
        self.inspectors.insert(inspector);
    }

    /// The ids handed out so far, to be continued.
    pub(crate) fn ids(&self) -> Ids {
        self.ids.clone()
    }

    /// Writes the registry into `state`. Each lot is with its maker, and has one entry in the log.
    pub(crate) fn install(&self, state: &mut MemoryState) {
        let artifact = artifact::of(Field::SupplyChain, self.form);
        let mut contract = Contract::place(artifact, self.address, state);
        for inspector in &self.inspectors {
            contract.set_slot(contract.entry("inspectors", inspector.into_word()), U256::ONE);
        }
        match self.form {
            Form::Naive => self.install_naive(&mut contract),
            Form::Parallel => self.install_parallel(&mut contract),
        }
    }

    fn install_naive(&self, contract: &mut Contract<'_>) {
        contract.set(&[("nextLot", self.ids.count() + U256::ONE)]);
        let mut log = Vec::with_capacity(self.lots.len());
        for lot in &self.lots {
            contract.set_slot(contract.entry("lots", lot.id), number(lot.maker));
            let time = U256::from(self.time);
            let first =
                packed([(number(lot.maker), 160), (lot.id, 40), (time, 40), (REGISTERED, 8)]);
            log.push([first, lot.description.into()]);
        }
        contract.set_array("log", &log);
    }

    fn install_parallel(&self, contract: &mut Contract<'_>) {
        for lot in &self.lots {
            let start = contract.entry("lots", lot.id);
            let word = packed([(number(lot.maker), 160), (U256::ZERO, 32), (U256::ONE, 40)]);
            contract.set_slot(start, word);
            let time = U256::from(self.time);
            let first = packed([(number(lot.maker), 160), (time, 40), (REGISTERED, 8)]);
            contract.set_log(start + U256::ONE, &[[first, lot.description.into()]]);
            let registered = contract.entry("registered", lot.maker.into_word());
            contract.set_slot(registered, self.ids.given_to(lot.maker));
        }
    }
}
