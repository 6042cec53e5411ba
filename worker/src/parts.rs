//! Parts of a run, written into the lake and remembered for the commit.

use std::io;
use std::sync::{Mutex, PoisonError};

use object_store::ObjectStoreExt as _;
use stedi_engine::encode::PartStore;
use stedi_lake::commit::Part;
use stedi_lake::{CuratedTable, RunId, layout};
use stedi_store::{Action, Lake, PartWriter, PutNew, StoreError};
use tokio::runtime::Handle;

use crate::fault;

/// What it means that an object which is to be written is there already.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Existing<'a> {
    /// Something is wrong: nobody else may write it.
    Refused,
    /// An earlier attempt made the same bytes.
    AsGood(&'a Handle),
}

impl Existing<'_> {
    /// Decides about the object `path`, which was to have `bytes` bytes.
    pub(crate) fn check(self, lake: &Lake, path: &str, bytes: u64) -> io::Result<()> {
        let refused = |why: String| {
            let text = format!("{} exists already{why}: another run has this run's id", lake.location(path));
            Err(io::Error::new(io::ErrorKind::AlreadyExists, text))
        };
        match self {
            Existing::Refused => refused(String::new()),
            Existing::AsGood(runtime) => {
                let meta = runtime
                    .block_on(lake.store().head(&lake.path(path)))
                    .map_err(|error| StoreError::of_store(Action::Read, lake.location(path), error))?;
                if meta.size == bytes {
                    return Ok(());
                }
                refused(format!(" with {} bytes instead of {bytes}", meta.size))
            }
        }
    }
}

/// Writes the parts of one run below the lake.
#[derive(Debug)]
pub struct LakeParts<'a> {
    lake: &'a Lake,
    run: RunId,
    existing: Existing<'a>,
    written: Mutex<Vec<(CuratedTable, Part)>>,
}

/// A part being written.
#[derive(Debug)]
pub struct OpenPart {
    table: CuratedTable,
    writer: PartWriter,
}

impl<'a> LakeParts<'a> {
    /// The parts of `run`, none of which may be there.
    pub fn new(lake: &'a Lake, run: RunId) -> Self {
        Self { lake, run, existing: Existing::Refused, written: Mutex::default() }
    }

    /// The parts of a task of `run`: one that is there is as good, if it has the same size.
    pub fn of_task(lake: &'a Lake, run: RunId, runtime: &'a Handle) -> Self {
        Self { lake, run, existing: Existing::AsGood(runtime), written: Mutex::default() }
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
            self.existing.check(self.lake, &path, bytes)?;
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
