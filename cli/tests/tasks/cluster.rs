//! A lake, an embedded run on it, and workers that execute the same run task by task.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use stedi::generate::{GenerateConfig, generate};
use stedi::run::{RunConfig, new_run_id, run};
use stedi_job::plan;
use stedi_job::readers::encode_readers;
use stedi_job::task::{
    AttemptId, ObjectCounts, ObjectSplit, RunContext, Segment, SegmentRef, Stage, TaskCost, TaskId, TaskOutput, Work,
};
use stedi_lake::commit::CommitRecord;
use stedi_lake::options::{BadRecordLimit, TableOptions};
use stedi_lake::report::LedgerEntry;
use stedi_lake::{ConsentPolicy, CuratedTable, LandingTable, MatchMode, RunId, layout};
use stedi_sim_s3::{KEY_ID, S3Server, SECRET};
use stedi_store::{CommitLog, Lake, LandingObject, S3Client};
use stedi_worker::memory::{MEMORY_BYTES_MIN, SLICE_BYTES_MAX, slice_bytes};
use stedi_worker::progress::Progress;
use stedi_worker::read::LandingReader;
use stedi_worker::scan::is_splittable;
use stedi_worker::task::{Executor, TaskError};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// How a run is cut into tasks, and who executes them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Size of the splits of an object.
    pub(crate) split_bytes: u64,
    /// Splits of a scan task.
    pub(crate) splits_a_task: usize,
    /// Executors, each with memory of its own.
    pub(crate) workers: usize,
    pub(crate) slots: usize,
    /// Attempts of each task, all at once.
    pub(crate) attempts: u32,
}

/// Parts by table and file name.
pub(crate) type Parts = BTreeMap<(CuratedTable, String), Vec<u8>>;

/// Kept, filtered and quarantined records of an object.
type Counts = BTreeMap<(LandingTable, String), [u64; 3]>;

/// A lake and what an embedded run made of it.
pub(crate) struct Scene {
    folder: TempDir,
    /// Of a lake in S3.
    server: Option<S3Server>,
    pub(crate) lake: Lake,
    pub(crate) runtime: Runtime,
    embedded: Option<CommitRecord>,
    slice_bytes: u64,
}

/// The works of one run and what has come out of them.
pub(crate) struct Cluster<'s> {
    scene: &'s Scene,
    shape: Shape,
    pub(crate) context: RunContext,
    pub(crate) workers: Vec<Executor>,
    cost: TaskCost,
}

impl Scene {
    /// A lake in a folder, with landing.
    pub(crate) fn generated(config: &GenerateConfig) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let lake = Lake::create(&folder.path().join("lake").display().to_string()).expect("a new folder");
        Self::in_lake(config, folder, None, lake)
    }

    /// A lake in a bucket, with landing.
    pub(crate) fn generated_in_s3(config: &GenerateConfig) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let objects = folder.path().join("objects");
        std::fs::create_dir(&objects).expect("a new folder");
        let server = S3Server::start(&objects);
        let client = S3Client::at(server.endpoint(), KEY_ID, SECRET, 3);
        let lake = Lake::open_with(&server.lake("a/lake"), &client).expect("it names a bucket");
        Self::in_lake(config, folder, Some(server), lake)
    }

    fn in_lake(config: &GenerateConfig, folder: TempDir, server: Option<S3Server>, lake: Lake) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        runtime.block_on(generate(config.clone(), &lake)).expect("there is room for a small landing");
        Self { folder, server, lake, runtime, embedded: None, slice_bytes: SLICE_BYTES_MAX }
    }

    /// The server of a lake in S3.
    pub(crate) fn server(&self) -> &S3Server {
        self.server.as_ref().expect("the lake is in S3")
    }

    pub(crate) fn run_embedded(&mut self, consent: ConsentPolicy, match_mode: MatchMode, shards: u32, dedupe: bool) {
        let config =
            RunConfig { consent, match_mode, dedupe, shards: Some(shards), threads: Some(2), ..Self::tolerant() };
        self.slice_bytes = SLICE_BYTES_MAX;
        self.commit(&config);
    }

    /// One shard in the least memory, so that it is joined in slices.
    pub(crate) fn run_embedded_in_little_memory(&mut self, match_mode: MatchMode) {
        let config = RunConfig {
            match_mode,
            shards: Some(1),
            threads: Some(1),
            memory_bytes: MEMORY_BYTES_MIN,
            ..Self::tolerant()
        };
        self.commit(&config);
        self.slice_bytes = slice_bytes(MEMORY_BYTES_MIN);
    }

    fn tolerant() -> RunConfig {
        RunConfig { max_bad_records: BadRecordLimit::Fraction(1.0), force: true, ..RunConfig::default() }
    }

    fn commit(&mut self, config: &RunConfig) {
        run(&self.lake, config, &Progress::default()).expect("landing can be read");
        self.embedded = self.runtime.block_on(CommitLog::new(&self.lake).latest()).expect("the log can be read");
    }

    fn embedded(&self) -> &CommitRecord {
        self.embedded.as_ref().expect("a run was committed")
    }

    pub(crate) fn embedded_row_groups(&self) -> usize {
        let parts = self.parts(self.embedded().run_id).into_values();
        parts
            .map(|part| SerializedFileReader::new(Bytes::from(part)).expect("Parquet").metadata().num_row_groups())
            .sum()
    }

    pub(crate) fn options(&self) -> &TableOptions {
        &self.embedded().options
    }

    pub(crate) fn cluster(&self, shape: Shape) -> Cluster<'_> {
        let context = RunContext {
            run_id: new_run_id().expect("random numbers"),
            lake: self.lake.uri().to_owned(),
            options: self.options().clone(),
            slice_bytes: self.slice_bytes,
        };
        let worker = |_| self.executor(&context, 256 << 20, shape.slots);
        let workers = (0..shape.workers).map(worker).collect();
        Cluster { scene: self, shape, context, workers, cost: TaskCost::default() }
    }

    pub(crate) fn executor(&self, context: &RunContext, memory_bytes: u64, slots: usize) -> Executor {
        let (lake, runtime) = (self.lake.clone(), self.runtime.handle().clone());
        Executor::new(lake, context.clone(), memory_bytes, slots, self.scratch(), runtime).expect("threads")
    }

    pub(crate) fn scratch(&self) -> PathBuf {
        self.folder.path().join("scratch")
    }

    /// Executes the run task by task and compares.
    pub(crate) fn assert_same(&self, shape: &Shape, what: &str) {
        let mut cluster = self.cluster(*shape);
        let counts = cluster.run();
        let run = cluster.context.run_id;
        assert_eq!(counts, self.ledger(self.embedded().run_id), "{what}");
        let (wanted, found) = (self.parts(self.embedded().run_id), self.parts(run));
        assert_eq!(wanted.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>(), "{what}");
        for (name, bytes) in &wanted {
            assert!(found[name] == *bytes, "{what}: {name:?} differs");
        }
        assert_eq!(
            self.quarantined(run),
            counts.values().map(|[_, _, quarantined]| quarantined).sum::<u64>(),
            "{what}"
        );
        assert!(cluster.cost.rows > 0 && cluster.cost.read_bytes > 0 && cluster.cost.written_bytes > 0, "{what}");
    }

    /// All parts of a run that are visible.
    pub(crate) fn parts(&self, run: RunId) -> Parts {
        let read = |path: String| self.runtime.block_on(self.lake.read(&path)).expect("it was listed").to_vec();
        let of_table = |table| {
            let folder = layout::table_run_dir(table, run);
            let listed = self.runtime.block_on(self.lake.list(&folder)).expect("a folder lists");
            listed
                .into_iter()
                .map(move |object| ((table, object.path.rsplit('/').next().unwrap_or("").to_owned()), object.path))
        };
        CuratedTable::ALL.into_iter().flat_map(of_table).map(|(name, path)| (name, read(path))).collect()
    }

    fn ledger(&self, run: RunId) -> Counts {
        let bytes = self.runtime.block_on(self.lake.read(&layout::ledger_path(run))).expect("a run leaves a ledger");
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let entries = lines.map(|line| serde_json::from_slice::<LedgerEntry>(line).expect("an entry a line"));
        entries.map(|e| ((e.table, e.key), [e.counts.kept, e.counts.filtered, e.counts.quarantined])).collect()
    }

    /// Records in the quarantine of a run.
    fn quarantined(&self, run: RunId) -> u64 {
        let folder = format!("{}/quarantine", layout::run_dir(run));
        let files = self.runtime.block_on(self.lake.list(&folder)).expect("a folder lists");
        let rows = files.iter().map(|file| {
            let bytes = self.runtime.block_on(self.lake.read(&file.path)).expect("it was listed");
            let reader = SerializedFileReader::new(bytes).expect("Parquet");
            u64::try_from(reader.metadata().file_metadata().num_rows()).expect("a count")
        });
        rows.sum()
    }

    pub(crate) fn landing(&self, table: LandingTable) -> Vec<LandingObject> {
        self.runtime.block_on(self.lake.landing(table)).expect("landing lists")
    }
}

impl Cluster<'_> {
    /// All splits of a table.
    pub(crate) fn splits(&self, table: LandingTable) -> Vec<ObjectSplit> {
        let reader = LandingReader::new(self.scene.runtime.handle().clone());
        let mut splits = Vec::new();
        for (i, object) in self.scene.landing(table).iter().enumerate() {
            let splittable = is_splittable(object, &reader).expect("landing can be read");
            for split in plan::splits(i, object.bytes, splittable, self.shape.split_bytes.min(1 << 40)) {
                splits.push(ObjectSplit {
                    object: u32::try_from(i).expect("few objects"),
                    key: object.key.clone(),
                    etag: object.etag.clone(),
                    object_bytes: object.bytes,
                    range: split.bytes,
                });
            }
        }
        splits
    }

    /// One attempt of a task, by one of the workers. Every other one takes as little memory as it can.
    pub(crate) fn execute(
        &self,
        stage: Stage,
        index: u32,
        attempt: u32,
        work: &Work,
    ) -> Result<(TaskOutput, TaskCost), TaskError> {
        let worker = &self.workers[(index + attempt) as usize % self.workers.len()];
        worker.execute(attempt_id(stage, index, attempt), work, attempt % 2 == 1, &AtomicBool::new(false))
    }

    /// All attempts of all tasks of a stage, as many at a time as there are slots; of each task one that won.
    fn stage(&mut self, stage: Stage, works: &[Work]) -> Vec<TaskOutput> {
        let attempts = self.shape.attempts;
        let next = std::sync::atomic::AtomicU32::new(0);
        let all = u32::try_from(works.len()).expect("few tasks") * attempts;
        let this = &*self;
        let mut done: BTreeMap<(u32, u32), (TaskOutput, TaskCost)> = std::thread::scope(|scope| {
            let slots: Vec<_> = (0..this.shape.slots * this.shape.workers)
                .map(|_| {
                    scope.spawn(|| {
                        let mut done = Vec::new();
                        loop {
                            let n = next.fetch_add(1, Ordering::Relaxed);
                            if n >= all {
                                return done;
                            }
                            let (index, attempt) = (n / attempts, n % attempts);
                            let output = this.execute(stage, index, attempt, &works[index as usize]);
                            done.push(((index, attempt), output.expect("nothing is wrong")));
                        }
                    })
                })
                .collect();
            slots.into_iter().flat_map(|slot| slot.join().expect("no panic")).collect()
        });
        let winners = (0..).zip(works).map(|(index, _)| {
            let (output, cost) = done.remove(&(index, index % attempts)).expect("every attempt ended");
            self.cost.rows += cost.rows;
            self.cost.read_bytes += cost.read_bytes;
            self.cost.written_bytes += cost.written_bytes;
            output
        });
        winners.collect()
    }

    /// The tasks of a scan stage.
    fn tasks(&self, table: LandingTable, work: impl Fn(Vec<ObjectSplit>) -> Work) -> Vec<Work> {
        let splits = self.splits(table);
        splits.chunks(self.shape.splits_a_task.min(splits.len().max(1))).map(|splits| work(splits.to_vec())).collect()
    }

    /// The whole run.
    fn run(&mut self) -> Counts {
        let mut counts = Counts::new();
        let splits = self.splits(LandingTable::Customer);
        let consent = self.stage(Stage::Consent, &[Work::Consent { splits }]).remove(0);
        let TaskOutput::Consent { directory, users, counts: of_consent, .. } = consent else {
            unreachable!("{consent:?}")
        };
        self.count(&mut counts, LandingTable::Customer, &of_consent);

        let scan = |splits| Work::ScanAccelerometer { splits, directory: directory.clone() };
        let outputs = self.stage(Stage::ScanAccelerometer, &self.tasks(LandingTable::Accelerometer, scan));
        let (mut readings, mut steps) = (Segments::new(), Segments::new());
        let mut readers = Vec::new();
        for output in outputs {
            readers.extend(self.scanned(output, LandingTable::Accelerometer, &mut readings, &mut counts));
        }
        let path = format!("{}/readers", layout::run_dir(self.context.run_id));
        let put = self.scene.lake.put_new(&path, encode_readers(&readers, users).into());
        self.scene.runtime.block_on(put).expect("there is room");

        let (directory, readers) = (directory.clone(), path);
        let scan = |splits| Work::ScanStepTrainer { splits, directory: directory.clone(), readers: readers.clone() };
        for output in self.stage(Stage::ScanStepTrainer, &self.tasks(LandingTable::StepTrainer, scan)) {
            self.scanned(output, LandingTable::StepTrainer, &mut steps, &mut counts);
        }

        let take = |of: &mut Segments, shard| of.remove(&shard).unwrap_or_default();
        let mut works: Vec<Work> = (0..self.context.options.shards)
            .map(|shard| Work::JoinShard {
                shard,
                directory: directory.clone(),
                readings: take(&mut readings, shard),
                steps: take(&mut steps, shard),
            })
            .collect();
        works.push(Work::WriteCustomers { directory: directory.clone(), readers });
        let outputs = self.stage(Stage::Join, &works);
        self.assert_listed(&outputs);
        counts
    }

    /// What the tasks say they wrote is what is there.
    fn assert_listed(&self, outputs: &[TaskOutput]) {
        let mut said: Vec<(String, u64)> = Vec::new();
        for output in outputs {
            let TaskOutput::Parts(parts) = output else { unreachable!("{output:?}") };
            said.extend(parts.iter().map(|(_, part)| (part.path.clone(), part.bytes)));
        }
        said.sort();
        let folders = CuratedTable::ALL.map(|table| layout::table_run_dir(table, self.context.run_id));
        let list = |folder: &String| self.scene.runtime.block_on(self.scene.lake.list(folder)).expect("a folder lists");
        let mut there: Vec<(String, u64)> =
            folders.iter().flat_map(list).map(|object| (object.path, object.bytes)).collect();
        there.sort();
        assert_eq!(said, there);
    }

    fn scanned(
        &self,
        output: TaskOutput,
        table: LandingTable,
        by_shard: &mut Segments,
        counts: &mut Counts,
    ) -> Vec<u32> {
        let TaskOutput::Scan { shuffle, segments, readers, counts: of_task, .. } = output else {
            unreachable!("{output:?}")
        };
        assert!(segments.is_sorted_by_key(|segment| segment.shard) && readers.is_sorted());
        assert_eq!(shuffle.is_some(), !segments.is_empty());
        for Segment { shard, offset, bytes, rows } in segments {
            let path = shuffle.as_deref().expect("segments lie in a file").into();
            by_shard.entry(shard).or_default().push(SegmentRef { path, offset, bytes, rows });
        }
        self.count(counts, table, &of_task);
        readers
    }

    fn count(&self, counts: &mut Counts, table: LandingTable, of_task: &[ObjectCounts]) {
        let objects = self.scene.landing(table);
        for ObjectCounts { object, kept, filtered, quarantined } in of_task {
            let key = objects[*object as usize].key.clone();
            let sum = counts.entry((table, key)).or_default();
            for (sum, added) in sum.iter_mut().zip([kept, filtered, quarantined]) {
                *sum += added;
            }
        }
    }
}

type Segments = BTreeMap<u32, Vec<SegmentRef>>;

pub(crate) fn attempt_id(stage: Stage, index: u32, attempt: u32) -> AttemptId {
    AttemptId { task: TaskId { stage, index }, attempt }
}
