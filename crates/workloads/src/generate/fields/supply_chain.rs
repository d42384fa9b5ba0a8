//! A block of a registry of lots. Makers register lots, who holds one hands it over, inspectors record
//! what they found. Some lots are handed over and inspected again and again.

use alloy_primitives::{Address, U256};

use crate::{
    Form,
    contracts::{SupplyChain, SupplyChainState},
    generate::Builder,
    random::Skewed,
};

#[derive(Clone, Copy, Debug)]
enum Kind {
    Register,
    HandOver,
    Inspect,
}

/// What a transaction does, and how many in a hundred do so.
const SHARES: [(Kind, u64); 3] = [(Kind::Register, 35), (Kind::HandOver, 40), (Kind::Inspect, 25)];

/// One in so many lots that are handed over is any, those of this block included; the others are as
/// popular as those that are inspected.
const ANY: u64 = 2;
/// One in so many inspections is not passed.
const OBJECTIONS: u64 = 16;

/// The lots there are, and who holds each.
struct Goods {
    lots: Vec<(U256, Address)>,
    /// Of the lots from before the block.
    popularity: Skewed,
}

impl Builder {
    pub(super) fn supply_chain(&mut self, form: Form, count: usize) {
        let mut state = SupplyChainState::new(form, self.registry, self.parent_time);
        let mut goods = Goods { lots: Vec::new(), popularity: Skewed::new(count) };
        for _ in 0..count {
            let maker = self.any_user(count);
            goods.lots.push((state.add_lot(maker, self.document()), maker));
        }
        let mut ids = state.ids();
        for _ in 0..count {
            match self.random.choose(&SHARES) {
                Kind::Register => {
                    let maker = self.any_user(count);
                    goods.lots.push((ids.next(maker), maker));
                    let description = self.document();
                    self.call(maker, &SupplyChain::registerCall { description });
                }
                Kind::HandOver => {
                    let to = self.any_user(count);
                    self.hand_over(&mut goods, to);
                }
                Kind::Inspect => {
                    let inspector = self.random.index(1 + count / 16);
                    let inspector = self.official(inspector);
                    state.add_inspector(inspector);
                    self.inspect(&goods, inspector);
                }
            }
        }
        state.install(&mut self.state);
    }

    fn hand_over(&mut self, goods: &mut Goods, to: Address) {
        let any = self.random.below(ANY) == 0;
        let index = if any {
            self.random.index(goods.lots.len())
        } else {
            goods.popularity.draw(&mut self.random)
        };
        let (lot, custodian) = &mut goods.lots[index];
        let (lot, holder) = (*lot, std::mem::replace(custodian, to));
        let note = self.document();
        self.call(holder, &SupplyChain::handOverCall { lot, to, note });
    }

    fn inspect(&mut self, goods: &Goods, inspector: Address) {
        let (lot, _) = goods.lots[goods.popularity.draw(&mut self.random)];
        let passed = self.random.below(OBJECTIONS) > 0;
        let report = self.document();
        self.call(inspector, &SupplyChain::inspectCall { lot, passed, report });
    }
}
