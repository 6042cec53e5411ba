//! A small lake in memory, its rows written out by hand.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, LargeStringArray, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression as ParquetCompression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use stedi::verify::objects::{LandingObject, Listed, Objects};
use stedi_lake::commit::{CommitRecord, FORMAT_VERSION, InputVersion, Operation, Part, TableCommit, fingerprint};
use stedi_lake::options::TableOptions;
use stedi_lake::report::{LandingCounts, LedgerEntry};
use stedi_lake::{ConsentPolicy, CuratedTable, LandingTable, MatchMode, RunId, layout};

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    T(&'static str),
    I(i64),
    F(f64),
    N,
}

use Value::{F, I, N, T};

pub(crate) type Row = Vec<Value>;

/// A lake in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryLake {
    pub(crate) objects: BTreeMap<String, Bytes>,
    /// Landing objects with their ETags.
    pub(crate) landing: BTreeMap<String, (Bytes, String)>,
}

fn slice(bytes: Option<&Bytes>, range: Range<u64>) -> io::Result<Bytes> {
    let at = |n: u64| usize::try_from(n).expect("a small lake");
    let bytes = bytes.ok_or(io::ErrorKind::NotFound)?;
    let end = bytes.len().min(at(range.end));
    Ok(bytes.slice(at(range.start).min(end)..end))
}

impl Objects for MemoryLake {
    fn list(&self, folder: &str) -> io::Result<Vec<Listed>> {
        let below = |path: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        let listed = |(path, bytes): (&String, &Bytes)| Listed { path: path.clone(), bytes: bytes.len() as u64 };
        Ok(self.objects.iter().filter(|(path, _)| below(path)).map(listed).collect())
    }

    fn read(&self, path: &str, range: Range<u64>) -> io::Result<Bytes> {
        slice(self.objects.get(path), range)
    }

    fn landing(&self, key: &str) -> io::Result<Option<LandingObject>> {
        let object = |(bytes, etag): &(Bytes, String)| LandingObject { bytes: bytes.len() as u64, etag: etag.clone() };
        Ok(self.landing.get(key).map(object))
    }

    fn read_landing(&self, key: &str, range: Range<u64>) -> io::Result<Bytes> {
        slice(self.landing.get(key).map(|(bytes, _)| bytes), range)
    }
}

/// Everything a lake is made of, to be changed before it is built.
#[derive(Clone)]
pub(crate) struct Fixture {
    pub(crate) customer_landing: String,
    /// Rows by table, then by shard.
    tables: BTreeMap<CuratedTable, Vec<Vec<Row>>>,
    pub(crate) options: TableOptions,
    /// Customer, accelerometer, step trainer; size and ETag are filled in.
    pub(crate) ledger: [LedgerEntry; 3],
    /// Changes the schema of step_trainer_trusted.
    pub(crate) schema: fn(SchemaRef, Vec<ArrayRef>) -> (SchemaRef, Vec<ArrayRef>),
}

/// A row of a customer table whose other columns are null.
pub(crate) fn customer(email: &'static str, serial: &'static str, updated: i64, research: Value) -> Row {
    vec![N, T(email), N, N, T(serial), N, I(updated), research, N, N]
}

fn entry(table: LandingTable, rows: u64, kept: u64, quarantined: u64) -> LedgerEntry {
    let counts = LandingCounts { objects: 1, bytes: 0, rows, kept, filtered: rows - kept - quarantined, quarantined };
    LedgerEntry { table, key: format!("{}/a.json", table.path()), etag: "1".to_owned(), counts }
}

impl Fixture {
    /// Alice owns S1, Bob S2 and S3 (another shard), Carol withdrew, Dave has no reading. Consent `latest`, match
    /// `customer`.
    pub(crate) fn good() -> Self {
        let customer_landing = concat!(
            "\u{feff}{\"email\":\"alice@x.test\",\"serialNumber\":\"S1\",\"lastUpdateDate\":5},\r\n",
            "\n{\"SERIALNUMBER\" : \"S1\", \"Email\": \"alice@x.test\",\"extra\":{\"a\":[{}]},\"lastUpdateDate\":\"10\",",
            "\"shareWithResearchAsOfDate\":11}\n",
            "{\"email\":\"bob@x.test\",\"serialNumber\":\"S2\",\"lastUpdateDate\":1e1,\"shareWithResearchAsOfDate\":10}",
            "{\"email\":\"bob@x.test\",\"serialNumber\":\"S3\",\"lastUpdateDate\":9,\"shareWithResearchAsOfDate\":10}\n",
            "{\"email\":\"cut off@x.te\n",
            "{\"email\":\"carol@x.test\",\"serialNumber\":\"S9\",\"lastUpdateDate\":10,\"shareWithResearchAsOfDate\":10}\n",
            "{\n  \"email\":\"carol@x.test\",\n  \"serialNumber\":\"S8\",\n  \"lastUpdateDate\":20\n}\n",
            "{\"email\":\"dave@x.test\",\"serialNumber\":\"S4\",\"lastUpdateDate\":10,\"shareWithResearchAsOfDate\":10}",
        );
        let alice = customer("alice@x.test", "S1", 10, I(11));
        let bob = [customer("bob@x.test", "S2", 10, I(10)), customer("bob@x.test", "S3", 9, I(10))];
        let dave = customer("dave@x.test", "S4", 10, I(10));
        let reading = |user, time, x| vec![T(user), I(time), x, F(1.0), F(2.0)];
        let step = |serial, time, distance| vec![I(time), T(serial), distance];
        let pair =
            |serial, time, distance, user, x| vec![T(serial), I(time), distance, T(user), I(time), x, F(1.0), F(2.0)];
        let tables = BTreeMap::from([
            (CuratedTable::CustomerTrusted, vec![vec![alice.clone(), bob[0].clone(), bob[1].clone(), dave]]),
            (CuratedTable::CustomersCurated, vec![vec![alice, bob[0].clone(), bob[1].clone()]]),
            (
                CuratedTable::AccelerometerTrusted,
                vec![
                    vec![
                        reading("alice@x.test", 100, F(-0.0)),
                        reading("alice@x.test", 100, F(0.0)),
                        reading("alice@x.test", 101, N),
                        reading("alice@x.test", 101, N),
                    ],
                    vec![reading("bob@x.test", 100, F(3.0)), reading("bob@x.test", 300, F(4.0))],
                ],
            ),
            (
                CuratedTable::StepTrainerTrusted,
                vec![
                    vec![step("S1", 100, N), step("S1", 100, I(7)), step("S1", 900, I(8))],
                    vec![step("S2", 300, I(1)), step("S3", 100, I(2)), step("S3", 400, I(3))],
                ],
            ),
            (
                CuratedTable::MachineLearningCurated,
                vec![
                    vec![
                        pair("S1", 100, N, "alice@x.test", F(-0.0)),
                        pair("S1", 100, N, "alice@x.test", F(0.0)),
                        pair("S1", 100, I(7), "alice@x.test", F(-0.0)),
                        pair("S1", 100, I(7), "alice@x.test", F(0.0)),
                    ],
                    vec![pair("S2", 300, I(1), "bob@x.test", F(4.0)), pair("S3", 100, I(2), "bob@x.test", F(3.0))],
                ],
            ),
        ]);
        Self {
            customer_landing: customer_landing.to_owned(),
            tables,
            options: TableOptions { shards: 2, ..TableOptions::default() },
            ledger: [
                entry(LandingTable::Customer, 8, 4, 1),
                entry(LandingTable::Accelerometer, 9, 6, 0),
                entry(LandingTable::StepTrainer, 8, 6, 1),
            ],
            schema: |schema, columns| (schema, columns),
        }
    }

    /// The same landing with consent `any` and match `timestamp`: Carol's older record counts, and strangers pair.
    pub(crate) fn any_and_timestamp() -> Self {
        let mut fixture = Self::good();
        fixture.options.consent = ConsentPolicy::Any;
        fixture.options.match_mode = MatchMode::Timestamp;
        fixture.customer_landing += "{\"email\":\"alice@x.test\",\"serialNumber\":\"S1\",\"lastUpdateDate\":10,";
        fixture.customer_landing += "\"shareWithResearchAsOfDate\":11}";
        fixture.ledger[0] = entry(LandingTable::Customer, 9, 6, 1);
        let alice = customer("alice@x.test", "S1", 10, I(11));
        fixture.part(CuratedTable::CustomerTrusted, 0).insert(0, alice);
        fixture.part(CuratedTable::CustomerTrusted, 0).insert(4, customer("carol@x.test", "S9", 10, I(10)));
        let strangers = [("S1", N), ("S1", I(7)), ("S3", I(2))];
        let mut pairs: Vec<Row> = Vec::new();
        for (serial, distance) in &strangers {
            for (user, x) in [("alice@x.test", F(-0.0)), ("alice@x.test", F(0.0)), ("bob@x.test", F(3.0))] {
                pairs.push(vec![T(serial), I(100), distance.clone(), T(user), I(100), x, F(1.0), F(2.0)]);
            }
        }
        // within a serial number and a time, the user comes before the distance
        pairs[..6].sort_by_key(|row| if row[3] == T("alice@x.test") { 0 } else { 1 });
        pairs[6..].iter().for_each(|row| assert_eq!(row[0], T("S3")));
        pairs.insert(6, vec![T("S2"), I(300), I(1), T("bob@x.test"), I(300), F(4.0), F(1.0), F(2.0)]);
        fixture.tables.insert(CuratedTable::MachineLearningCurated, vec![pairs]);
        fixture
    }

    pub(crate) fn part(&mut self, table: CuratedTable, shard: usize) -> &mut Vec<Row> {
        &mut self.tables.get_mut(&table).expect("all tables")[shard]
    }

    pub(crate) fn parts(&self, table: CuratedTable) -> usize {
        self.tables[&table].len()
    }

    /// Writes the lake and its commit record.
    pub(crate) fn build(&self) -> (MemoryLake, CommitRecord) {
        let run_id = RunId::new(1_655_564_444_103, 7);
        let mut lake = MemoryLake::default();
        let mut tables = BTreeMap::new();
        for (&table, shards) in &self.tables {
            let mut parts = Vec::new();
            for (shard, rows) in (0..).zip(shards) {
                let path = layout::part_path(table, run_id, shard, 0);
                let bytes = self.encode(table, rows);
                parts.push(Part { path: path.clone(), rows: rows.len() as u64, bytes: bytes.len() as u64 });
                lake.objects.insert(path, bytes);
            }
            tables.insert(table, TableCommit::new(parts));
        }
        let mut ledger = self.ledger.clone();
        ledger[0].counts.bytes = self.customer_landing.len() as u64;
        let object = (Bytes::from(self.customer_landing.clone()), "1".to_owned());
        lake.landing.insert(ledger[0].key.clone(), object);
        let lines: Vec<String> =
            ledger.iter().map(|entry| serde_json::to_string(entry).expect("a ledger line is JSON")).collect();
        lake.objects.insert(layout::ledger_path(run_id), Bytes::from(lines.join("\n")));
        let version = |e: &'_ LedgerEntry| InputVersion { table: e.table, key: "", etag: "", bytes: e.counts.bytes };
        let versions = ledger.iter().map(|e| InputVersion { key: &e.key, etag: &e.etag, ..version(e) }).collect();
        let commit = CommitRecord {
            format_version: FORMAT_VERSION,
            seq: 1,
            run_id,
            committed_at_ms: 1,
            operation: Operation::Run,
            options: self.options.clone(),
            inputs_fingerprint: fingerprint(versions),
            landing_elsewhere: BTreeMap::new(),
            landing: ledger.iter().map(|entry| (entry.table, entry.counts)).collect(),
            tables,
        };
        (lake, commit)
    }

    fn encode(&self, table: CuratedTable, rows: &[Row]) -> Bytes {
        let schema = table.arrow_schema();
        let column = |(index, field): (usize, &Arc<Field>)| -> ArrayRef {
            let values = || rows.iter().map(|row| &row[index]);
            let wrong = |value: &Value| -> ! { unreachable!("{value:?} in column {index} of {}", table.name()) };
            match field.data_type() {
                DataType::Utf8 => Arc::new(StringArray::from_iter(values().map(|value| match value {
                    T(text) => Some(*text),
                    N => None,
                    _ => wrong(value),
                }))),
                DataType::Int64 => Arc::new(Int64Array::from_iter(values().map(|value| match value {
                    I(number) => Some(*number),
                    N => None,
                    _ => wrong(value),
                }))),
                _ => Arc::new(Float64Array::from_iter(values().map(|value| match value {
                    F(number) => Some(*number),
                    N => None,
                    _ => wrong(value),
                }))),
            }
        };
        let mut columns: Vec<ArrayRef> = schema.fields().iter().enumerate().map(column).collect();
        let mut schema = schema;
        if table == CuratedTable::StepTrainerTrusted {
            (schema, columns) = (self.schema)(schema, columns);
        }
        let batch = RecordBatch::try_new(schema.clone(), columns).expect("columns of the schema");
        // more than one row group, so that the order is checked across them
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(2))
            .set_compression(ParquetCompression::ZSTD(ZstdLevel::default()));
        let mut bytes = Vec::new();
        let mut writer =
            ArrowWriter::try_new(&mut bytes, schema, Some(properties.build())).expect("a schema Parquet can hold");
        writer.write(&batch).expect("memory does not fail");
        writer.close().expect("memory does not fail");
        bytes.into()
    }
}

fn with_fields(schema: &SchemaRef, change: impl Fn(&Field) -> Field) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().iter().map(|field| change(field)).collect::<Vec<_>>()))
}

pub(crate) fn without_field_ids(schema: SchemaRef, columns: Vec<ArrayRef>) -> (SchemaRef, Vec<ArrayRef>) {
    (with_fields(&schema, |field| field.clone().with_metadata(Default::default())), columns)
}

pub(crate) fn renamed(schema: SchemaRef, columns: Vec<ArrayRef>) -> (SchemaRef, Vec<ArrayRef>) {
    (with_fields(&schema, |field| field.clone().with_name(field.name().to_uppercase())), columns)
}

pub(crate) fn all_nullable(schema: SchemaRef, columns: Vec<ArrayRef>) -> (SchemaRef, Vec<ArrayRef>) {
    (with_fields(&schema, |field| field.clone().with_nullable(true)), columns)
}

/// The distance as text.
pub(crate) fn with_text_for_a_number(schema: SchemaRef, mut columns: Vec<ArrayRef>) -> (SchemaRef, Vec<ArrayRef>) {
    columns[2] = Arc::new(LargeStringArray::from(vec!["1"; columns[2].len()]));
    let change = |field: &Field| {
        if field.name() == "distancefromobject" {
            field.clone().with_data_type(DataType::LargeUtf8)
        } else {
            field.clone()
        }
    };
    (with_fields(&schema, change), columns)
}
