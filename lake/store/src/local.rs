//! A lake in a folder of this machine: files that appear whole under a name that was free, and stay.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use stedi_lake::{CuratedTable, layout};
use tempfile::NamedTempFile;

use crate::error::{Action, StoreError};
use crate::fault;
use crate::lake::PutNew;

/// Folder, within a run's own or within `_stedi`, of files that have no name yet.
pub(crate) const TEMPORARIES: &str = "tmp";

/// Files that are synced at once: what waits at the same time, the file system's journal writes at once.
const SYNCS_AT_ONCE: usize = 16;

/// A folder on this machine that holds a lake.
#[derive(Clone, Debug)]
pub(crate) struct LocalLake {
    root: PathBuf,
}

impl LocalLake {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(crate) fn file(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }

    /// The name of `below` in errors.
    fn name(&self, below: &str) -> String {
        self.file(below).display().to_string()
    }

    /// A nameless file that is to become `below`, in the temporary folder of its run.
    pub(crate) fn temporary(&self, below: &str) -> Result<NamedTempFile, StoreError> {
        let folder = self.file(&temporary_folder(below));
        let named = |error| StoreError::of_io(Action::Write, self.name(below), error);
        make_folders(&folder).map_err(named)?;
        // readable for whoever the umask admits, as any file is
        let open = Permissions::from_mode(0o666);
        tempfile::Builder::new().prefix("").permissions(open).tempfile_in(folder).map_err(named)
    }

    /// Gives `file` the name `below` if that is free; its temporary name goes either way.
    pub(crate) fn link(&self, file: NamedTempFile, below: &str) -> Result<PutNew, StoreError> {
        let target = self.file(below);
        let linked = make_folders(parent(&target)).and_then(|()| fs::hard_link(file.path(), &target));
        match linked {
            Ok(()) => Ok(PutNew::Created),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(PutNew::Exists),
            Err(error) if lacks_links(&error) => Err(StoreError::NoLinks { object: self.name(below) }),
            Err(error) => Err(StoreError::of_io(Action::Write, self.name(below), error)),
        }
    }

    /// Creates `below` with `bytes`. When this returns, it survives a loss of power.
    pub(crate) fn put_new(&self, below: &str, bytes: &[u8]) -> Result<PutNew, StoreError> {
        let named = |error| StoreError::of_io(Action::Write, self.name(below), error);
        let mut file = self.temporary(below)?;
        file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(named)?;
        if below.starts_with(layout::LOG) {
            fault::point("commit_synced");
        }
        let put = self.link(file, below)?;
        sync_folder(parent(&self.file(below))).map_err(named)?;
        Ok(put)
    }

    /// Creates `below` with many `bytes`, past the page cache where that can be. A loss of power may still take them.
    pub(crate) fn put_cold(&self, below: &str, bytes: &[u8]) -> Result<PutNew, StoreError> {
        let mut file = self.temporary(below)?;
        write_cold(file.as_file_mut(), bytes)
            .map_err(|error| StoreError::of_io(Action::Write, self.name(below), error))?;
        self.link(file, below)
    }

    /// Makes the contents and the names of `below` survive a loss of power.
    pub(crate) fn sync_all(&self, below: &[String]) -> Result<(), StoreError> {
        let share = below.len().div_ceil(SYNCS_AT_ONCE).max(1);
        std::thread::scope(|scope| {
            let start = |share| std::thread::Builder::new().spawn_scoped(scope, move || self.sync_files(share));
            let threads: Vec<_> = below.chunks(share).map(|share| (share, start(share))).collect();
            threads.into_iter().try_for_each(|(share, thread)| match thread {
                Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                // the system refuses more threads
                Err(_) => self.sync_files(share),
            })
        })?;
        let folders: BTreeSet<PathBuf> = below.iter().map(|below| parent(&self.file(below)).to_owned()).collect();
        for folder in folders {
            let name = folder.display().to_string();
            sync_folder(&folder).map_err(|error| StoreError::of_io(Action::Write, name, error))?;
        }
        Ok(())
    }

    fn sync_files(&self, below: &[String]) -> Result<(), StoreError> {
        below.iter().try_for_each(|below| {
            let synced = File::open(self.file(below)).and_then(|file| file.sync_all());
            synced.map_err(|error| StoreError::of_io(Action::Write, self.name(below), error))
        })
    }

    /// Removes the folder `below` and the folders in it, as far as they hold no file.
    pub(crate) fn remove_empty_folders(&self, below: &str) -> Result<(), StoreError> {
        for entry in walkdir::WalkDir::new(self.file(below)).contents_first(true) {
            // a folder that went, or filled, meanwhile is somebody else's
            let Ok(entry) = entry else { continue };
            if !entry.file_type().is_dir() {
                continue;
            }
            match fs::remove_dir(entry.path()) {
                Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied) => {
                    let name = entry.path().display().to_string();
                    return Err(StoreError::of_io(Action::Delete, name, error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Where a file waits for the name `below`: with its run, so that what a dead run leaves is known to be its own.
fn temporary_folder(below: &str) -> String {
    let run = layout::run_of_object(below)
        .or_else(|| CuratedTable::ALL.into_iter().find_map(|table| layout::run_of_part(table, below)));
    match run {
        Some(run) => format!("{}/{TEMPORARIES}", layout::run_dir(run)),
        None => format!("{}/{TEMPORARIES}", layout::STEDI),
    }
}

/// Makes `folder` and those above it that are missing; each new name is synced.
fn make_folders(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = parent(folder);
    make_folders(above)?;
    match fs::create_dir(folder) {
        Ok(()) => sync_folder(above),
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        // somebody else was faster
        Err(_) if folder.is_dir() => Ok(()),
        Err(_) => Err(io::ErrorKind::NotADirectory.into()),
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn parent(path: &Path) -> &Path {
    path.parent().expect("everything in a lake lies below its root")
}

/// Writes without waiting for the disk, which begins at once; the page cache forgets what the disk has. Memory that the cache
/// gives up is then used again: on a virtual machine that has to ask its host for each new page, writing takes a third of
/// the time.
#[cfg(target_os = "linux")]
fn write_cold(file: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    use rustix::io::{Errno, ReadWriteFlags, pwritev2};
    /// `RWF_DONTCACHE` of `linux/fs.h`, since Linux 6.14.
    const DONTCACHE: ReadWriteFlags = ReadWriteFlags::from_bits_retain(0x80);
    /// In the file, where its cursor is; that then moves on.
    const AT_CURSOR: u64 = u64::MAX;
    while !bytes.is_empty() {
        match pwritev2(&*file, &[io::IoSlice::new(bytes)], AT_CURSOR, DONTCACHE) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            // an older system, or a file system that cannot
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => return file.write_all(bytes),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Only Linux has a way past the page cache that asks nothing of the file system.
#[cfg(not(target_os = "linux"))]
fn write_cold(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)
}

/// link(2) answers EPERM, EOPNOTSUPP or ENOSYS where the file system has no hard links.
fn lacks_links(error: &io::Error) -> bool {
    const EPERM: i32 = 1;
    error.kind() == io::ErrorKind::Unsupported || error.raw_os_error() == Some(EPERM)
}

/// Looks for what a listing passes over in silence but a person would take for landing data.
///
/// # Errors
/// If there is a link to nothing, or a name that ends in `#` and digits, which the local object store keeps to itself.
pub(crate) fn check_listable(folder: &Path, is_hidden: impl Fn(&str) -> bool) -> Result<(), StoreError> {
    let unlistable = |path: &Path, why| StoreError::Unlistable { object: path.display().to_string(), why };
    for entry in walkdir::WalkDir::new(folder).min_depth(1).follow_links(true) {
        let path = match &entry {
            Ok(entry) => entry.path(),
            Err(error) => error.path().unwrap_or(folder),
        };
        let below = path.strip_prefix(folder).unwrap_or(path).to_string_lossy();
        if is_hidden(&below) {
            continue;
        }
        match &entry {
            Ok(entry) if entry.file_type().is_file() && ends_in_hash_and_digits(&below) => {
                return Err(unlistable(path, "its name ends in # and digits"));
            }
            Err(error) if error.depth() > 0 && path.is_symlink() => {
                return Err(unlistable(path, "it is a link to nothing or to a folder around it"));
            }
            _ => {}
        }
    }
    Ok(())
}

fn ends_in_hash_and_digits(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.split_once('#').is_some_and(|(_, digits)| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use stedi_lake::RunId;

    use super::*;

    #[test]
    fn a_temporary_waits_with_its_run() {
        let run = RunId::new(1, 1);
        let folder = format!("_stedi/runs/{run}/tmp");
        for table in CuratedTable::ALL {
            assert_eq!(temporary_folder(&layout::part_path(table, run, 0, 0)), folder);
        }
        assert_eq!(temporary_folder(&layout::ledger_path(run)), folder);
        assert_eq!(temporary_folder(&layout::commit_path(1)), "_stedi/tmp");
    }
}
