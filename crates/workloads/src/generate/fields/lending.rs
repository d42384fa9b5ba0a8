//! A block of a money market. First somebody has the interest added, then users lend, take back, borrow
//! and repay small amounts.

use std::collections::BTreeSet;

use crate::{
    Form,
    contracts::{Lending, LendingState},
    generate::Builder,
};

#[derive(Clone, Copy, Debug)]
enum Kind {
    Deposit,
    Withdraw,
    Borrow,
    Repay,
}

/// What a transaction does, and how many in a hundred do so.
const SHARES: [(Kind, u64); 4] =
    [(Kind::Deposit, 30), (Kind::Withdraw, 20), (Kind::Borrow, 25), (Kind::Repay, 25)];

/// How long before the block the interest was added last, in seconds: long enough to add it again.
const SINCE: u64 = 3_600;

impl Builder {
    pub(super) fn lending(&mut self, form: Form, count: usize) {
        let mut users = BTreeSet::new();
        let keeper = self.recipient(0);
        self.call(keeper, &Lending::accrueCall {});
        for _ in 1..count {
            let user = self.any_user(count);
            users.insert(user);
            let amount = self.amount().to();
            match self.random.choose(&SHARES) {
                Kind::Deposit => self.call(user, &Lending::depositCall { amount }),
                Kind::Withdraw => self.call(user, &Lending::withdrawCall { amount }),
                Kind::Borrow => self.call(user, &Lending::borrowCall { amount }),
                Kind::Repay => self.call(user, &Lending::repayCall { amount }),
            }
        }
        let (address, updated_at) = (self.registry, self.parent_time - SINCE);
        LendingState { form, address, updated_at, users }.install(&mut self.state);
    }
}
