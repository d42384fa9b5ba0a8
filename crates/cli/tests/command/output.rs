//! Files that commands write: whole or not at all, and never what is read for them.

use std::{fs, path::Path};

use assert_cmd::assert::Assert;
use tempfile::TempDir;

use crate::{
    chain::{initialised, rpc_compat, run},
    inputs,
    sample::Sample,
    stderr, stdout, surface, warpline,
};

/// A folder with a chain in `data`, and a block in `block.json`.
fn folder(chain: &Path) -> TempDir {
    let folder = inputs::folder(&[("block.json", &Sample::of_mainnet().snapshot())]);
    let data = initialised(chain);
    run(data.path(), &["import", chain.join("chain.rlp").to_str().unwrap()]);
    fs::rename(data.path(), folder.path().join("data")).unwrap();
    folder
}

/// What writes a file, and is told so by its last argument.
const WRITERS: [&[&str]; 4] = [
    &["export", "--datadir", "data"],
    &["db", "export", "--datadir", "data", "--out"],
    &["trace", "block.json", "--out"],
    &["trace", ".", "--out"],
];

fn write(folder: &TempDir, writer: &[&str], target: &str) -> Assert {
    warpline().current_dir(folder.path()).args(writer).arg(target).assert()
}

/// The names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names
}

#[test]
fn what_is_read_is_not_written_over() {
    let Some(chain) = rpc_compat() else { return };
    let folder = folder(&chain);
    let (database, block) = ("data/warpline.redb", "block.json");
    let mut table = Vec::new();
    for writer in WRITERS {
        let source = if writer.contains(&"data") { database } else { block };
        table.push((writer, source, source.to_owned()));
        table.push((writer, source, format!("data/../{source}")));
        #[cfg(unix)]
        {
            let link = format!("link-{}", table.len());
            std::os::unix::fs::symlink(source, folder.path().join(&link)).unwrap();
            table.push((writer, source, link));
        }
    }
    for (writer, source, target) in table {
        let length = || fs::metadata(folder.path().join(source)).unwrap().len();
        let before = length();
        let message = stderr(&write(&folder, writer, &target).code(2));
        assert!(message.contains("it cannot be written to"), "{writer:?} {target}: {message}");
        assert!(message.contains(&target), "{writer:?} {target}: {message}");
        assert_eq!(length(), before, "{writer:?} {target}");
    }
    let checked = run(&folder.path().join("data"), &["db", "check"]);
    assert!(checked.contains("all in order: 55 blocks"), "{checked}");
}

#[test]
#[cfg(unix)]
fn a_file_appears_whole_with_the_permissions_that_are_usual() {
    use std::os::unix::fs::PermissionsExt as _;
    let Some(chain) = rpc_compat() else { return };
    let folder = folder(&chain);
    let path = |name: &str| folder.path().join(name);
    let mode = |name: &str| fs::metadata(path(name)).unwrap().permissions().mode() & 0o777;
    fs::write(path("usual"), "").unwrap();
    for (index, writer) in WRITERS.into_iter().enumerate() {
        let (new, old, link) =
            (format!("new-{index}"), format!("old-{index}"), format!("link-{index}"));
        write(&folder, writer, &new).success();
        assert_eq!(mode(&new), mode("usual"), "{writer:?}");
        // What was private stays so, and a link leads where it led.
        fs::write(path(&old), "older").unwrap();
        fs::set_permissions(path(&old), fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&old, path(&link)).unwrap();
        write(&folder, writer, &link).success();
        assert_eq!(mode(&old), 0o600, "{writer:?}");
        assert!(fs::symlink_metadata(path(&link)).unwrap().is_symlink(), "{writer:?}");
        assert!(fs::read(path(&old)).unwrap() == fs::read(path(&new)).unwrap(), "{writer:?}");
    }
    assert!(names(folder.path()).iter().all(|name| !name.ends_with(".tmp")));
}

#[test]
#[cfg(unix)]
fn a_full_disk_takes_no_older_file() {
    let Some(chain) = rpc_compat() else { return };
    let folder = folder(&chain);
    fs::write(folder.path().join("older"), "older").unwrap();
    let before = names(folder.path());
    for writer in WRITERS {
        for target in ["older", "new"] {
            let assert = limited(1, &[writer, &[target]].concat(), folder.path()).code(2);
            let message = stderr(&assert);
            assert!(message.contains("File too large"), "{writer:?}: {message}");
            assert_eq!(names(folder.path()), before, "{writer:?}");
            assert_eq!(fs::read(folder.path().join("older")).unwrap(), b"older", "{writer:?}");
        }
    }
}

/// Runs the command where no file may grow beyond `blocks` of 512 bytes, as on a disk that is full then.
pub(crate) fn limited(blocks: u64, arguments: &[&str], folder: &Path) -> Assert {
    let mut command = assert_cmd::Command::new("sh");
    command.args(["-c", r#"trap "" XFSZ; ulimit -f "$0"; exec "$@""#, &blocks.to_string()]);
    command.arg(assert_cmd::cargo::cargo_bin!("warpline")).args(arguments);
    command.current_dir(folder).assert()
}

#[test]
fn where_nothing_is_traced_an_older_file_stays() {
    let folder = inputs::folder(&[("block.json", &Sample::of_mainnet().snapshot())]);
    let older = folder.path().join("older");
    fs::write(&older, "older").unwrap();
    for (arguments, code) in [
        (&["trace", "missing.json", "-o"][..], 2),
        (&["trace", "block.json", "--tx", "9", "-o"], 2),
    ] {
        write(&folder, arguments, "older").code(code);
        assert_eq!(fs::read(&older).unwrap(), b"older", "{arguments:?}");
    }
}

#[test]
#[cfg(unix)]
fn what_is_no_file_is_written_to_as_it_comes() {
    let Some(chain) = rpc_compat() else { return };
    let folder = folder(&chain);
    let path = |name: &str| folder.path().join(name);
    for writer in WRITERS {
        write(&folder, writer, "expected").success();
        let expected = fs::read(path("expected")).unwrap();
        let printed = write(&folder, writer, "/dev/stdout").success();
        assert!(printed.get_output().stdout == expected, "{writer:?}");

        let redirected = fs::File::create(path("redirected")).unwrap();
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("warpline"));
        command.current_dir(folder.path()).args(writer).arg("/dev/stdout").stdout(redirected);
        assert!(command.status().unwrap().success(), "{writer:?}");
        assert!(fs::read(path("redirected")).unwrap() == expected, "{writer:?}");

        let fifo = path("fifo");
        std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
        let reader = std::thread::spawn({
            let fifo = fifo.clone();
            move || fs::read(fifo).unwrap()
        });
        write(&folder, writer, "fifo").success();
        assert!(reader.join().unwrap() == expected, "{writer:?}");
        fs::remove_file(fifo).unwrap();
    }
    let said = stdout(&write(&folder, &["export", "--datadir", "data"], "new.rlp").success());
    assert!(said.contains("54 blocks exported to new.rlp"), "{said}");
}

#[test]
fn a_reader_who_has_had_enough_of_an_export_is_no_error() {
    let Some(chain) = rpc_compat() else { return };
    let folder = folder(&chain);
    let data = folder.path().join("data");
    let data = ["--datadir", data.to_str().unwrap()];
    let mut commands = vec![vec!["export", "-"], vec!["db", "export"]];
    if cfg!(unix) {
        commands.push(vec!["export", "/dev/stdout"]);
        commands.push(vec!["db", "export", "-o", "/dev/stdout"]);
    }
    for command in commands {
        surface::assert_unread(&[&command[..], &data].concat());
    }
    surface::assert_unread(&["trace", "--tracer", "callTracer"]);
}
