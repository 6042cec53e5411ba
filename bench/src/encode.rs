//! Encodes the tables of a commit once more, with the engine's own encoder, from memory to memory.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Context as _;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use stedi_engine::decode::NULL_I64;
use stedi_engine::directory::Directory;
use stedi_engine::encode::{PartStore, TableEncoder, encode_customers};
use stedi_engine::join::{GroupedBuilder, JoinSpace, Row, ShardRows};
use stedi_engine::rows::{Reading, StepReading};
use stedi_lake::commit::CommitRecord;
use stedi_lake::options::Compression;
use stedi_lake::{CuratedTable, Customer, MatchMode, layout};

/// The NaN that the engine sorts below every number, for NULL.
const NULL_XYZ: f64 = f64::from_bits(0xfff8_0000_0000_0000);

/// What encoding one table took.
pub(crate) struct Encoded {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
}

/// The files of the current commit of the lake in the folder `lake`.
fn current_parts(lake: &Path) -> anyhow::Result<BTreeMap<CuratedTable, Vec<PathBuf>>> {
    let names = fs::read_dir(lake.join(layout::LOG))?.map(|entry| Ok(entry?.path()));
    let newest = names.collect::<anyhow::Result<Vec<_>>>()?.into_iter().max().context("the lake has no commit")?;
    let commit: CommitRecord = serde_json::from_slice(&fs::read(newest)?)?;
    let files = |parts: &[stedi_lake::commit::Part]| parts.iter().map(|part| lake.join(&part.path)).collect();
    Ok(commit.tables.iter().map(|(&table, listed)| (table, files(&listed.parts))).collect())
}

/// Encodes the five tables of the current commit of the lake in the folder `lake`. Their rows are loaded, sorted and, for
/// machine_learning_curated, matched as in a run of one shard; the clock runs while rows are matched and encoded.
pub(crate) fn encode_all(lake: &Path) -> anyhow::Result<BTreeMap<CuratedTable, Encoded>> {
    let parts = current_parts(lake)?;
    let of = |table: CuratedTable| parts.get(&table).map_or(&[][..], Vec::as_slice);
    let trusted = load(of(CuratedTable::CustomerTrusted), customers)?;
    let curated = load(of(CuratedTable::CustomersCurated), customers)?;
    let directory = Directory::new(trusted, 1, MatchMode::Customer);
    let readings = load(of(CuratedTable::AccelerometerTrusted), |batch| readings(batch, &directory))?;
    let steps = load(of(CuratedTable::StepTrainerTrusted), |batch| steps(batch, &directory))?;
    let mut grouped_readings = GroupedBuilder::new(directory.user_count(), Vec::new());
    readings.iter().for_each(|row| grouped_readings.count(row.id(), 1));
    readings.iter().for_each(|row| grouped_readings.place(row.id(), 1)[0] = *row);
    let mut grouped_steps = GroupedBuilder::new(directory.serial_count(), Vec::new());
    steps.iter().for_each(|row| grouped_steps.count(row.id(), 1));
    steps.iter().for_each(|row| grouped_steps.place(row.id(), 1)[0] = *row);
    drop((readings, steps));
    let rows = ShardRows::new(grouped_readings, grouped_steps, false);
    let mut encoded = BTreeMap::new();
    for table in CuratedTable::ALL {
        let store = Nowhere::default();
        let mut encoder = TableEncoder::new(&store, table, 0, Compression::Zstd);
        let start = Instant::now();
        match table {
            CuratedTable::CustomerTrusted => {
                encode_customers(&store, table, &directory.customers().iter().collect::<Vec<_>>(), Compression::Zstd)?;
            }
            CuratedTable::CustomersCurated => {
                encode_customers(&store, table, &curated.iter().collect::<Vec<_>>(), Compression::Zstd)?;
            }
            CuratedTable::AccelerometerTrusted => rows.write_readings(&directory, &mut encoder)?,
            CuratedTable::StepTrainerTrusted => rows.write_steps(&directory, &mut encoder)?,
            CuratedTable::MachineLearningCurated => {
                rows.write_matches(&directory, &mut JoinSpace::default(), &mut encoder)?
            }
        }
        encoder.end_part()?;
        let seconds = start.elapsed().as_secs_f64();
        let sum = |sum: &AtomicU64| sum.load(Ordering::Relaxed);
        encoded.insert(table, Encoded { rows: sum(&store.rows), bytes: sum(&store.bytes), seconds });
    }
    Ok(encoded)
}

/// Takes parts and keeps only their sizes.
#[derive(Default)]
struct Nowhere {
    rows: AtomicU64,
    bytes: AtomicU64,
}

impl PartStore for Nowhere {
    type Part = io::Sink;

    fn create(&self, _: CuratedTable, _: u32, _: u32) -> io::Result<io::Sink> {
        Ok(io::sink())
    }

    fn finish(&self, _: io::Sink, rows: u64, bytes: u64) -> io::Result<()> {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }
}

fn load<T>(parts: &[PathBuf], rows_of: impl Fn(&RecordBatch) -> Option<Vec<T>>) -> anyhow::Result<Vec<T>> {
    let mut rows = Vec::new();
    for part in parts {
        for batch in ParquetRecordBatchReaderBuilder::try_new(File::open(part)?)?.build()? {
            rows.extend(rows_of(&batch?).context("a part has other columns than its table")?);
        }
    }
    Ok(rows)
}

fn customers(batch: &RecordBatch) -> Option<Vec<Customer>> {
    let texts = (0..5).map(|i| batch.column(i).as_string_opt::<i32>()).collect::<Option<Vec<_>>>()?;
    let numbers = (5..10).map(|i| batch.column(i).as_primitive_opt::<Int64Type>()).collect::<Option<Vec<_>>>()?;
    let customer = |row: usize| {
        let text = |i: usize| texts[i].is_valid(row).then(|| Box::from(texts[i].value(row)));
        let number = |i: usize| numbers[i].is_valid(row).then(|| numbers[i].value(row));
        Customer {
            customer_name: text(0),
            email: text(1).unwrap_or_default(),
            phone: text(2),
            birth_day: text(3),
            serial_number: text(4).unwrap_or_default(),
            registration_date: number(0),
            last_update_date: number(1),
            share_with_research_as_of_date: number(2),
            share_with_public_as_of_date: number(3),
            share_with_friends_as_of_date: number(4),
        }
    };
    Some((0..batch.num_rows()).map(customer).collect())
}

fn readings(batch: &RecordBatch, directory: &Directory) -> Option<Vec<Reading>> {
    let users = batch.column(0).as_string_opt::<i32>()?;
    let times = batch.column(1).as_primitive_opt::<Int64Type>()?;
    let axes = (2..5).map(|i| batch.column(i).as_primitive_opt::<Float64Type>()).collect::<Option<Vec<_>>>()?;
    let reading = |row: usize| {
        let axis = |i: usize| if axes[i].is_valid(row) { axes[i].value(row) } else { NULL_XYZ };
        let user = directory.user(users.value(row).as_bytes())?;
        Some(Reading { time_ms: times.value(row), xyz: [0, 1, 2].map(axis), user })
    };
    (0..batch.num_rows()).map(reading).collect()
}

fn steps(batch: &RecordBatch, directory: &Directory) -> Option<Vec<StepReading>> {
    let times = batch.column(0).as_primitive_opt::<Int64Type>()?;
    let serials = batch.column(1).as_string_opt::<i32>()?;
    let distances = batch.column(2).as_primitive_opt::<Int64Type>()?;
    let step = |row: usize| {
        let distance = if distances.is_valid(row) { distances.value(row) } else { NULL_I64 };
        Some(StepReading {
            time_ms: times.value(row),
            distance,
            serial: directory.serial(serials.value(row).as_bytes())?,
        })
    };
    (0..batch.num_rows()).map(step).collect()
}
