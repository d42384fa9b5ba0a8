//! Leaving out parts of the parallel path, to measure what they give.

use std::fmt;

/// A part of the parallel path that does not decide about results, and can be left out to
/// [measure](crate::Engine::with_techniques) what it gives.
///
/// What remains without any is speculation in block order, one transaction at a time, and the
/// validation of each at its ordered commit. Some need others: there are no pauses without lines,
/// and less comes into doubt where balances conflict, for those who use them find out at their commit.
/// [`Early`](Self::Early) and [`Takeover`](Self::Takeover) only concern blocks of up to 512
/// transactions, of which it is known beforehand who waits for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Technique {
    /// Blocks that are guessed to gain nothing are executed sequentially.
    Width,
    /// Workers take several short transactions at once, and commit them together.
    Batches,
    /// A transaction waits for the last one that is certain to change its sender.
    Known,
    /// Payments to an account do not conflict with those who do not look at its balance.
    Balances,
    /// Calls of a function that keep conflicting are started one after the other.
    Lines,
    /// Where they come late to what they conflict over, they wait there instead.
    Pauses,
    /// What would end last begins before its turn.
    Early,
    /// Who has nothing to do takes over what others took and have not come to.
    Takeover,
    /// Executions whose reads changed are repeated before it is their turn to be committed.
    Doubts,
    /// Where hardly anything that is executed ahead lasts, one worker goes on alone for a while.
    Alone,
}

impl Technique {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Width,
        Self::Batches,
        Self::Known,
        Self::Balances,
        Self::Lines,
        Self::Pauses,
        Self::Early,
        Self::Takeover,
        Self::Doubts,
        Self::Alone,
    ];

    /// A word for it, as tables have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Width => "width",
            Self::Batches => "batches",
            Self::Known => "known",
            Self::Balances => "balances",
            Self::Lines => "lines",
            Self::Pauses => "pauses",
            Self::Early => "early",
            Self::Takeover => "takeover",
            Self::Doubts => "doubts",
            Self::Alone => "alone",
        }
    }

    /// What it is, in a sentence.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Width => "blocks that are guessed to gain nothing are executed sequentially",
            Self::Batches => "workers take several short transactions at once",
            Self::Known => "a transaction waits for the last one certain to change its sender",
            Self::Balances => "payments do not conflict with who does not look at the balance",
            Self::Lines => "calls that keep conflicting are started one after the other",
            Self::Pauses => "where they conflict late, they wait there instead",
            Self::Early => "what would end last begins before its turn",
            Self::Takeover => "idle workers take over what others have not come to",
            Self::Doubts => "executions whose reads changed are repeated before their turn",
            Self::Alone => "where hardly anything done ahead lasts, one worker goes on alone",
        }
    }
}

/// Which techniques the parallel path uses. Nothing of its results depends on it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Techniques(u16);

impl Default for Techniques {
    /// All of them.
    fn default() -> Self {
        Self((1 << Technique::ALL.len()) - 1)
    }
}

impl Techniques {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// These but for `technique`.
    pub const fn without(self, technique: Technique) -> Self {
        Self(self.0 & !(1 << technique as u16))
    }

    /// These and `technique`.
    pub const fn with(self, technique: Technique) -> Self {
        Self(self.0 | 1 << technique as u16)
    }

    /// Whether `technique` is among them.
    pub const fn has(self, technique: Technique) -> bool {
        self.0 >> technique as u16 & 1 == 1
    }
}

impl fmt::Debug for Techniques {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(Technique::ALL.iter().filter(|it| self.has(**it))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_can_be_left_out_alone_and_all_together() {
        for left_out in Technique::ALL {
            let techniques = Techniques::default().without(*left_out);
            for technique in Technique::ALL {
                assert_eq!(techniques.has(*technique), technique != left_out);
            }
        }
        let all = Technique::ALL.iter();
        let none = all.fold(Techniques::default(), |some, technique| some.without(*technique));
        assert_eq!(none, Techniques::NONE);
        let two = Techniques::NONE.with(Technique::Lines).with(Technique::Early);
        assert_eq!(format!("{two:?}"), "{Lines, Early}");
    }
}
