//! Transactions in a row whose conflicts have a shape.

use crate::{
    dice::Dice,
    tools::Tool,
    transaction::{Fate, Permission, Transaction, What},
    world::{ADDRESSES, RICH},
};

/// The first of the people among [`anybody`](crate::world::anybody).
const PEOPLE_FROM: usize = 8;

/// As many transactions as fit a block along with others.
pub(crate) fn shape(dice: &mut Dice) -> Vec<Transaction> {
    let count = dice.between(4, 24);
    let hot = dice.index(ADDRESSES);
    let shape = dice.index(14);
    let mut cell = 0;
    (0..count)
        .map(|index| {
            let from = dice.index(RICH);
            let slot = index as u64 % 8;
            match shape {
                // One sender.
                0 => with(Transaction::plain(hot % RICH, What::Pay(dice.index(ADDRESSES))), 1),
                // Each pays the sender of the next.
                1 => {
                    let next = PEOPLE_FROM + (index + 1) % RICH;
                    with(Transaction::plain(index % RICH, What::Pay(next)), 1_000)
                }
                // Each reads what the one before wrote.
                2 => uses(from, Tool::Copier, slot, (slot + 1) % 8),
                // One writes what all read.
                3 if index == 0 => uses(from, Tool::Copier, 1, 0),
                3 => uses(from, Tool::Copier, 0, 1 + index as u64),
                // All read what all write.
                4 => uses(from, Tool::Adder, slot, 0),
                // Two hot slots take turns.
                5 => uses(from, Tool::Copier, slot % 2, slot % 2),
                // One balance is paid to, and looked at.
                6 if dice.once_in(3) => uses(from, Tool::Payer, hot as u64, 0),
                6 => with(Transaction::plain(from, What::Pay(hot)), 1 + slot),
                // Each finds what the one before put there, unless it is late.
                7 => {
                    cell += 1;
                    let late = u64::from(dice.once_in(6));
                    uses(from, Tool::CompareAndSet, cell - late, cell + 1)
                }
                // Everybody's tokens go to one.
                8 if dice.once_in(4) => {
                    let to = (PEOPLE_FROM + dice.index(RICH)) as u64;
                    uses(from, Tool::Token, to, dice.below(200))
                }
                8 => uses(from, Tool::Token, (PEOPLE_FROM + hot % RICH) as u64, 1 + slot),
                // A bound that is far too large until the first one sets it.
                9 if index == 0 || dice.once_in(5) => uses(from, Tool::Loop, 1 + slot, 0),
                9 => uses(from, Tool::Loop, 0, 0),
                10 if index == 0 || dice.once_in(5) => uses(from, Tool::Pointer, 32 * slot + 1, 0),
                10 => uses(from, Tool::Pointer, 0, 0),
                // Few people delegate, again and again, send, and are called.
                11 | 12 => delegation(dice, hot),
                // One address is paid, dies, rises, is paid.
                _ => {
                    let fate = dice.pick(&[Fate::Paid, Fate::Rises, Fate::Counts]);
                    Transaction::plain(from, What::Phoenix(fate))
                }
            }
        })
        .collect()
}

/// Something about one of three people: an authorization or several, at times by the sender, a call
/// of what that put there, or a transaction of its own.
fn delegation(dice: &mut Dice, hot: usize) -> Transaction {
    let who = |dice: &mut Dice| (hot + dice.index(3)) % RICH;
    let (subject, other) = (who(dice), dice.index(RICH));
    match dice.index(5) {
        0 | 1 => {
            let permissions = dice.several(1, 4, |dice| Permission {
                who: who(dice),
                target: if dice.once_in(3) {
                    PEOPLE_FROM + who(dice)
                } else {
                    dice.index(ADDRESSES + 4)
                },
                flaw: None,
            });
            let from = if dice.once_in(2) { permissions[0].who } else { other };
            Transaction::plain(from, What::Authorize(permissions, PEOPLE_FROM + subject))
        }
        2 => Transaction::plain(subject, What::Pay(PEOPLE_FROM + other)),
        3 => with(Transaction::plain(other, What::Pay(PEOPLE_FROM + subject)), 1),
        _ => Transaction::plain(other, What::Call(PEOPLE_FROM + subject, dice.below(8))),
    }
}

/// Both lists in one, each in its order: one after the other, or mixed.
pub(crate) fn merge(
    dice: &mut Dice,
    first: Vec<Transaction>,
    second: Vec<Transaction>,
) -> Vec<Transaction> {
    if dice.once_in(2) {
        return [first, second].concat();
    }
    let (mut first, mut second) = (first.into_iter().peekable(), second.into_iter().peekable());
    let mut merged = Vec::new();
    while first.peek().is_some() && second.peek().is_some() {
        merged.extend(if dice.once_in(2) { first.next() } else { second.next() });
    }
    merged.extend(first);
    merged.extend(second);
    merged
}

const fn uses(from: usize, tool: Tool, first: u64, second: u64) -> Transaction {
    Transaction::plain(from, What::Use(tool, first, second))
}

fn with(transaction: Transaction, value: u64) -> Transaction {
    Transaction { value, ..transaction }
}
