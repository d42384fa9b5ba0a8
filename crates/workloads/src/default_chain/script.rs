//! What happens in the default blocks, block by block.

use alloy_primitives::{Bytes, TxKind, U256};
use warpline_primitives::MemoryState;

use super::cast::{Body, Mix, PEOPLE, Script};
use crate::{
    contracts::{approve_input, token_creation, trade_input, transfer_input},
    generate::{TOKEN_GAS_LIMIT, TRADE_GAS_LIMIT},
    genesis::ether,
    transaction::Call,
};

/// A time that no block here reaches, and one before all of them, in seconds since 1970.
pub(super) const DISTANT_FUTURE: u64 = u32::MAX as u64;
const LONG_AGO: u64 = 1_438_269_988;

/// The first state and the bodies of the blocks after it.
pub(super) fn write(chain_id: u64) -> (MemoryState, Vec<Body>) {
    let mut script = Script::new(chain_id);
    let state = script.first_state();
    let bodies = vec![
        script.payday(),
        script.market_day(),
        script.trading(),
        script.launches(),
        script.mishaps(),
        script.everything(),
    ];
    (state, bodies)
}

impl Script {
    /// Plain payments, and money that is passed on in the same block it arrived in.
    fn payday(&mut self) -> Body {
        self.mix(Mix { payments: 40, transfers: 8, trades: 2, mints: 2 });
        self.pass_on();
        self.end_block(&[])
    }

    /// Mostly tokens, and approvals.
    fn market_day(&mut self) -> Body {
        self.mix(Mix { payments: 6, transfers: 40, trades: 4, mints: 0 });
        for person in 0..6 {
            let input = approve_input(self.pools[1], ether(5_000));
            self.send(person, Call::contract(self.tokens[3], input, TOKEN_GAS_LIMIT));
        }
        self.end_block(&[])
    }

    /// Mostly swaps, which brings the block above its gas target.
    fn trading(&mut self) -> Body {
        self.mix(Mix { payments: 6, transfers: 6, trades: 42, mints: 4 });
        self.end_block(&[(7, 32), (8, 16)])
    }

    /// New tokens, spread by their creators in the block they were deployed in, and a rush for
    /// collectibles.
    fn launches(&mut self) -> Body {
        self.mix(Mix { payments: 4, transfers: 4, trades: 4, mints: 24 });
        for (creator, name) in [(3, "Cobalt"), (9, "Garnet"), (21, "Pewter")] {
            let token = self.people[creator].address.create(self.nonces[creator]);
            let input = token_creation(name, ether(1_000_000));
            let to = TxKind::Create;
            self.send(creator, Call { to, value: U256::ZERO, input, gas_limit: 1_500_000 });
            for receiver in 0..4 {
                let receiver = self.people[(creator + 1 + receiver) % PEOPLE].address;
                let input = transfer_input(receiver, ether(10));
                self.send(creator, Call::contract(token, input, TOKEN_GAS_LIMIT));
            }
        }
        self.end_block(&[])
    }

    /// Transactions that fail, between others that do not: too large an amount, too little gas,
    /// too late, and a deployment of code that gives up.
    fn mishaps(&mut self) -> Body {
        self.mix(Mix { payments: 10, transfers: 10, trades: 8, mints: 4 });
        let overdraft = transfer_input(self.people[1].address, U256::MAX);
        self.send(0, Call::contract(self.tokens[0], overdraft, TOKEN_GAS_LIMIT));
        let trader = self.people[2].address;
        let trade = |deadline| trade_input(self.tokens[0], ether(1), trader, deadline);
        let (starved, late) = (trade(DISTANT_FUTURE), trade(LONG_AGO));
        self.send(2, Call::contract(self.pools[0], starved, 60_000));
        self.send(2, Call::contract(self.pools[0], late, TRADE_GAS_LIMIT));
        // PUSH0 PUSH0 REVERT
        let input = Bytes::from_static(&[0x5f, 0x5f, 0xfd]);
        let creation = Call { to: TxKind::Create, value: U256::ZERO, input, gas_limit: 100_000 };
        self.send(5, creation);
        self.mix(Mix { payments: 8, transfers: 8, trades: 4, mints: 2 });
        self.end_block(&[])
    }

    /// A bit of everything, and the newer types of transaction.
    fn everything(&mut self) -> Body {
        self.mix(Mix { payments: 10, transfers: 12, trades: 8, mints: 4 });
        self.delegate(11, 12);
        self.post_blobs(13);
        self.request_withdrawal(14);
        self.mix(Mix { payments: 8, transfers: 10, trades: 6, mints: 2 });
        self.end_block(&[(9, 64)])
    }
}
