//! Power fails at any write or sync: the database opens, its head is a block that was committed, no
//! older than the last one that was acknowledged as durable, and everything fits together.
//!
//! The file is a list of what was done to it. A crash keeps everything up to some sync, and of what
//! came after it each sector, and each change of length, or not.

use std::{
    io,
    sync::{Arc, Mutex},
};

use crate::common::{Change, Step, append_after, assert_state, genesis, step};
use rand::{Rng, SeedableRng, rngs::StdRng};
use redb::StorageBackend;
use warpline_storage::{Database, Durability};

/// What a disk writes at once.
const SECTOR: usize = 512;

/// Something done to the file.
#[derive(Clone, Debug)]
enum Event {
    Write(usize, Vec<u8>),
    Length(usize),
    Sync,
}

#[derive(Debug, Default)]
struct Disk {
    bytes: Vec<u8>,
    events: Vec<Event>,
}

/// A file in memory that remembers what was done to it.
#[derive(Clone, Debug, Default)]
struct Recording(Arc<Mutex<Disk>>);

impl Recording {
    fn holding(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(Disk { bytes, events: Vec::new() })))
    }

    fn events(&self) -> usize {
        self.0.lock().unwrap().events.len()
    }
}

impl StorageBackend for Recording {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.0.lock().unwrap().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let disk = self.0.lock().unwrap();
        let from = usize::try_from(offset).unwrap();
        let bytes = disk.bytes.get(from..from + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        let mut disk = self.0.lock().unwrap();
        let len = usize::try_from(len).unwrap();
        disk.bytes.resize(len, 0);
        disk.events.push(Event::Length(len));
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.0.lock().unwrap().events.push(Event::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let mut disk = self.0.lock().unwrap();
        let from = usize::try_from(offset).unwrap();
        disk.bytes.get_mut(from..from + data.len()).unwrap().copy_from_slice(data);
        disk.events.push(Event::Write(from, data.to_vec()));
        Ok(())
    }
}

/// The file after a crash behind the first `done` events.
fn after_crash(events: &[Event], done: usize, dice: &mut StdRng) -> Vec<u8> {
    let events = &events[..done];
    let last_sync = events.iter().rposition(|event| matches!(event, Event::Sync));
    let synced = last_sync.map_or(0, |at| at + 1);
    let mut bytes = Vec::new();
    for (at, event) in events.iter().enumerate() {
        let safe = at < synced;
        match event {
            Event::Length(length) if safe || dice.random() => bytes.resize(*length, 0),
            Event::Write(from, data) => {
                for (index, sector) in data.chunks(SECTOR).enumerate() {
                    let from = from + index * SECTOR;
                    if (safe || dice.random()) && from + sector.len() <= bytes.len() {
                        bytes[from..from + sector.len()].copy_from_slice(sector);
                    }
                }
            }
            Event::Length(_) | Event::Sync => {}
        }
    }
    bytes
}

/// A commit: after so many events it was acknowledged, durably or not, and the chain was as in `step`.
struct Commit {
    events: usize,
    durable: bool,
    step: Option<Step>,
}

/// Appends blocks, every third durably, and in between takes back two and appends another in one
/// transaction, or forgets the oldest states.
fn run(disk: &Recording, dice: &mut StdRng) -> Vec<Commit> {
    let (block, state) = genesis();
    let database = Database::on_backend(disk.clone(), &block).unwrap();
    let first = (database.view().unwrap().head().header.clone(), state);
    let mut commits = vec![Commit { events: disk.events(), durable: true, step: None }];
    let mut chain: Vec<Step> = Vec::new();
    for round in 0..14_u64 {
        let durable = round % 3 == 2;
        let durability = if durable { Durability::Durable } else { Durability::Deferred };
        let reorganises = round % 5 == 4;
        if reorganises {
            chain.truncate(chain.len() - 2);
        }
        let parent = chain.last().map(|step| (step.block.header.clone(), step.state.clone()));
        let (header, state) = parent.unwrap_or_else(|| first.clone());
        let next = step(&header, &state, &random_changes(dice));
        let mut writer = database.writer().unwrap();
        if reorganises {
            writer.revert_to(header.number).unwrap();
        }
        let view = database.view().unwrap();
        append_after(&mut writer, &view.state_at(header.number).unwrap(), &next).unwrap();
        if round == 11 {
            writer.prune(2, u64::MAX).unwrap();
        }
        writer.commit(durability).unwrap();
        commits.push(Commit { events: disk.events(), durable, step: Some(next.clone()) });
        chain.push(next);
    }
    // Closing the database writes, too: what was acknowledged stays so.
    drop(database);
    commits
}

fn random_changes(dice: &mut StdRng) -> Vec<(u8, Change)> {
    let change = |dice: &mut StdRng| {
        let value = dice.random_range(0..4);
        let change = match dice.random_range(0..8) {
            0 => Change::Remove,
            1 => Change::Wipe { slot: dice.random_range(0..24), value },
            _ => Change::Set { balance: dice.random(), slot: dice.random_range(0..24), value },
        };
        (dice.random_range(0..40), change)
    };
    (0..12).map(|_| change(dice)).collect()
}

#[test]
fn power_fails_anywhere() {
    let (block, first) = genesis();
    for seed in 0..4 {
        let mut dice = StdRng::seed_from_u64(seed);
        let disk = Recording::default();
        let commits = run(&disk, &mut dice);
        let events = disk.0.lock().unwrap().events.clone();
        let begun = commits[0].events;
        // At every sync, just before and just after it, and at writes between them.
        let syncs = (begun..events.len()).filter(|at| matches!(events[*at], Event::Sync));
        let mut crashes: Vec<usize> = syncs.flat_map(|at| [at, at + 1]).collect();
        crashes.extend((0..60).map(|_| dice.random_range(begun..=events.len())));
        for crash in crashes {
            let bytes = after_crash(&events, crash, &mut dice);
            let context = format!("seed {seed}, {crash} of {} events", events.len());
            let database = Database::on_backend(Recording::holding(bytes), &block)
                .unwrap_or_else(|error| panic!("{context}: {error}"));
            database.check(|_| {}).unwrap_or_else(|error| panic!("{context}: {error}"));
            let view = database.view().unwrap();
            // The newest durable commit that was acknowledged, or a later one.
            let safe = commits.iter().rposition(|it| it.durable && it.events <= crash).unwrap();
            let found = commits[safe..].iter().find(|commit| match &commit.step {
                Some(step) => step.block.hash == view.head().hash,
                None => view.head().header.number == 0,
            });
            let found = found.unwrap_or_else(|| panic!("{context}: lost what was acknowledged"));
            let state = found.step.as_ref().map_or(&first, |step| &step.state);
            assert_state(&view, view.head().header.number, state);
        }
    }
}
