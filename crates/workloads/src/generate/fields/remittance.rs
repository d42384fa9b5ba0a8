//! A block of a remittance desk. Senders pay in for recipients, through agents of whom some are
//! popular, and recipients have paid out what was sent to them: mostly before the block, some in it.

use alloy_primitives::{Address, U256};

use crate::{
    Form,
    contracts::{Order, Remittance, RemittanceState},
    generate::Builder,
    random::Skewed,
};

#[derive(Clone, Copy, Debug)]
enum Kind {
    Send,
    PayOut,
}

/// What a transaction does, and how many in a hundred do so.
const SHARES: [(Kind, u64); 2] = [(Kind::Send, 60), (Kind::PayOut, 40)];

const AGENTS: usize = 200;
/// One in so many orders that are paid out was sent in this block.
const FRESH: u64 = 8;

impl Builder {
    pub(super) fn remittance(&mut self, form: Form, count: usize) {
        let agents = Skewed::new(AGENTS);
        let mut state = RemittanceState::new(form, self.registry, self.parent_time);
        let mut waiting: Vec<(U256, Address)> = Vec::with_capacity(count);
        for _ in 0..count {
            let order = self.order(&agents, count);
            waiting.push((state.add_order(order), order.recipient));
        }
        let mut ids = state.ids();
        let mut fresh = Vec::new();
        for _ in 0..count {
            match self.random.choose(&SHARES) {
                Kind::Send => {
                    let order = self.order(&agents, count);
                    state.add_user(order.sender);
                    fresh.push((ids.next(order.sender), order.recipient));
                    let Order { sender, recipient, agent, amount } = order;
                    let amount = amount.to();
                    self.call(sender, &Remittance::sendCall { recipient, agent, amount });
                }
                Kind::PayOut => {
                    let early = if self.random.below(FRESH) == 0 { fresh.pop() } else { None };
                    let (id, recipient) =
                        early.or_else(|| waiting.pop()).expect("there is one for each transaction");
                    self.call(recipient, &Remittance::payOutCall { id });
                }
            }
        }
        state.install(&mut self.state);
    }

    fn order(&mut self, agents: &Skewed, count: usize) -> Order {
        let agent = agents.draw(&mut self.random);
        Order {
            sender: self.any_user(count),
            recipient: self.any_user(count),
            agent: self.official(agent),
            amount: self.amount(),
        }
    }
}
