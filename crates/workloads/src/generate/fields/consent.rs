//! A block of a registry of consents. Patients give consents and take them back, and the staff of a
//! few institutions record what they look at: much of it in the files of a few patients.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, aliases::U40};

use crate::{
    Form,
    contracts::{Consent, ConsentState, Consents},
    generate::Builder,
    random::Skewed,
};

#[derive(Clone, Copy, Debug)]
enum Kind {
    Grant,
    Revoke,
    Access,
}

/// What a transaction does, and how many in a hundred do so.
const SHARES: [(Kind, u64); 3] = [(Kind::Grant, 35), (Kind::Revoke, 15), (Kind::Access, 50)];

const INSTITUTIONS: usize = 40;
const PURPOSES: u64 = 6;
/// How long a consent lasts, in seconds: a year.
const DURATION: u64 = 31_536_000;

/// Who there is, and what is in force.
struct Ward {
    institutions: Skewed,
    patients: Skewed,
    staff: Vec<(Address, u32)>,
    /// What was in force before the block.
    before: BTreeSet<Consent>,
    /// Whether it is now, of what the block is about.
    now: BTreeMap<Consent, bool>,
    until: u64,
}

impl Builder {
    pub(super) fn consent(&mut self, form: Form, count: usize) {
        let mut ward = self.ward(count);
        for _ in 0..count {
            let kind = self.random.choose(&SHARES);
            self.visit(&mut ward, kind, count);
        }
        let state = ConsentState {
            form,
            address: self.registry,
            times: [self.parent_time, ward.until],
            consents: ward.before,
            staff: ward.staff.into_iter().collect(),
        };
        state.install(&mut self.state);
    }

    fn ward(&mut self, count: usize) -> Ward {
        let institutions = Skewed::new(INSTITUTIONS);
        let person = |builder: &mut Self, index| {
            let institution = institutions.draw(&mut builder.random);
            (builder.official(index), institution_number(institution))
        };
        let staff = (0..=count / 4).map(|index| person(self, index)).collect();
        Ward {
            patients: Skewed::new(2 * count),
            staff,
            institutions,
            before: BTreeSet::new(),
            now: BTreeMap::new(),
            until: self.parent_time + DURATION,
        }
    }

    /// What needs a consent finds one, from this block or from before; and if it was taken back, the
    /// patient gives it again instead.
    fn visit(&mut self, ward: &mut Ward, kind: Kind, count: usize) {
        let purpose = u16::try_from(1 + self.random.below(PURPOSES)).expect("it is small");
        let (person, patient, institution) = match kind {
            Kind::Grant | Kind::Revoke => {
                let institution = ward.institutions.draw(&mut self.random);
                let patient = self.any_user(count);
                (patient, patient, institution_number(institution))
            }
            Kind::Access => {
                let (person, institution) = ward.staff[self.random.index(ward.staff.len())];
                let patient = ward.patients.draw(&mut self.random);
                (person, self.sender(patient), institution)
            }
        };
        let consent = Consent { patient, institution, purpose };
        let wanted = !matches!(kind, Kind::Grant);
        let in_force = *ward.now.entry(consent).or_insert_with(|| {
            if wanted {
                ward.before.insert(consent);
            }
            wanted
        });
        let request = self.document();
        match kind {
            Kind::Revoke if in_force => {
                ward.now.insert(consent, false);
                self.call(patient, &Consents::revokeCall { institution, purpose });
            }
            Kind::Access if in_force => {
                self.call(person, &Consents::recordAccessCall { patient, purpose, request });
            }
            _ => {
                ward.now.insert(consent, true);
                let end = U40::from(ward.until);
                self.call(patient, &Consents::grantCall { institution, purpose, end });
            }
        }
    }
}

/// Institutions are numbered from 1: zero is nobody's.
fn institution_number(index: usize) -> u32 {
    u32::try_from(index + 1).expect("there are few")
}
