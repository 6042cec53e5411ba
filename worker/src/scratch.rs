//! Nameless files for what a run spills: the kernel removes them whatever happens to the process.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use stedi_lake::checksum;

/// Seed of the hashes of segments.
const SEED: u64 = 0;

/// Space that a spill leaves free for others.
const FREE_BYTES_MIN: u64 = 64 << 20;

/// Why the scratch folder failed.
#[derive(Debug, thiserror::Error)]
pub enum ScratchError {
    /// No space for what must be spilled.
    #[error(
        "scratch folder {} has {free_mib} MiB free where {wanted_mib} MiB are needed; free some, or name another with --scratch, or raise --memory",
        dir.display()
    )]
    Full {
        /// The folder.
        dir: PathBuf,
        /// Free space.
        free_mib: u64,
        /// What the next spill needs.
        wanted_mib: u64,
    },
    /// Any other failure.
    #[error("failed to use scratch folder {}; name another with --scratch", dir.display())]
    Io {
        /// The folder.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A scratch file; made when first needed.
#[derive(Debug)]
pub struct Scratch {
    dir: PathBuf,
    file: OnceLock<File>,
    end: AtomicU64,
    /// By this file and its [further](Scratch::further) ones.
    written_bytes: Arc<AtomicU64>,
}

/// A piece of the scratch file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    start: u64,
    bytes: u64,
    /// Of what was written: damage may look like rows.
    hash: u64,
}

impl Scratch {
    /// Scratch space in the folder `dir`.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), file: OnceLock::new(), end: AtomicU64::new(0), written_bytes: Arc::default() }
    }

    /// A file more in the same folder, whose space is free again as soon as it is dropped.
    pub fn further(&self) -> Self {
        Self { written_bytes: Arc::clone(&self.written_bytes), ..Self::new(&self.dir) }
    }

    /// Makes the folder if it is missing, so that one that cannot be used is known before it is needed.
    ///
    /// # Errors
    /// If it is no folder and cannot become one.
    pub fn make_folder(&self) -> Result<(), ScratchError> {
        std::fs::create_dir_all(&self.dir).map_err(|error| self.failed(error))
    }

    /// Bytes written so far, to further files, too.
    pub fn bytes_written(&self) -> u64 {
        self.written_bytes.load(Ordering::Relaxed)
    }

    /// Writes `bytes` and tells where.
    ///
    /// # Errors
    /// If there is no space or the folder cannot be written.
    pub fn write(&self, bytes: &[u8]) -> Result<Segment, ScratchError> {
        let wanted = bytes.len() as u64;
        let free = self.free_bytes()?;
        if free < wanted + FREE_BYTES_MIN {
            return Err(self.full(free, wanted + FREE_BYTES_MIN));
        }
        let start = self.end.fetch_add(wanted, Ordering::Relaxed);
        match self.file()?.write_all_at(bytes, start) {
            Ok(()) => {
                self.written_bytes.fetch_add(wanted, Ordering::Relaxed);
                Ok(Segment { start, bytes: wanted, hash: checksum::hash(bytes, SEED) })
            }
            Err(error) if error.kind() == io::ErrorKind::StorageFull => Err(self.full(0, wanted)),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Reads a segment into `bytes`, in place of what is there.
    ///
    /// # Errors
    /// If the scratch file cannot be read, or has other bytes there than were written.
    ///
    /// # Panics
    /// If nothing was written: segments come from [`Self::write`].
    pub fn read(&self, segment: Segment, bytes: &mut Vec<u8>) -> Result<(), ScratchError> {
        let file = self.file.get().expect("a segment was written to the file");
        bytes.resize(usize::try_from(segment.bytes).unwrap_or(usize::MAX), 0);
        file.read_exact_at(bytes, segment.start).map_err(|error| self.failed(error))?;
        if checksum::hash(bytes, SEED) != segment.hash {
            return Err(self.failed(io::Error::new(io::ErrorKind::InvalidData, "what was written came back different")));
        }
        Ok(())
    }

    /// An error of this scratch folder.
    pub fn failed(&self, source: io::Error) -> ScratchError {
        ScratchError::Io { dir: self.dir.clone(), source }
    }

    fn full(&self, free: u64, wanted: u64) -> ScratchError {
        ScratchError::Full { dir: self.dir.clone(), free_mib: free >> 20, wanted_mib: wanted.div_ceil(1 << 20) }
    }

    fn free_bytes(&self) -> Result<u64, ScratchError> {
        let stat = rustix::fs::statvfs(&self.dir).map_err(|error| self.failed(error.into()))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn file(&self) -> Result<&File, ScratchError> {
        if self.file.get().is_none() {
            let file = tempfile::tempfile_in(&self.dir).map_err(|error| self.failed(error))?;
            // another thread may have been faster; its file is as good
            let _ = self.file.set(file);
        }
        Ok(self.file.get().expect("set above or by another thread"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_read_back_and_leave_no_file() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let scratch = Scratch::new(dir.path());
        let segments: Vec<Segment> =
            (0..10_u8).map(|i| scratch.write(&vec![i; usize::from(i) * 100]).expect("space")).collect();
        for (i, segment) in (0_u8..).zip(segments) {
            let mut back = Vec::new();
            scratch.read(segment, &mut back).expect("readable");
            assert_eq!(back, vec![i; usize::from(i) * 100]);
        }
        assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 0);
    }

    #[test]
    fn damage_is_an_error() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let scratch = Scratch::new(dir.path());
        let first = scratch.write(b"some rows").expect("space");
        let second = scratch.write(b"others").expect("space");
        let file = scratch.file.get().expect("written to");
        file.write_all_at(b"S", second.start).expect("the file is there");
        let mut back = Vec::new();
        scratch.read(first, &mut back).expect("whole");
        let error = scratch.read(second, &mut back).expect_err("damaged");
        assert!(error.to_string().contains("--scratch"), "{error}");
    }

    #[test]
    fn a_missing_folder_is_named() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let scratch = Scratch::new(&dir.path().join("gone"));
        let error = scratch.write(b"x").expect_err("no folder");
        assert!(error.to_string().contains("gone") && error.to_string().contains("--scratch"), "{error}");
    }
}
