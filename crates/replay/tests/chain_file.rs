//! Chain files: what is written is read, and whatever is broken is named with its place.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    fs,
    io::{self, Cursor, Read, Write},
};

use alloy_rlp::Header;
use common::{TempDir, shared};
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use warpline_chain::ChainSpec;
use warpline_replay::{
    ChainFile, ChainFileError, ChainFileWriter, DEFAULT_MAX_BLOCK_BYTES, RawBlock, decode_block,
};

/// An RLP list with `length` bytes in it.
fn list(length: usize) -> Vec<u8> {
    let mut rlp = Vec::new();
    Header { list: true, payload_length: length }.encode(&mut rlp);
    rlp.resize(rlp.len() + length, 7);
    rlp
}

fn reader(bytes: impl Into<Vec<u8>>) -> ChainFile {
    ChainFile::from_reader(Cursor::new(bytes.into()))
}

/// The blocks before the first error, and the error.
fn read(file: ChainFile) -> (Vec<RawBlock>, Option<ChainFileError>) {
    let mut blocks = Vec::new();
    let mut file = file;
    while let Some(block) = file.next() {
        match block {
            Ok(block) => blocks.push(block),
            Err(error) => {
                assert!(file.next().is_none(), "a block after an error");
                return (blocks, Some(error));
            }
        }
    }
    (blocks, None)
}

fn error(bytes: impl Into<Vec<u8>>) -> String {
    read(reader(bytes)).1.unwrap().to_string()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Hands out a few bytes at a time, as a pipe does.
struct Pipe(Cursor<Vec<u8>>, usize);

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(self.1);
        self.0.read(&mut buffer[..length])
    }
}

#[test]
fn malformed_files_are_named_with_the_place() {
    let after = |bytes: &[u8]| [&list(3), bytes].concat();
    assert_eq!(
        error(after(&[0x83, 1, 2, 3])),
        "no block begins at byte 4: found 0x83, an RLP list begins with 0xc0 or more"
    );
    let rows: [(&[u8], &str); 7] = [
        (&[0xf8], "the file ends within the block at byte 4, 1 of 2 bytes into it"),
        (&[0xfa, 1, 0], "the file ends within the block at byte 4, 3 of 4 bytes into it"),
        (&[0xc3, 1, 0], "the file ends within the block at byte 4, 3 of 4 bytes into it"),
        (&[0xf8, 55], "the block at byte 4 has a malformed length"),
        (&[0xf9, 0, 99], "the block at byte 4 has a malformed length"),
        (
            &[0xfb, 0xc0, 0, 0, 0],
            "the block at byte 4 claims 3221225477 bytes, at most 268435456 are read",
        ),
        (
            &[0xff; 9],
            "the block at byte 4 claims 18446744073709551615 bytes, at most 268435456 are read",
        ),
    ];
    for (bytes, expected) in rows {
        assert_eq!(error(after(bytes)), expected);
        assert_eq!(read(reader(after(bytes))).0.len(), 1);
    }
    // A length within the limit allocates no more than there is.
    let claim = u32::try_from(DEFAULT_MAX_BLOCK_BYTES - 5).unwrap().to_be_bytes();
    assert!(error([&[0xfb], &claim[..]].concat()).contains("5 of 268435456 bytes"));
    assert!(read(reader([])).0.is_empty());
}

#[test]
fn the_limit_can_be_moved() {
    let bytes = [list(3), list(60)].concat();
    let (blocks, error) = read(reader(bytes.clone()).with_max_block_bytes(61));
    assert_eq!(blocks.len(), 1);
    let error = error.unwrap();
    assert!(matches!(error, ChainFileError::TooLong { offset: 4, claimed: 62, limit: 61 }));
    assert_eq!(read(reader(bytes).with_max_block_bytes(62)).0.len(), 2);
}

#[test]
fn compressed_files_that_break_off_are_errors() {
    let noise: Vec<_> = (0..9_999_u32).flat_map(|n| n.wrapping_mul(n).to_be_bytes()).collect();
    let mut bytes = list(3);
    Header { list: true, payload_length: noise.len() }.encode(&mut bytes);
    bytes.extend(noise);
    let compressed = gzip(&bytes);
    assert_eq!(read(reader(compressed.clone())).0.len(), 2);
    let (blocks, error) = read(reader(&compressed[..compressed.len() / 2]));
    assert_eq!(blocks.len(), 1);
    assert!(matches!(error, Some(ChainFileError::Unreadable { offset: 4, .. })));
}

#[test]
fn skipping_lands_on_a_block_or_says_why_not() {
    let dir = TempDir::new("chain-file");
    let bytes = [list(3), list(60), list(0)].concat();
    let plain = dir.write("chain.rlp", &bytes);
    let packed = dir.write("chain.rlp.gz", &gzip(&bytes));
    for path in [&plain, &packed] {
        let skipped = |to| {
            let mut file = ChainFile::open(path).unwrap();
            file.skip_to(to).map(|()| file)
        };
        let lengths = |to| {
            let blocks = read(skipped(to).unwrap()).0;
            blocks.iter().map(|block| (block.offset, block.rlp.len())).collect::<Vec<_>>()
        };
        assert_eq!(lengths(0), [(0, 4), (4, 62), (66, 1)]);
        assert_eq!(lengths(4), [(4, 62), (66, 1)]);
        assert_eq!(lengths(67), []);
        let beyond = skipped(68).err().unwrap().to_string();
        assert_eq!(beyond, "cannot go on at byte 68: the file has 67");
        let (_, error) = read(skipped(1).unwrap());
        assert!(matches!(error, Some(ChainFileError::NotAList { offset: 1, found: 7 })));

        let mut file = ChainFile::open(path).unwrap();
        assert_eq!(file.next().unwrap().unwrap().end(), 4);
        assert_eq!(file.offset(), 4);
        let back = file.skip_to(3).unwrap_err().to_string();
        assert_eq!(back, "cannot go back from byte 4 to byte 3");
        file.skip_to(66).unwrap();
        assert_eq!(file.next().unwrap().unwrap().rlp, [0xc0]);
        assert!(file.next().is_none());
    }
    let missing = ChainFile::open(dir.path().join("nothing.rlp")).err().unwrap();
    assert!(missing.to_string().starts_with("the chain file cannot be read on from byte 0"));
}

#[test]
fn only_whole_lists_are_written() {
    let mut writer = ChainFileWriter::plain(Vec::new());
    for bytes in [&[][..], &[0x80], &[0xc1], &[0xc0, 0xc0], &[0xf8, 1, 1]] {
        assert!(matches!(writer.append(bytes), Err(ChainFileError::NotABlock { .. })));
    }
    assert_eq!(writer.offset(), 0);
    assert!(writer.finish().unwrap().is_empty());
}

#[test]
fn the_conformance_chain_is_read_block_by_block() {
    let Some(path) = shared("rpc-compat/chain.rlp") else { return };
    let whole = fs::read(&path).unwrap();
    let blocks: Vec<_> = ChainFile::open(&path).unwrap().map(Result::unwrap).collect();
    assert_eq!(blocks.len(), 54);
    let joined: Vec<_> = blocks.iter().flat_map(|block| block.rlp.clone()).collect();
    assert_eq!(joined, whole);
    let chain = ChainSpec::mainnet();
    for (index, block) in blocks.iter().enumerate() {
        let decoded = decode_block(&block.rlp, &chain).unwrap();
        assert_eq!(usize::try_from(decoded.number()).unwrap(), index + 1);
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        lengths in prop::collection::vec(0..300_usize, 0..12),
        pieces in 1..70_usize,
        packed: bool,
        resume: prop::sample::Index,
    ) {
        let lists: Vec<_> = lengths.into_iter().map(list).collect();
        let mut writer = if packed {
            ChainFileWriter::gzip(Vec::new())
        } else {
            ChainFileWriter::plain(Vec::new())
        };
        let mut expected = Vec::new();
        for rlp in lists {
            let offset = writer.append(&rlp).unwrap();
            expected.push(RawBlock { offset, rlp });
        }
        let end = writer.offset();
        let bytes = writer.finish().unwrap();
        let pipe = || ChainFile::from_reader(Pipe(Cursor::new(bytes.clone()), pieces));
        let (blocks, error) = read(pipe());
        prop_assert!(error.is_none());
        prop_assert_eq!(&blocks, &expected);
        prop_assert_eq!(blocks.last().map_or(0, RawBlock::end), end);
        if !expected.is_empty() {
            let from = resume.index(expected.len());
            let mut file = pipe();
            file.skip_to(expected[from].offset).unwrap();
            prop_assert_eq!(&read(file).0, &expected[from..]);
        }
    }

    #[test]
    fn a_file_cut_anywhere_gives_the_whole_blocks_before(
        lengths in prop::collection::vec(0..300_usize, 1..6),
        cut: prop::sample::Index,
    ) {
        let lists: Vec<_> = lengths.into_iter().map(list).collect();
        let bytes = lists.concat();
        let cut = cut.index(bytes.len());
        let (blocks, error) = read(reader(&bytes[..cut]));
        let whole = blocks.last().map_or(0, RawBlock::end);
        match error {
            None => prop_assert_eq!(whole, cut as u64),
            Some(ChainFileError::Truncated { offset, expected, found }) => {
                prop_assert_eq!(offset, whole);
                prop_assert_eq!(offset + found, cut as u64);
                prop_assert!(found < expected);
            }
            Some(error) => prop_assert!(false, "{}", error),
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        drop(read(ChainFile::from_reader(Cursor::new(bytes))));
    }
}
