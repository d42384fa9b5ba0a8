//! Where an input came from, for labels and error messages.

use std::{fmt, path::PathBuf, sync::Arc};

/// The place one input was read from: `path`, `path:member` within an archive, and `#case` for
/// one case of a blockchain test file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// The file that was opened.
    pub path: Arc<PathBuf>,
    /// The member of the archive, where the file is one.
    pub member: Option<Arc<str>>,
    /// The case, where the file holds several.
    pub case: Option<Arc<str>>,
}

impl Origin {
    /// The file at `path`, as a whole.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { path: Arc::new(path.into()), member: None, case: None }
    }

    /// One member of this archive.
    pub fn with_member(&self, member: impl Into<Arc<str>>) -> Self {
        Self { path: self.path.clone(), member: Some(member.into()), case: None }
    }

    /// One case of this file.
    pub fn with_case(&self, case: impl Into<Arc<str>>) -> Self {
        Self { path: self.path.clone(), member: self.member.clone(), case: Some(case.into()) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(member) = &self.member {
            write!(f, ":{member}")?;
        }
        if let Some(case) = &self.case {
            write!(f, "#{case}")?;
        }
        Ok(())
    }
}

/// A place within a JSON document, such as `blocks[3].rlp`; empty for the document as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JsonPath(String);

impl JsonPath {
    /// The document as a whole.
    pub const fn root() -> Self {
        Self(String::new())
    }

    /// Whether this is the document as a whole.
    pub const fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The place as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The place `inner` below this one.
    pub(crate) fn join(&self, inner: &Self) -> Self {
        match (self.is_root(), inner.is_root()) {
            (true, _) => inner.clone(),
            (_, true) => self.clone(),
            _ if inner.0.starts_with('[') => Self(format!("{}{}", self.0, inner.0)),
            _ => Self(format!("{}.{}", self.0, inner.0)),
        }
    }
}

impl From<&str> for JsonPath {
    fn from(path: &str) -> Self {
        Self(path.to_owned())
    }
}

impl From<String> for JsonPath {
    fn from(path: String) -> Self {
        Self(path)
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
