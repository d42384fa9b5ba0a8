//! What random contracts do.

use crate::{
    dice::Dice,
    world::{ADDRESSES, INITS, SALTS, usual_salt},
};

/// A statement. Whatever it finds out goes to a sink, so that a wrong read cannot stay unseen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Statement {
    Load(u64, Sink),
    /// Loads from the slot that another slot names.
    LoadAt(u64, Sink),
    /// Stores a constant.
    Store(u64, u64),
    /// Stores in a slot that another slot names.
    StoreAt(u64, u64),
    /// Adds to the caller's slot in a mapping.
    Map(u64, Sink),
    Ask(Question, usize, Sink),
    SelfBalance(Sink),
    Coinbase(Sink),
    Gas(Sink),
    BlockHash(u64, Sink),
    Argument(u64, Sink),
    Call(Call, Sink),
    /// Calls the contract whose number is in a slot.
    CallAt(Kind, u64, Sink),
    Create(usize, u64, Sink),
    Create2(usize, u64, u64, Sink),
    TransientLoad(u64, Sink),
    TransientStore(u64, u64),
    Log,
    Spin(u64),
    /// Spins as often as a slot says.
    SpinSlot(u64),
    /// Reads memory as far out as a slot says: whatever it says, or the last bits of it.
    Grow(u64, bool, Sink),
    If(Condition, Vec<Self>),
    SelfDestruct(usize),
    Revert,
    Invalid,
    Stop,
}

/// Where a value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sink {
    /// It is added to a slot.
    Slot(u64),
    /// It is folded into the word that is logged at the end.
    Word,
}

/// What can be asked of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    Balance,
    CodeSize,
    CodeHash,
    /// Its first bytes.
    Code,
}

/// A call with the own first word of call data as data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) kind: Kind,
    pub(crate) who: usize,
    pub(crate) value: u64,
    /// With so much gas rather than with most of what there is.
    pub(crate) gas: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Call,
    CallCode,
    Delegate,
    Static,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// The slot's value is odd.
    Odd(u64),
    /// The argument has this bit.
    Argument(u64),
    /// Wei came along.
    Paid,
    /// The account has a balance.
    Rich(usize),
}

const SLOTS: u64 = 4;

/// A short program.
pub(crate) fn program(dice: &mut Dice) -> Vec<Statement> {
    dice.several(0, 8, |dice| match dice.weighted(&[12, 4, 1]) {
        0 => plain(dice),
        1 => {
            let condition = condition(dice);
            let body =
                dice.several(1, 4, |dice| if dice.once_in(4) { end(dice) } else { plain(dice) });
            Statement::If(condition, body)
        }
        _ => end(dice),
    })
}

fn plain(dice: &mut Dice) -> Statement {
    use Statement::*;
    const WEIGHTS: [u64; 21] = [8, 2, 5, 2, 2, 7, 1, 1, 1, 1, 2, 8, 2, 1, 4, 1, 1, 1, 2, 1, 1];
    let slot = dice.below(SLOTS);
    let who = dice.index(ADDRESSES);
    let to = sink(dice);
    let wei = if dice.once_in(3) { 1 + dice.below(3) } else { 0 };
    match dice.weighted(&WEIGHTS) {
        0 => Load(slot, to),
        1 => LoadAt(slot, to),
        2 => Store(slot, dice.below(4)),
        3 => StoreAt(slot, dice.below(4)),
        4 => Map(1 + dice.below(3), to),
        5 => {
            let question = dice.pick(&[
                Question::Balance,
                Question::CodeSize,
                Question::CodeHash,
                Question::Code,
            ]);
            Ask(question, who, to)
        }
        6 => SelfBalance(to),
        7 => Coinbase(to),
        8 => Gas(to),
        9 => BlockHash(dice.below(4), to),
        10 => Argument(dice.below(3), to),
        11 => {
            let kind = kind(dice);
            let gas = dice.once_in(8).then(|| 700 + dice.below(40_000));
            Call(self::Call { kind, who, value: wei, gas }, to)
        }
        12 => CallAt(kind(dice), slot, to),
        13 => Create(dice.index(INITS), wei, to),
        14 => {
            let init = dice.index(INITS);
            let salt = if dice.once_in(5) { dice.below(SALTS) } else { usual_salt(init) };
            Create2(init, wei, salt, to)
        }
        15 => TransientLoad(dice.below(2), to),
        16 => TransientStore(dice.below(2), dice.below(4)),
        17 => Log,
        18 => Spin(dice.below(400)),
        19 => SpinSlot(slot),
        _ => Grow(slot, dice.once_in(3), to),
    }
}

fn end(dice: &mut Dice) -> Statement {
    match dice.weighted(&[3, 1, 1, 1]) {
        0 => Statement::SelfDestruct(dice.index(ADDRESSES)),
        1 => Statement::Revert,
        2 => Statement::Invalid,
        _ => Statement::Stop,
    }
}

fn sink(dice: &mut Dice) -> Sink {
    if dice.weighted(&[2, 3]) == 0 { Sink::Slot(dice.below(SLOTS)) } else { Sink::Word }
}

fn kind(dice: &mut Dice) -> Kind {
    match dice.weighted(&[9, 1, 1, 1]) {
        0 => Kind::Call,
        1 => Kind::CallCode,
        2 => Kind::Delegate,
        _ => Kind::Static,
    }
}

fn condition(dice: &mut Dice) -> Condition {
    match dice.weighted(&[3, 3, 1, 1]) {
        0 => Condition::Odd(dice.below(SLOTS)),
        1 => Condition::Argument(dice.below(3)),
        2 => Condition::Paid,
        _ => Condition::Rich(dice.index(ADDRESSES)),
    }
}

/// Programs that are a little less than this one: without a statement, or with what was
/// conditional made unconditional.
pub(crate) fn smaller(program: &[Statement]) -> Vec<Vec<Statement>> {
    let mut all = Vec::new();
    for (index, statement) in program.iter().enumerate() {
        let with = |instead: Vec<Statement>| {
            let (before, after) = (&program[..index], &program[index + 1..]);
            [before, &instead, after].concat()
        };
        all.push(with(Vec::new()));
        if let Statement::If(condition, body) = statement {
            all.push(with(body.clone()));
            let inner = smaller(body).into_iter();
            all.extend(inner.map(|body| with(vec![Statement::If(*condition, body)])));
        }
    }
    all
}
