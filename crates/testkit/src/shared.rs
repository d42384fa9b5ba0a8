//! Real blocks and conformance fixtures, which are too large for the repository.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The entry `name` of the shared folder (`WARPLINE_SHARED`, else `shared` beside the repository), or
/// `None`, said in one line, where it is not there.
#[expect(clippy::print_stdout, reason = "a test says what it did not run")]
pub fn shared(name: &str) -> Option<PathBuf> {
    let folder = env::var_os("WARPLINE_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    println!("not run: {} is not there", path.display());
    None
}
