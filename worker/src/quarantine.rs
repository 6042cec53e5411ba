//! Records that cannot be read, kept as Parquet with all that is needed to find and mend them.

mod large;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::builder::{BinaryBuilder, Int64Builder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use stedi_engine::decode::{Reject, RejectReason};
use stedi_engine::scan::Quarantine;
use stedi_job::task::TaskId;
use stedi_lake::report::DAMAGED;
use stedi_lake::{LandingTable, RunId, layout};
use stedi_store::{Lake, PartWriter, PutNew};
use tokio::runtime::Handle;

use crate::parts::Existing;

/// A thread writes its rejects when it holds so many bytes of them.
const FILE_BYTES: usize = 4 << 20;

/// A record that is longer than this is never held: it gets a file of its own.
const HELD_BYTES_MAX: usize = 1 << 20;

/// Objects and reasons for which a summary says where their records are.
const PLACES_MAX: usize = 256;

/// The quarantine of one run: files below [`layout::quarantine_path`].
///
/// The files of a task are named by the task, like parts: however often it is attempted, it finds the same records in
/// the same order, so that its attempts write the same files and none of them counts twice.
///
/// Columns: landing table and object key, byte offset and length in the (decompressed) object, reason, raw bytes. Of a
/// record longer than 16 MiB, `raw` is the beginning. Most files are compressed; one of a single large record is not.
#[derive(Debug)]
pub struct QuarantineStore<'a> {
    lake: &'a Lake,
    run: RunId,
    task: Option<TaskId>,
    existing: Existing<'a>,
    files: Mutex<Vec<String>>,
    rejects: Mutex<Rejects>,
}

/// What was put so far.
#[derive(Debug, Default)]
struct Rejects {
    reasons: BTreeMap<(LandingTable, String), u64>,
    /// Of each object: how many for this reason, and where the first one starts.
    places: BTreeMap<(LandingTable, String, String), (u64, u64)>,
}

impl Rejects {
    fn put(&mut self, table: LandingTable, object: &str, reason: &str, offset: u64) {
        *self.reasons.entry((table, reason.to_owned())).or_default() += 1;
        let place = (table, object.to_owned(), reason.to_owned());
        // a damaged object is never left out: it may not be committed
        if self.places.len() >= PLACES_MAX && reason != DAMAGED && !self.places.contains_key(&place) {
            return;
        }
        let (records, first_offset) = self.places.entry(place).or_insert((0, u64::MAX));
        *records += 1;
        *first_offset = offset.min(*first_offset);
    }
}

/// What was quarantined, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuarantineSummary {
    /// Files below the lake.
    pub files: Vec<String>,
    /// Records by landing table and reason.
    pub reasons: Vec<(LandingTable, String, u64)>,
    /// The same by object, of the first few hundred objects and reasons.
    pub places: Vec<RejectPlace>,
}

/// Records of one landing object that could not be read, for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectPlace {
    /// The landing table.
    pub table: LandingTable,
    /// Key of the object.
    pub object: String,
    /// Why they could not be read.
    pub reason: String,
    /// How many they are.
    pub records: u64,
    /// Where the first one starts in the (decompressed) object.
    pub first_offset: u64,
}

impl fmt::Display for RejectPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { object, reason, records, first_offset, .. } = self;
        let records = if *records == 1 { "1 record".to_owned() } else { format!("{records} records") };
        write!(f, "{object}: {records}, the first one at byte {first_offset}: {reason}")
    }
}

impl<'a> QuarantineStore<'a> {
    /// An empty quarantine of `run`.
    pub fn new(lake: &'a Lake, run: RunId) -> Self {
        Self::named(lake, run, None, Existing::Refused)
    }

    /// The quarantine of one task of `run`; a file that an earlier attempt wrote is as good.
    pub fn of_task(lake: &'a Lake, run: RunId, task: TaskId, runtime: &'a Handle) -> Self {
        Self::named(lake, run, Some(task), Existing::AsGood(runtime))
    }

    fn named(lake: &'a Lake, run: RunId, task: Option<TaskId>, existing: Existing<'a>) -> Self {
        Self { lake, run, task, existing, files: Mutex::default(), rejects: Mutex::default() }
    }

    /// What is in it so far.
    pub fn summary(&self) -> QuarantineSummary {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner).clone();
        files.sort_unstable();
        let rejects = self.rejects.lock().unwrap_or_else(PoisonError::into_inner);
        let reasons = rejects.reasons.iter().map(|((table, reason), count)| (*table, reason.clone(), *count)).collect();
        let place =
            |((table, object, reason), (records, first_offset)): (&(LandingTable, String, String), &(u64, u64))| {
                let (object, reason) = (object.clone(), reason.clone());
                RejectPlace { table: *table, object, reason, records: *records, first_offset: *first_offset }
            };
        QuarantineSummary { files, reasons, places: rejects.places.iter().map(place).collect() }
    }

    /// Writes file `n` of a group; one file at a time, as each takes memory.
    fn write(
        &self,
        group: usize,
        n: u32,
        encode: impl FnOnce(&mut PartWriter) -> Result<(), ParquetError>,
    ) -> io::Result<()> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let name = match self.task {
            Some(task) => format!("{task}-{group:05}-{n:03}"),
            None => format!("{:05}", files.len()),
        };
        let path = layout::quarantine_path(self.run, &name);
        let mut part = self.lake.part_writer(&path)?;
        encode(&mut part).map_err(of_parquet)?;
        let bytes = part.bytes();
        if part.finish()? == PutNew::Exists {
            self.existing.check(self.lake, &path, bytes)?;
        }
        files.push(path);
        Ok(())
    }
}

/// The store's error, if it is behind the library's.
fn of_parquet(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(source) => io::Error::other(source),
        },
        error => io::Error::other(error),
    }
}

/// A record, and why it could not be read.
struct Row<'a> {
    table: LandingTable,
    object: &'a str,
    offset: u64,
    bytes: u64,
    reason: &'a str,
    raw: &'a [u8],
}

/// One thread's way into the quarantine. Call [`Self::flush`] at the end.
#[derive(Debug)]
pub struct QuarantineWriter<'a> {
    store: &'a QuarantineStore<'a>,
    table: LandingTable,
    object: String,
    group: usize,
    /// Number of the group's next file.
    next_n: u32,
    rows: Columns,
    error: Option<io::Error>,
}

#[derive(Debug, Default)]
struct Columns {
    tables: StringBuilder,
    objects: StringBuilder,
    offsets: Int64Builder,
    lengths: Int64Builder,
    reasons: StringBuilder,
    raw: BinaryBuilder,
    bytes: usize,
}

impl<'a> QuarantineWriter<'a> {
    /// A writer for records of `table`.
    pub fn new(store: &'a QuarantineStore<'a>, table: LandingTable) -> Self {
        Self { store, table, object: String::new(), group: 0, next_n: 0, rows: Columns::default(), error: None }
    }

    /// The rejects to come are of the object `key`, read as a part of `group`.
    ///
    /// # Errors
    /// If those of the group before cannot be written.
    pub fn enter(&mut self, group: usize, key: &str) -> io::Result<()> {
        if self.group != group {
            if self.store.task.is_some() {
                self.flush()?;
            }
            (self.group, self.next_n) = (group, 0);
        }
        if self.object != key {
            key.clone_into(&mut self.object);
        }
        Ok(())
    }

    fn push(&mut self, offset: u64, bytes: u64, reason: &str, raw: &[u8]) {
        let mut rejects = self.store.rejects.lock().unwrap_or_else(PoisonError::into_inner);
        rejects.put(self.table, &self.object, reason, offset);
        drop(rejects);
        let written = if raw.len() > HELD_BYTES_MAX {
            let n = self.take_n();
            let row = Row { table: self.table, object: &self.object, offset, bytes, reason, raw };
            self.store.write(self.group, n, |part| large::write(part, &row))
        } else {
            let rows = &mut self.rows;
            rows.tables.append_value(self.table.name());
            rows.objects.append_value(&self.object);
            rows.offsets.append_value(offset.cast_signed());
            rows.lengths.append_value(bytes.cast_signed());
            rows.reasons.append_value(reason);
            rows.raw.append_value(raw);
            rows.bytes += raw.len() + self.object.len() + 64;
            if rows.bytes >= FILE_BYTES { self.write() } else { Ok(()) }
        };
        // a sink cannot fail; flush tells it later
        if let Err(error) = written {
            self.error.get_or_insert(error);
        }
    }

    fn take_n(&mut self) -> u32 {
        let n = self.next_n;
        self.next_n += 1;
        n
    }

    /// Writes what is held.
    ///
    /// # Errors
    /// The first failure of this writer.
    pub fn flush(&mut self) -> io::Result<()> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        if self.rows.bytes > 0 { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> io::Result<()> {
        let mut rows = std::mem::take(&mut self.rows);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(rows.tables.finish()),
            Arc::new(rows.objects.finish()),
            Arc::new(rows.offsets.finish()),
            Arc::new(rows.lengths.finish()),
            Arc::new(rows.reasons.finish()),
            Arc::new(rows.raw.finish()),
        ];
        let batch = RecordBatch::try_new(schema(), columns).map_err(io::Error::other)?;
        let n = self.take_n();
        self.store.write(self.group, n, |part| {
            let properties =
                WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
            let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
            let mut writer = ArrowWriter::try_new_with_options(part, batch.schema(), options)?;
            writer.write(&batch)?;
            drop(batch);
            writer.close().map(|_| ())
        })
    }
}

impl Quarantine for QuarantineWriter<'_> {
    fn put(&mut self, reject: Reject<'_>) {
        self.push(reject.offset, reject.bytes, &reason_text(reject.reason), reject.raw);
    }
}

fn schema() -> SchemaRef {
    let field = |name: &str, ty| Field::new(name, ty, false);
    Arc::new(Schema::new(vec![
        field("landing_table", DataType::Utf8),
        field("object", DataType::Utf8),
        field("offset", DataType::Int64),
        field("bytes", DataType::Int64),
        field("reason", DataType::Utf8),
        field("raw", DataType::Binary),
    ]))
}

/// The reason as the quarantine and the summaries spell it.
fn reason_text(reason: RejectReason) -> String {
    match reason {
        RejectReason::CutOff => "cut off".to_owned(),
        RejectReason::InvalidJson => "not JSON".to_owned(),
        RejectReason::InvalidUtf8 => "not UTF-8".to_owned(),
        RejectReason::MissingField(field) => format!("{field} is missing"),
        RejectReason::WrongType(field) => format!("{field} has the wrong type"),
        RejectReason::Damaged => DAMAGED.to_owned(),
        RejectReason::TooLong => "longer than 16 MiB".to_owned(),
    }
}
