//! A transaction followed through the code that it runs, by what the code says beforehand.
//!
//! The templates of the function that is called are filled in, and where it calls others, theirs, a few
//! calls deep. What another contract answers is not known beforehand, and so are words that depend on
//! it. They are filled in with two different values: what comes out the same with both does not depend
//! on them.

use std::rc::Rc;

use alloy_primitives::{Address, B256, U256};
use warpline_primitives::{Chance, Location, StateSource};

use super::{
    codes::Codes,
    pattern::{Load, address_of},
};
use crate::bytecode::{Access, BlockInputs, CallInput, CallKind, Inputs, Template};

/// How many calls deep code is followed, and how many of a transaction in all.
const MAX_DEPTH: usize = 5;
const MAX_FRAMES: usize = 48;
/// How many accesses and calls of a transaction are looked at: a loop of calls can repeat large code.
const MAX_SITES: usize = 8192;
/// How many words a call passes on that says nothing about them.
const UNKNOWN_WORDS: usize = 8;
/// Two words that have nothing in common with any other.
const UNKNOWN: [U256; 2] = [
    U256::from_limbs([0x9e37, 0x79b9, 0x7f4a, 0x7c15]),
    U256::from_limbs([0xbf58, 0x476d, 0x1ce4, 0xe5b9]),
];

/// A function of some code, wherever it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Running {
    pub(super) code_hash: B256,
    pub(super) selector: [u8; 4],
}

/// Something that running code may do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Act {
    pub(super) running: Running,
    /// How likely that runs at all.
    pub(super) frame: Chance,
    /// Which of the things it is that this code may do.
    pub(super) site: u32,
    /// Whether it does so on all its ways.
    pub(super) always: bool,
    pub(super) location: Location,
    pub(super) writes: bool,
}

/// Who is told what a transaction may do.
pub(super) trait Visit {
    /// A function runs.
    fn enter(&mut self, running: Running);
    /// It reads or writes a slot.
    fn touch(&mut self, act: Act);
    /// It calls the account of `act`. Returns how likely that is, if it is to be followed.
    fn call(&mut self, act: Act) -> Option<Chance>;
}

/// A call to follow.
#[derive(Clone, Debug)]
struct Frame {
    this: Address,
    code_at: Address,
    caller: Address,
    value: U256,
    /// The call data with either value for what is not known; one where everything is. Calls that pass it
    /// on share it.
    calldata: Rc<[Vec<u8>]>,
    chance: Chance,
    depth: usize,
}

/// The transaction, and what it runs on.
pub(super) struct Expansion<'e, S> {
    pub(super) codes: &'e Codes,
    pub(super) state: &'e S,
    pub(super) origin: Address,
    pub(super) block: BlockInputs,
}

impl<S: StateSource> Expansion<'_, S> {
    /// Follows a call of `recipient`.
    pub(super) fn follow(
        &self,
        recipient: Address,
        (value, calldata): (U256, &[u8]),
        load: &mut Load<'_>,
        visit: &mut impl Visit,
    ) {
        let first = Frame {
            this: recipient,
            code_at: recipient,
            caller: self.origin,
            value,
            calldata: Rc::new([calldata.to_vec()]),
            chance: Chance::CERTAIN,
            depth: 0,
        };
        let mut frames = vec![first];
        let mut followed = 0;
        let mut sites_left = MAX_SITES;
        while let Some(frame) = frames.pop().filter(|_| followed < MAX_FRAMES) {
            followed += 1;
            let Some(known) = self.codes.at(frame.code_at, self.state) else { continue };
            let mut selector = [0; 4];
            let length = frame.calldata[0].len().min(4);
            selector[..length].copy_from_slice(&frame.calldata[0][..length]);
            let Some(function) = known.contract.function_of(&frame.calldata[0]) else { continue };
            let running = Running { code_hash: known.code_hash, selector };
            visit.enter(running);
            let act = |site: usize, always, location, writes| Act {
                running,
                frame: frame.chance,
                site: u32::try_from(site).unwrap_or(u32::MAX),
                always,
                location,
                writes,
            };
            if let Some(delegate) = known.delegate {
                visit.call(act(usize::MAX, true, Location::Account(delegate), false));
            }
            let accesses = &function.accesses[..function.accesses.len().min(sites_left)];
            self.touch(&frame, accesses, load, |site, always, location, writes| {
                visit.touch(act(site, always, location, writes));
            });
            let sites = function.accesses.len();
            let calls = sites_left.saturating_sub(sites).min(function.calls.len());
            sites_left = sites_left.saturating_sub(sites + calls);
            for (site, call) in (sites..).zip(&function.calls[..calls]) {
                let Some(inner) = self.inner(&frame, call, load) else { continue };
                let account = Location::Account(inner.code_at);
                let pays = call.kind == CallKind::Call && !inner.value.is_zero();
                let Some(chance) = visit.call(act(site, call.always, account, pays)) else {
                    continue;
                };
                if inner.depth < MAX_DEPTH && followed + frames.len() < MAX_FRAMES {
                    frames.push(Frame { chance, ..inner });
                }
            }
        }
    }

    /// What `accesses` touch in `frame`.
    fn touch(
        &self,
        frame: &Frame,
        accesses: &[Access],
        load: &mut Load<'_>,
        mut touch: impl FnMut(usize, bool, Location, bool),
    ) {
        for (site, access) in accesses.iter().enumerate() {
            if let Some(slot) = self.fill(frame, &access.slot, load) {
                let location = Location::Slot(frame.this, slot);
                touch(site, access.always, location, access.is_write());
            }
        }
    }

    fn inputs<'f>(&self, frame: &'f Frame, calldata: &'f [u8]) -> Inputs<'f> {
        let Frame { this, caller, value, .. } = *frame;
        Inputs { this, caller, origin: self.origin, value, calldata, block: self.block }
    }

    /// What `template` is in `frame`, if that depends on nothing unknown.
    fn fill(&self, frame: &Frame, template: &Template, load: &mut Load<'_>) -> Option<U256> {
        let mut words = frame.calldata.iter().map(|calldata| {
            let mut load = |address, slot| load(address, slot);
            template.fill(&self.inputs(frame, calldata), &mut load)
        });
        let first = words.next()??;
        words.all(|word| word == Some(first)).then_some(first)
    }

    /// The frame of `call` in `frame`.
    fn inner(
        &self,
        frame: &Frame,
        call: &crate::bytecode::Call,
        load: &mut Load<'_>,
    ) -> Option<Frame> {
        let target = address_of(self.fill(frame, &call.target, load)? & (U256::MAX >> 96))?;
        let calldata = self.calldata(frame, &call.input, load);
        let value = self.fill(frame, &call.value, load).unwrap_or_default();
        let (chance, depth) = (frame.chance, frame.depth + 1);
        let calling = Frame {
            this: target,
            code_at: target,
            caller: frame.this,
            value,
            calldata,
            chance,
            depth,
        };
        Some(match call.kind {
            CallKind::Call | CallKind::StaticCall => calling,
            CallKind::CallCode => Frame { this: frame.this, ..calling },
            CallKind::DelegateCall => {
                Frame { this: frame.this, caller: frame.caller, value: frame.value, ..calling }
            }
        })
    }

    /// What a call passes on.
    fn calldata(&self, frame: &Frame, input: &CallInput, load: &mut Load<'_>) -> Rc<[Vec<u8>]> {
        match input {
            CallInput::Forwarded => Rc::clone(&frame.calldata),
            CallInput::Unknown { selector } => {
                let of = |unknown: U256| {
                    let words = std::iter::repeat_n(unknown.to_be_bytes::<32>(), UNKNOWN_WORDS);
                    let selector = selector.iter().flatten().copied();
                    selector.chain(words.flatten()).collect()
                };
                Rc::new(UNKNOWN.map(of))
            }
            CallInput::Words { selector, words, length } => {
                let words: Vec<_> = words.iter().map(|word| self.fill(frame, word, load)).collect();
                let of = |unknown: U256| {
                    let mut bytes: Vec<u8> = selector.iter().flatten().copied().collect();
                    for word in &words {
                        bytes.extend(word.unwrap_or(unknown).to_be_bytes::<32>());
                    }
                    let length = (*length as usize).min(bytes.len().max(1 << 16));
                    bytes.resize(length, 0);
                    bytes
                };
                let variants = if words.iter().all(Option::is_some) { 1 } else { 2 };
                UNKNOWN[..variants].iter().map(|unknown| of(*unknown)).collect()
            }
        }
    }
}
