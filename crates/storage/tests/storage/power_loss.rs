//! Power fails at any write or sync: the database opens, its head is a block that was committed, no
//! older than the last one that was acknowledged as durable, and everything fits together.
//!
//! The file is a list of what was done to it. A crash keeps everything up to some sync, and of what
//! came after it each sector, and each change of length, or not.

use std::{
    io,
    sync::{Arc, Mutex},
};

use crate::common::{Change, Step, append, assert_state, genesis, step};
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

/// What was acknowledged when: after so many events block `.1` was committed, durably or not.
type Acknowledged = Vec<(usize, u64, bool)>;

/// Appends blocks, every third durably, with one chain of three taken back on the way.
fn run(disk: &Recording, dice: &mut StdRng) -> (Acknowledged, Vec<Step>) {
    let (block, mut state) = genesis();
    let database = Database::on_backend(disk.clone(), &block).unwrap();
    let mut header = database.view().unwrap().head().header.clone();
    let mut acknowledged = vec![(disk.events(), 0, true)];
    let mut steps: Vec<Step> = Vec::new();
    for round in 0..12_u64 {
        let changes: Vec<_> = (0..12)
            .map(|_| {
                let value = dice.random_range(0..4);
                let change = match dice.random_range(0..8) {
                    0 => Change::Remove,
                    1 => Change::Wipe { slot: dice.random_range(0..24), value },
                    _ => Change::Set {
                        balance: dice.random(),
                        slot: dice.random_range(0..24),
                        value,
                    },
                };
                (dice.random_range(0..40), change)
            })
            .collect();
        let next = step(&header, &state, &changes);
        let durable = round % 3 == 2;
        let mut writer = database.writer().unwrap();
        append(&mut writer, &database.view().unwrap(), &next).unwrap();
        writer.commit(if durable { Durability::Durable } else { Durability::Deferred }).unwrap();
        acknowledged.push((disk.events(), next.block.number(), durable));
        (header, state) = (next.block.header.clone(), next.state.clone());
        steps.push(next);
    }
    // Closing the database writes, too: what was acknowledged stays so.
    drop(database);
    (acknowledged, steps)
}

#[test]
fn power_fails_anywhere() {
    let (block, first) = genesis();
    for seed in 0..4 {
        let mut dice = StdRng::seed_from_u64(seed);
        let disk = Recording::default();
        let (acknowledged, steps) = run(&disk, &mut dice);
        let events = disk.0.lock().unwrap().events.clone();
        let begun = acknowledged[0].0;
        // At every sync, just before and just after it, and at writes between them.
        let syncs = (begun..events.len()).filter(|at| matches!(events[*at], Event::Sync));
        let mut crashes: Vec<usize> = syncs.flat_map(|at| [at, at + 1]).collect();
        crashes.extend((0..60).map(|_| dice.random_range(begun..=events.len())));
        for crash in crashes {
            let bytes = after_crash(&events, crash, &mut dice);
            let context = format!("seed {seed}, {crash} of {} events", events.len());
            let database = Database::on_backend(Recording::holding(bytes), &block)
                .unwrap_or_else(|error| panic!("{context}: {error}"));
            let view = database.view().unwrap();
            let head = view.head().header.number;
            let durable = acknowledged.iter().filter(|(at, _, durable)| *durable && *at <= crash);
            let durable = durable.map(|(_, number, _)| *number).max().unwrap();
            assert!(head >= durable, "{context}: head {head}, but {durable} was acknowledged");
            database.check(|_| {}).unwrap_or_else(|error| panic!("{context}: {error}"));
            match head.checked_sub(1) {
                None => assert_state(&view, 0, &first),
                Some(at) => {
                    let step = &steps[usize::try_from(at).unwrap()];
                    assert_eq!(view.head().hash, step.block.hash, "{context}");
                    assert_state(&view, head, &step.state);
                }
            }
        }
    }
}
