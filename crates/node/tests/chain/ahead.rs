//! Blocks that are executed while the one before is written.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use redb::{StorageBackend, backends::InMemoryBackend};
use warpline_node::{Chain, ChainOptions, ImportError, Imported, event};
use warpline_storage::StorageError;

use crate::{
    branches::{NONE, assert_is, line},
    builder::{Builder, Built},
    refused::contents,
};

fn import_ahead(chain: &mut Chain, built: &Built) -> Imported {
    chain.import_ahead(built.incoming()).unwrap()
}

#[test]
fn what_is_written_meanwhile_is_what_is_written_anyway() {
    let builder = Builder::new(true);
    // Long enough for the trie to forget what it has, again and again.
    let blocks = line(&builder, &builder.genesis(), 1, 70);
    for (durable_every, keep_states) in [(1, None), (5, Some(3)), (1000, Some(64))] {
        let options = ChainOptions { durable_every, keep_states, cached_nodes: 4, ..NONE };
        let (mut one, mut other) = (builder.chain(options), builder.chain(options));
        for block in &blocks {
            assert_eq!(one.import(block.incoming()).unwrap(), Imported::Extended);
            assert_eq!(import_ahead(&mut other, block), Imported::Extended);
        }
        other.flush().unwrap();
        assert_eq!(other.head(), one.head());
        assert_eq!(contents(&other), contents(&one));
        other.database().check(|_| {}).unwrap();
    }
}

#[test]
fn a_block_is_told_when_it_is_written() {
    let builder = Builder::new(true);
    let mut chain = builder.chain(NONE);
    let events = event::channel(8);
    let mut told = events.subscribe();
    chain.announce_to(events);
    let genesis = builder.genesis();
    let blocks = line(&builder, &genesis, 1, 3);
    for (at, block) in blocks.iter().enumerate() {
        import_ahead(&mut chain, block);
        let before = if at == 0 { &genesis } else { &blocks[at - 1] };
        assert_eq!(chain.head().hash, before.block.hash);
        let hash = told.try_recv().ok().map(|event| event.added[0].block.hash);
        assert_eq!(hash, (at > 0).then_some(before.block.hash));
    }
    chain.finish().unwrap();
    assert_eq!(chain.head().hash, blocks[2].block.hash);
    let event = told.try_recv().unwrap();
    assert_eq!(event.added[0].block.hash, blocks[2].block.hash);
    assert_eq!(event.added[0].receipts.len(), 3);
    // It is known then, and was while it was written.
    assert_eq!(import_ahead(&mut chain, &blocks[2]), Imported::Known);
    let next = builder.child(&blocks[2], 1, &[1]);
    assert_eq!(import_ahead(&mut chain, &next), Imported::Extended);
    assert_eq!(import_ahead(&mut chain, &next), Imported::Known);
    chain.finish().unwrap();
}

#[test]
fn a_refused_block_takes_nothing_with_it() {
    let builder = Builder::new(true);
    let mut chain = builder.chain(NONE);
    let blocks = line(&builder, &builder.genesis(), 1, 3);
    import_ahead(&mut chain, &blocks[0]);
    let mut bad = blocks[1].clone();
    bad.block.header.state_root = Default::default();
    bad.block.hash = bad.block.header.hash_slow();
    let refused = chain.import_ahead(bad.incoming()).unwrap_err();
    assert!(matches!(refused, ImportError::Rejected(_)), "{refused}");
    assert_is(&chain, &[&blocks[0]]);
    import_ahead(&mut chain, &blocks[1]);
    import_ahead(&mut chain, &blocks[2]);
    chain.finish().unwrap();
    assert_is(&chain, &blocks.iter().collect::<Vec<_>>());
}

#[test]
fn a_branch_waits_for_what_is_written() {
    let builder = Builder::new(false);
    let genesis = builder.genesis();
    let (a, b) = (line(&builder, &genesis, 1, 3), line(&builder, &genesis, 2, 5));
    let mut chain = builder.chain(ChainOptions { durable_every: 3, ..NONE });
    for block in &a {
        assert_eq!(import_ahead(&mut chain, block), Imported::Extended);
    }
    for block in &b[..3] {
        assert_eq!(import_ahead(&mut chain, block), Imported::Beside);
    }
    let taken = Imported::Reorganised { ancestor: 0, removed: 3 };
    assert_eq!(import_ahead(&mut chain, &b[3]), taken);
    assert_eq!(import_ahead(&mut chain, &b[4]), Imported::Extended);
    chain.finish().unwrap();
    assert_is(&chain, &b.iter().collect::<Vec<_>>());
}

/// Storage that fails from some moment on.
#[derive(Debug)]
struct Failing {
    storage: InMemoryBackend,
    fails: Arc<AtomicBool>,
}

impl Failing {
    fn check(&self) -> io::Result<()> {
        if self.fails.load(Ordering::Relaxed) { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
    }
}

impl StorageBackend for Failing {
    fn len(&self) -> io::Result<u64> {
        self.storage.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.storage.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check()?;
        self.storage.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check()?;
        self.storage.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        self.storage.write(offset, data)
    }
}

#[test]
fn nothing_follows_a_block_that_cannot_be_written() {
    let builder = Builder::new(true);
    let fails = Arc::new(AtomicBool::new(false));
    let storage = Failing { storage: InMemoryBackend::new(), fails: Arc::clone(&fails) };
    let mut chain = builder.chain_on(storage);
    let blocks = line(&builder, &builder.genesis(), 1, 4);
    chain.import(blocks[0].incoming()).unwrap();
    fails.store(true, Ordering::Relaxed);
    import_ahead(&mut chain, &blocks[1]);
    let failed = chain.import_ahead(blocks[2].incoming()).unwrap_err();
    let ImportError::Storage(StorageError::Unwritten { number, hash, .. }) = failed else {
        panic!("{failed}");
    };
    assert_eq!((number, hash), (2, blocks[1].block.hash));
    assert_eq!(chain.head().hash, blocks[0].block.hash);
    assert!(chain.import(blocks[1].incoming()).is_err());
    assert_eq!(chain.head().hash, blocks[0].block.hash);
}
