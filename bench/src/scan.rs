//! Reads landing and looks at every byte once, as cheaply as that goes.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rayon::prelude::*;
use stedi_lake::LandingTable;

/// Bytes that a thread takes at a time.
const RANGE_BYTES: u64 = 8 << 20;

/// Bytes in memory at a time, per thread: they stay in the level 2 cache.
const BUFFER_BYTES: usize = 256 << 10;

/// What a scan saw.
pub(crate) struct Scanned {
    pub(crate) bytes: u64,
    pub(crate) newlines: u64,
}

/// Counts the newlines of all landing objects in the folder `lake`, on all threads.
pub(crate) fn count_newlines(lake: &Path) -> anyhow::Result<Scanned> {
    let mut files = Vec::new();
    for table in LandingTable::ALL {
        list_files(&lake.join(table.path()), &mut files)?;
    }
    let ranges: Vec<(&PathBuf, u64, u64)> = files
        .iter()
        .flat_map(|(path, bytes)| {
            (0..bytes.div_ceil(RANGE_BYTES)).map(move |n| (path, n * RANGE_BYTES, (*bytes).min((n + 1) * RANGE_BYTES)))
        })
        .collect();
    let newlines =
        ranges.par_iter().map(|&(path, start, end)| count_in(path, start, end)).sum::<anyhow::Result<u64>>()?;
    Ok(Scanned { bytes: files.iter().map(|(_, bytes)| bytes).sum(), newlines })
}

fn list_files(folder: &Path, files: &mut Vec<(PathBuf, u64)>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("no landing in {}", folder.display()))? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            list_files(&entry.path(), files)?;
        } else {
            files.push((entry.path(), metadata.len()));
        }
    }
    Ok(())
}

fn count_in(path: &Path, mut at: u64, end: u64) -> anyhow::Result<u64> {
    let file = File::open(path)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut newlines = 0;
    while at < end {
        let wanted = usize::try_from(end - at).map_or(BUFFER_BYTES, |left| left.min(BUFFER_BYTES));
        file.read_exact_at(&mut buffer[..wanted], at)?;
        newlines += memchr::memchr_iter(b'\n', &buffer[..wanted]).count() as u64;
        at += wanted as u64;
    }
    Ok(newlines)
}
