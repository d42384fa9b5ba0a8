//! What is no database of ours, or not any more, is refused with the reason.

use std::fs;

use crate::common::{Change, commit, dump, genesis, step};
use redb::TableDefinition;
use warpline_storage::{Database, DatabaseOptions, SCHEMA_VERSION, StorageError};

const OPTIONS: DatabaseOptions = DatabaseOptions { cache_bytes: 16 << 20, check_integrity: false };

#[test]
fn there_must_be_one() {
    let folder = tempfile::tempdir().unwrap();
    let error = Database::open(folder.path(), OPTIONS).unwrap_err();
    assert!(matches!(error, StorageError::Absent { .. }), "{error}");
    assert!(error.to_string().contains("warpline init"), "{error}");
}

#[test]
fn nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::create(folder.path(), &genesis().0, OPTIONS).unwrap();
    let error = Database::create(folder.path(), &genesis().0, OPTIONS).unwrap_err();
    assert!(matches!(error, StorageError::Exists { .. }), "{error}");
    let error = Database::open(folder.path(), OPTIONS).unwrap_err();
    assert!(matches!(error, StorageError::InUse { .. }), "{error}");
    drop(database);
    Database::open(folder.path(), OPTIONS).unwrap();
}

#[test]
fn nothing_unfinished_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::create(folder.path(), &genesis().0, OPTIONS).unwrap();
    assert_eq!(database.view().unwrap().head().header.number, 0);
    let files: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(files.len(), 1, "{files:?}");
}

#[test]
fn a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::create(folder.path(), &genesis().0, OPTIONS).unwrap();
    let path = database.path().to_owned();
    drop(database);
    for (version, advice) in [(SCHEMA_VERSION + 1, "newer"), (SCHEMA_VERSION - 1, "again")] {
        let redb = redb::Database::open(&path).unwrap();
        let transaction = redb.begin_write().unwrap();
        let meta: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
        let bytes = version.to_be_bytes();
        transaction.open_table(meta).unwrap().insert("schema", &bytes[..]).unwrap();
        transaction.commit().unwrap();
        drop(redb);
        let error = Database::open(folder.path(), OPTIONS).unwrap_err();
        assert!(matches!(error, StorageError::Schema { found } if found == version), "{error}");
        assert!(error.to_string().contains(advice), "{error}");
    }
}

#[test]
fn other_files_are_refused() {
    for bytes in [&b""[..], b"no database at all", &[0; 1 << 16]] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("warpline.redb"), bytes).unwrap();
        let error = Database::open(folder.path(), OPTIONS).unwrap_err();
        assert!(matches!(error, StorageError::Open { .. }), "{error}");
    }
}

/// A flipped bit anywhere is noticed when the sums are checked, or is in nothing that is used.
#[test]
fn damage_is_noticed_when_it_is_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (block, state) = genesis();
    let database = Database::create(folder.path(), &block, OPTIONS).unwrap();
    let header = database.view().unwrap().head().header.clone();
    let changes: Vec<_> =
        (0..40).map(|at| (at, Change::Set { balance: at, slot: at % 24, value: 1 })).collect();
    commit(&database, &step(&header, &state, &changes)).unwrap();
    let (path, before) = (database.path().to_owned(), dump(&database));
    drop(database);
    let whole = fs::read(&path).unwrap();
    let mut noticed = 0;
    for at in (0..whole.len()).step_by(whole.len() / 97) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&path, &bytes).unwrap();
        let options = DatabaseOptions { check_integrity: true, ..OPTIONS };
        match Database::open(folder.path(), options) {
            Ok(database) => assert_eq!(dump(&database), before, "byte {at}"),
            Err(StorageError::Open { .. }) => noticed += 1,
            Err(error) => panic!("byte {at}: {error}"),
        }
    }
    assert!(noticed > 0, "no byte that was changed is in use");
}
