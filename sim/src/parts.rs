//! Reads what a commit published and holds every part to its promises: name, size, schema, field ids, sort order,
//! compression, statistics, page index and shard.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;

use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::Int64Type;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use stedi_lake::commit::{CommitRecord, Part};
use stedi_lake::options::Compression;
use stedi_lake::{CuratedTable, MatchMode, keys, layout};

use crate::rows::{Rows, out_of_order};

mod bounds;

/// Tolerance over the target size of a part: a part ends with a row group, not with a byte.
const PART_BYTES_MAX: u64 = (256 << 20) * 5 / 4;

/// The newest commit of the lake at `root`, `None` if it has none.
///
/// # Panics
/// If the log cannot be read or holds something else.
pub fn current_commit(root: &Path) -> Option<CommitRecord> {
    let log = root.join(layout::LOG);
    let names = log.exists().then(|| fs::read_dir(&log).expect("the log is a folder"));
    let newest = names?.map(|entry| entry.expect("the log lists").file_name()).max()?;
    let seq = layout::commit_seq(newest.to_str().expect("names are text")).expect("the log holds commit records only");
    let record: CommitRecord =
        serde_json::from_slice(&fs::read(log.join(newest)).expect("a record reads")).expect("a record is JSON");
    assert_eq!(record.seq, seq, "a commit record repeats its number");
    Some(record)
}

/// The rows of a commit's tables.
///
/// # Panics
/// If a part breaks a promise.
pub fn read_tables(root: &Path, commit: &CommitRecord) -> BTreeMap<CuratedTable, Rows> {
    CuratedTable::ALL.into_iter().map(|table| (table, read_table(root, commit, table))).collect()
}

fn read_table(root: &Path, commit: &CommitRecord, table: CuratedTable) -> Rows {
    let committed = &commit.tables[&table];
    let mut batches = Vec::new();
    let mut shard_of_user = BTreeMap::new();
    let mut names = BTreeSet::new();
    for part in &committed.parts {
        let (shard, n) = shard_and_number(table, part);
        assert!(names.insert((shard, n)), "{} is there twice", part.path);
        assert!(shard < commit.options.shards, "{} of {} shards", part.path, commit.options.shards);
        assert_eq!(part.path, layout::part_path(table, commit.run_id, shard, n), "name of a part");
        let batch = read_part(root, commit, table, part);
        check_shard(commit, table, part, shard, &batch);
        if table == CuratedTable::AccelerometerTrusted && commit.options.match_mode == MatchMode::Customer {
            for user in batch.column(0).as_string::<i32>().iter().flatten() {
                let home = *shard_of_user.entry(user.to_owned()).or_insert(shard);
                assert_eq!(home, shard, "{}: a user's readings have one home shard", part.path);
            }
        }
        batches.push(batch);
    }
    let rows = Rows::new(table, &batches);
    assert_eq!(committed.rows, rows.len() as u64, "rows of {} in the commit record", table.name());
    assert_eq!(committed.bytes, committed.parts.iter().map(|p| p.bytes).sum::<u64>(), "bytes of {}", table.name());
    rows
}

fn shard_and_number(table: CuratedTable, part: &Part) -> (u32, u32) {
    let name = part.path.rsplit('/').next().unwrap_or_default();
    let digits = name.strip_prefix("part-").and_then(|rest| rest.strip_suffix(".parquet"));
    let (shard, n) = digits.and_then(|d| d.split_once('-')).expect("a part is called part-<shard>-<n>.parquet");
    assert!(part.path.starts_with(table.path()), "{} lies below its table", part.path);
    (shard.parse().expect("a shard"), n.parse().expect("a number"))
}

fn read_part(root: &Path, commit: &CommitRecord, table: CuratedTable, part: &Part) -> RecordBatch {
    let file = File::open(root.join(&part.path)).expect("a committed part exists");
    assert_eq!(file.metadata().expect("a file has a size").len(), part.bytes, "bytes of {}", part.path);
    assert!(part.bytes <= PART_BYTES_MAX, "{} has {} bytes", part.path, part.bytes);
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)
        .unwrap_or_else(|error| unreachable!("{} does not open: {error}", part.path));
    check_schema(table, part, &reader);
    let metadata = reader.metadata().clone();
    let schema = reader.schema().clone();
    let batches = reader.with_batch_size(1 << 16).build().and_then(|reader| Ok(reader.collect::<Result<Vec<_>, _>>()?));
    let batches = batches.unwrap_or_else(|error| unreachable!("{} does not read: {error}", part.path));
    let batch = concat_batches(&schema, &batches).expect("batches of one file have one schema");
    assert_eq!(batch.num_rows() as u64, part.rows, "rows of {}", part.path);
    assert!(part.rows > 0, "{} is empty: a table without rows has no parts", part.path);
    assert_eq!(out_of_order(table, &batch), None, "{} is not sorted", part.path);
    check_compression(commit.options.compression, part, &metadata);
    bounds::check(part, &metadata, &batch);
    batch
}

fn check_schema(table: CuratedTable, part: &Part, reader: &ParquetRecordBatchReaderBuilder<File>) {
    let expected = table.arrow_schema();
    assert_eq!(reader.schema().fields(), expected.fields(), "schema of {}", part.path);
    let columns = reader.parquet_schema().columns();
    for (id, (column, field)) in (1..).zip(columns.iter().zip(expected.fields())) {
        let info = column.self_type().get_basic_info();
        assert!(info.has_id() && info.id() == id, "field id of {} in {}", field.name(), part.path);
    }
}

fn check_compression(wanted: Compression, part: &Part, metadata: &ParquetMetaData) {
    for column in metadata.row_groups().iter().flat_map(|group| group.columns()) {
        let right = match wanted {
            Compression::Zstd => matches!(column.compression(), basic::Compression::ZSTD(_)),
            Compression::Snappy => column.compression() == basic::Compression::SNAPPY,
            Compression::None => column.compression() == basic::Compression::UNCOMPRESSED,
        };
        assert!(right, "{}: {:?} instead of {wanted}", part.path, column.compression());
    }
}

/// Readings lie in the shard that their serial number, or with `--match timestamp` their time, belongs to.
fn check_shard(commit: &CommitRecord, table: CuratedTable, part: &Part, shard: u32, batch: &RecordBatch) {
    let shards = commit.options.shards;
    let column = |name| -> &ArrayRef { batch.column_by_name(name).expect("the schema was checked") };
    let wrong = |of_row: &dyn Fn(usize) -> u32| (0..batch.num_rows()).filter(|&row| of_row(row) != shard).count();
    let rows = match (table, commit.options.match_mode) {
        (CuratedTable::CustomerTrusted | CuratedTable::CustomersCurated, _)
        | (CuratedTable::AccelerometerTrusted, MatchMode::Customer) => return,
        (CuratedTable::StepTrainerTrusted | CuratedTable::MachineLearningCurated, MatchMode::Customer) => {
            let serials = column("serialnumber").as_string::<i32>();
            wrong(&|row| keys::shard_of_serial(serials.value(row).as_bytes(), shards))
        }
        (_, MatchMode::Timestamp) => {
            let name = if table == CuratedTable::AccelerometerTrusted { "timestamp" } else { "sensorreadingtime" };
            let times = column(name).as_primitive::<Int64Type>();
            wrong(&|row| keys::shard_of_time(times.value(row), shards))
        }
    };
    assert_eq!(rows, 0, "{} holds rows of other shards", part.path);
}
