//! Parts of a run, written into the lake and remembered for the commit.

use std::io;
use std::sync::{Mutex, PoisonError};

use stedi_engine::encode::PartStore;
use stedi_lake::commit::Part;
use stedi_lake::{CuratedTable, RunId, layout};
use stedi_store::{Lake, PartWriter, PutNew};

use crate::fault;

/// Writes the parts of one run below the lake.
#[derive(Debug)]
pub struct LakeParts<'a> {
    lake: &'a Lake,
    run: RunId,
    written: Mutex<Vec<(CuratedTable, Part)>>,
}

/// A part being written.
#[derive(Debug)]
pub struct OpenPart {
    table: CuratedTable,
    writer: PartWriter,
}

impl<'a> LakeParts<'a> {
    /// The parts of `run`.
    pub fn new(lake: &'a Lake, run: RunId) -> Self {
        Self { lake, run, written: Mutex::default() }
    }

    /// All parts that were completed, in no particular order.
    pub fn into_written(self) -> Vec<(CuratedTable, Part)> {
        self.written.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PartStore for LakeParts<'_> {
    type Part = OpenPart;

    fn create(&self, table: CuratedTable, shard: u32, n: u32) -> io::Result<OpenPart> {
        let writer = self.lake.part_writer(&layout::part_path(table, self.run, shard, n))?;
        fault::point("part_begun");
        Ok(OpenPart { table, writer })
    }

    fn finish(&self, part: OpenPart, rows: u64, bytes: u64) -> io::Result<()> {
        let path = part.writer.path().to_owned();
        if part.writer.finish()? == PutNew::Exists {
            let text = format!("{} exists already: another run has this run's id", self.lake.location(&path));
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        fault::point("part_visible");
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.push((part.table, Part { path, rows, bytes }));
        Ok(())
    }
}

impl io::Write for OpenPart {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
