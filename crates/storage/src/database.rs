//! Opening, and who may read and write.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use redb::{Builder, DatabaseError, ReadableDatabase};

use crate::{StorageError, View, Writer, genesis::GenesisBlock, tables::META};

/// The layout of the tables. A change of tables or of encodings is a new version.
pub const SCHEMA_VERSION: u32 = 1;

/// The file in the data directory.
const FILE_NAME: &str = "warpline.redb";

const SCHEMA: &str = "schema";

/// How a database is opened.
#[derive(Clone, Copy, Debug)]
pub struct DatabaseOptions {
    /// Memory for pages of the file in bytes. The system keeps pages of the file as well.
    pub cache_bytes: usize,
    /// Whether the sums of all pages are checked, which reads the whole file. Without, a page that was
    /// damaged on the disk is noticed when something does not fit, if at all.
    pub check_integrity: bool,
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        Self { cache_bytes: 1 << 30, check_integrity: false }
    }
}

/// A chain with its state, in one file. Cheap to clone; clones are the same database.
///
/// Any number of [`View`]s may be read at once, each of the moment at which it was taken, while one
/// [`Writer`] prepares what comes next. Only one process at a time has the file open.
#[derive(Clone, Debug)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    redb: redb::Database,
    path: PathBuf,
}

impl Database {
    /// Makes a database in the folder `directory` that holds `genesis` and nothing else.
    ///
    /// # Errors
    /// [`StorageError::Exists`] where there is one already, and where it cannot be written.
    pub fn create(
        directory: &Path,
        genesis: &GenesisBlock,
        options: DatabaseOptions,
    ) -> Result<Self, StorageError> {
        let io = |source| StorageError::Io { path: directory.to_owned(), source };
        fs::create_dir_all(directory).map_err(io)?;
        let path = directory.join(FILE_NAME);
        if path.exists() {
            return Err(StorageError::Exists { path });
        }
        // Under another name until it is complete: what is found under its name can be opened.
        let unfinished = directory.join(format!("{FILE_NAME}.{}", std::process::id()));
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
        let redb = builder(options).create(&unfinished).map_err(|error| opening(&path, error))?;
        let database = Self { inner: Arc::new(Inner { redb, path: unfinished.clone() }) };
        Self::lay_out(&database, genesis)?;
        drop(database);
        // Unlike renaming, this replaces nothing that somebody else has made meanwhile.
        let linked = fs::hard_link(&unfinished, &path);
        fs::remove_file(&unfinished).map_err(io)?;
        linked.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => StorageError::Exists { path: path.clone() },
            _ => io(error),
        })?;
        fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(io)?;
        Self::open(directory, options)
    }

    /// Whether there is a database in the folder `directory`.
    pub fn exists(directory: &Path) -> bool {
        directory.join(FILE_NAME).exists()
    }

    /// Opens the database in the folder `directory`.
    ///
    /// # Errors
    /// [`StorageError::Absent`] where there is none, [`StorageError::InUse`] where another process has
    /// it, [`StorageError::Schema`] where another version of the program made it, and
    /// [`StorageError::Open`] where it is damaged or cannot be read.
    pub fn open(directory: &Path, options: DatabaseOptions) -> Result<Self, StorageError> {
        let path = directory.join(FILE_NAME);
        match path.try_exists() {
            Ok(true) => {}
            Ok(false) => return Err(StorageError::Absent { path }),
            Err(source) => return Err(StorageError::Io { path, source }),
        }
        let redb = builder(options).open(&path).map_err(|error| opening(&path, error))?;
        let database = Self { inner: Arc::new(Inner { redb, path }) };
        database.check_schema()?;
        Ok(database)
    }

    /// A database on storage of any kind, with `genesis` in it where it is new: for tests of what
    /// happens when storage fails.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn on_backend(
        backend: impl redb::StorageBackend,
        genesis: &GenesisBlock,
    ) -> Result<Self, StorageError> {
        let path = PathBuf::new();
        let options = DatabaseOptions { cache_bytes: 16 << 20, ..DatabaseOptions::default() };
        let redb =
            builder(options).create_with_backend(backend).map_err(|error| opening(&path, error))?;
        let database = Self { inner: Arc::new(Inner { redb, path }) };
        let is_new = database.inner.redb.begin_read()?.list_tables()?.next().is_none();
        if is_new {
            database.lay_out(genesis)?;
        } else {
            database.check_schema()?;
        }
        Ok(database)
    }

    /// A database that lives as long as this does.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn in_memory(genesis: &GenesisBlock) -> Result<Self, StorageError> {
        Self::on_backend(redb::backends::InMemoryBackend::new(), genesis)
    }

    fn lay_out(&self, genesis: &GenesisBlock) -> Result<(), StorageError> {
        let mut writer = Writer::begin(&self.inner.redb)?;
        writer.put_meta(SCHEMA, &SCHEMA_VERSION.to_be_bytes())?;
        writer.put_genesis(genesis)?;
        writer.commit(Durability::Durable)
    }

    fn check_schema(&self) -> Result<(), StorageError> {
        let transaction = self.inner.redb.begin_read()?;
        let meta = transaction.open_table(META)?;
        let stored = meta.get(SCHEMA)?.ok_or(StorageError::missing("meta", SCHEMA.as_bytes()))?;
        let found = stored.value().try_into().map(u32::from_be_bytes);
        let found = found.map_err(|_| {
            let source = alloy_rlp::Error::UnexpectedLength;
            StorageError::damaged("meta", SCHEMA.as_bytes(), source)
        })?;
        if found == SCHEMA_VERSION { Ok(()) } else { Err(StorageError::Schema { found }) }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// All there is at this moment.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub fn view(&self) -> Result<Arc<View>, StorageError> {
        View::new(&self.inner.redb).map(Arc::new)
    }

    /// Whoever writes next. Waits until nobody else does.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub fn writer(&self) -> Result<Writer, StorageError> {
        Writer::begin(&self.inner.redb)
    }
}

/// Whether a commit is on the disk when it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It is: nothing that was committed is lost, whatever happens.
    Durable,
    /// Views see it, and it reaches the disk with the next durable commit. When the power fails before,
    /// it never was, and the database is as after the last durable commit.
    Deferred,
}

fn builder(options: DatabaseOptions) -> Builder {
    let mut builder = redb::Database::builder();
    builder.set_cache_size(options.cache_bytes);
    builder.set_check_integrity_on_open(options.check_integrity);
    builder
}

fn opening(path: &Path, error: DatabaseError) -> StorageError {
    let path = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen => StorageError::InUse { path },
        error => StorageError::Open { path, source: Box::new(error.into()) },
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("path", &self.path).finish_non_exhaustive()
    }
}
