//! All entries of all tables, as bytes: to compare databases, to count, and to look inside.

use redb::{Key, ReadOnlyTable, ReadableTable, ReadableTableMetadata, Value};

use crate::{StorageError, View};

/// How large a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSize {
    /// Its name.
    pub name: &'static str,
    /// How many entries it has.
    pub entries: u64,
    /// The bytes of all keys and values.
    pub stored_bytes: u64,
    /// The bytes of its pages in the file.
    pub file_bytes: u64,
}

/// Somebody who is shown all entries: the name of the table, the key and the value.
pub type EntryVisitor<'v> = &'v mut dyn FnMut(&'static str, &[u8], &[u8]);

/// Something in a table as bytes, in the order of the table.
trait AsEntry: Value {
    fn entry_bytes(value: &Self::SelfType<'_>) -> Vec<u8>;
}

impl AsEntry for u64 {
    fn entry_bytes(value: &u64) -> Vec<u8> {
        value.to_be_bytes().to_vec()
    }
}

impl AsEntry for (u64, u32) {
    fn entry_bytes((block, index): &(u64, u32)) -> Vec<u8> {
        [&block.to_be_bytes()[..], &index.to_be_bytes()].concat()
    }
}

impl AsEntry for () {
    fn entry_bytes((): &()) -> Vec<u8> {
        Vec::new()
    }
}

impl AsEntry for &'static [u8] {
    fn entry_bytes(value: &&[u8]) -> Vec<u8> {
        value.to_vec()
    }
}

impl AsEntry for &'static str {
    fn entry_bytes(value: &&str) -> Vec<u8> {
        value.as_bytes().to_vec()
    }
}

impl<const N: usize> AsEntry for &'static [u8; N] {
    fn entry_bytes(value: &&[u8; N]) -> Vec<u8> {
        value.to_vec()
    }
}

/// A table of any types.
trait AnyTable {
    fn size(&self, name: &'static str) -> Result<TableSize, StorageError>;
    fn entries(&self) -> Result<u64, StorageError>;
    fn visit(&self, name: &'static str, visitor: EntryVisitor<'_>) -> Result<(), StorageError>;
}

impl<K: Key + AsEntry + 'static, V: AsEntry + 'static> AnyTable for ReadOnlyTable<K, V> {
    fn size(&self, name: &'static str) -> Result<TableSize, StorageError> {
        let stats = self.stats()?;
        let file_bytes = stats.stored_bytes() + stats.metadata_bytes() + stats.fragmented_bytes();
        Ok(TableSize { name, entries: self.len()?, stored_bytes: stats.stored_bytes(), file_bytes })
    }

    fn entries(&self) -> Result<u64, StorageError> {
        Ok(self.len()?)
    }

    fn visit(&self, name: &'static str, visitor: EntryVisitor<'_>) -> Result<(), StorageError> {
        for entry in self.iter()? {
            let (key, value) = entry?;
            visitor(name, &K::entry_bytes(&key.value()), &V::entry_bytes(&value.value()));
        }
        Ok(())
    }
}

impl View {
    fn tables(&self) -> [(&'static str, &dyn AnyTable); 17] {
        [
            ("meta", &self.meta),
            ("headers", &self.headers),
            ("numbers", &self.numbers),
            ("bodies", &self.bodies),
            ("senders", &self.senders),
            ("receipts", &self.receipts),
            ("access_lists", &self.access_lists),
            ("transactions", &self.transactions),
            ("logs", &self.logs),
            ("accounts", &self.accounts),
            ("slots", &self.slots),
            ("codes", &self.codes),
            ("nodes", &self.nodes),
            ("account_history", &self.account_history),
            ("slot_history", &self.slot_history),
            ("node_history", &self.node_history),
            ("changes", &self.changes),
        ]
    }

    /// How many entries each table has: known without reading them.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn table_entries(&self) -> Result<Vec<(&'static str, u64)>, StorageError> {
        self.tables().into_iter().map(|(name, table)| Ok((name, table.entries()?))).collect()
    }

    /// The sizes of all tables. Reads every page of the database.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn table_sizes(&self) -> Result<Vec<TableSize>, StorageError> {
        self.tables().into_iter().map(|(name, table)| table.size(name)).collect()
    }

    /// Shows `visitor` every entry of the tables named, of all tables where none is, in order. Numbers in
    /// keys and values are big-endian.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn visit_entries(
        &self,
        names: &[impl AsRef<str>],
        visitor: EntryVisitor<'_>,
    ) -> Result<(), StorageError> {
        for (name, table) in self.tables() {
            if names.is_empty() || names.iter().any(|wanted| wanted.as_ref() == name) {
                table.visit(name, visitor)?;
            }
        }
        Ok(())
    }

    /// The names of all tables.
    pub fn table_names(&self) -> [&'static str; 17] {
        self.tables().map(|(name, _)| name)
    }
}
