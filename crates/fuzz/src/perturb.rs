//! Schedules that are disturbed on purpose, and an engine that is broken on purpose.

use std::error::Error;

use warpline_engine::{
    Engine, Strategy,
    testing::{Perturbation, Sabotage},
};
use warpline_testkit::Observed;

use crate::{
    check::{Check, Difference, Executed, Tally, same, same_steps},
    dice::block_seed,
};

impl Check<'_> {
    /// The engine, with its validation broken if that is what is wanted.
    pub(crate) fn tampered_with(&self, engine: &Engine) -> Engine {
        engine.perturbed(self.tampering(Perturbation::default()))
    }

    fn tampering(&self, perturbation: Perturbation) -> Perturbation {
        match self.effort.sabotage {
            None => perturbation,
            Some(0) => perturbation.sabotaged(Sabotage::SkipValidation),
            Some(every) => perturbation.sabotaged(Sabotage::TrustEvery(every)),
        }
    }

    /// Executes in parallel on schedules of other seeds each time.
    pub(crate) fn perturbed<E: Error>(
        &self,
        engine: &Engine,
        width: usize,
        (sequential, steps): (&Executed<E>, &Observed),
        tally: &mut Tally,
    ) -> Result<(), Difference> {
        for round in 0..self.effort.perturbed {
            let seed = block_seed(self.seed ^ width as u64, round);
            let way = format!("parallel on {width}, perturbed with seed {seed:#x}");
            let engine = engine.perturbed(self.tampering(Perturbation::seeded(seed)));
            // Being observed makes commits longer: both ways count.
            let strategy = Strategy::Parallel(width);
            if round % 2 == 0 {
                let found = self.execute(&engine, self.state, strategy);
                tally.add(same(sequential, found, &way)?.as_ref());
            } else {
                let (found, found_steps) = self.observed(&engine, self.state, strategy);
                tally.add(same(sequential, found, &way)?.as_ref());
                same_steps(sequential, steps, &found_steps, &way)?;
            }
        }
        Ok(())
    }
}
