//! Chain files: what comes of them does not depend on how fast they are read.

use std::{
    io::{self, Cursor, Read, Write as _},
    thread,
    time::Duration,
};

use warpline_node::{
    Chain, ImportError, ImportFileError, ImportProgress, encode_block, import_file,
};
use warpline_replay::ChainFile;

use crate::{
    branches::{NONE, assert_is},
    builder::{Builder, Built},
};

/// Blocks without transactions: those of the builder are not signed, and a file is read with signatures.
fn line(builder: &Builder, parent: &Built, salt: u8, length: u8) -> Vec<Built> {
    let mut line: Vec<Built> = Vec::new();
    for _ in 0..length {
        line.push(builder.child(line.last().unwrap_or(parent), salt, &[]));
    }
    line
}

fn file_of<'b>(blocks: impl IntoIterator<Item = &'b Built>) -> Vec<u8> {
    blocks.into_iter().flat_map(|built| encode_block(&built.block)).collect()
}

fn import(
    chain: &mut Chain,
    file: impl Read + Send + 'static,
) -> Result<ImportProgress, ImportFileError> {
    import_file(chain, ChainFile::from_reader(file), |_| true)
}

/// Gives a few bytes now and then.
struct Slow(Cursor<Vec<u8>>);

impl Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        thread::sleep(Duration::from_millis(1));
        let most = buffer.len().min(64);
        self.0.read(&mut buffer[..most])
    }
}

#[test]
fn blocks_that_are_replaced_while_they_wait_come_in_again() {
    let builder = Builder::new(true);
    let genesis = builder.genesis();
    let (a, b) = (line(&builder, &genesis, 1, 3), line(&builder, &genesis, 2, 3));
    let file = Cursor::new(file_of(b.iter().chain(&a)));
    let readers: [Box<dyn Read + Send>; 2] = [Box::new(file.clone()), Box::new(Slow(file))];
    for reader in readers {
        let mut chain = builder.chain(NONE);
        import(&mut chain, Cursor::new(file_of(&a))).unwrap();
        let done = import(&mut chain, reader).unwrap();
        assert_eq!((done.imported, done.known, done.taken_back), (6, 0, 6));
        assert_is(&chain, &a.iter().collect::<Vec<_>>());
    }
}

#[test]
fn a_refused_block_ends_an_import_from_a_pipe_that_stays_open() {
    let builder = Builder::new(true);
    let mut chain = builder.chain(NONE);
    let blocks = line(&builder, &builder.genesis(), 1, 2);
    let mut bad = blocks[1].clone();
    bad.block.header.state_root = Default::default();
    let (reader, mut writer) = io::pipe().unwrap();
    writer.write_all(&file_of([&blocks[0], &bad])).unwrap();
    let error = import(&mut chain, reader).unwrap_err();
    let ImportFileError::Block { number, source, .. } = error else { panic!("{error}") };
    assert_eq!(number, Some(2));
    assert!(matches!(*source, ImportError::Rejected(_)), "{source}");
    assert_is(&chain, &[&blocks[0]]);
}

#[test]
fn an_import_that_waits_for_blocks_can_be_ended() {
    let builder = Builder::new(true);
    let mut chain = builder.chain(NONE);
    let blocks = line(&builder, &builder.genesis(), 1, 1);
    let (reader, mut writer) = io::pipe().unwrap();
    writer.write_all(&file_of(&blocks)).unwrap();
    let file = ChainFile::from_reader(reader);
    let mut looks = 0;
    let done = import_file(&mut chain, file, |progress| {
        looks += u32::from(progress.imported == 1);
        looks < 3
    });
    assert_eq!(done.unwrap().imported, 1);
    assert_is(&chain, &[&blocks[0]]);
}
