//! The plan of a distributed run: every task there will be, before any of them begins.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use stedi_lake::LandingTable;
use stedi_lake::commit::{InputVersion, fingerprint};

use super::splits;
use crate::task::{ObjectSplit, RunContext, Stage};

/// Landing bytes of a scan task, unless there is very much landing, or little.
pub const TASK_BYTES: u64 = 128 << 20;

/// Landing bytes of a scan task at least, where objects are so large: below that, what a task costs beside reading shows.
const TASK_BYTES_MIN: u64 = 16 << 20;

/// Tasks become smaller before they become fewer than this: a stage ends when its last task does, and eight workers that
/// have eight tasks each are idle for little of it.
const TASKS_WANTED: u64 = 64;

/// What an object counts in a task at least: a request for a small one takes as long as reading so many bytes.
const OBJECT_COST_BYTES: u64 = 128 << 10;

/// Segments of shuffle files a run has at most, about: the coordinator knows them all, in some 20 bytes each.
const SEGMENTS_MAX: u64 = 1 << 24;

/// Landing bytes of a scan task at most: [`TASK_BYTES`], and more where so small tasks would make too many segments, as
/// each makes one for each shard.
pub fn task_bytes(landing_bytes: u64, shards: u32) -> u64 {
    segment_bound(landing_bytes, shards).max(TASK_BYTES)
}

/// Landing bytes of a scan task of a table with objects of so many bytes, of all `landing_bytes`: less than
/// [`task_bytes`] where that would make few tasks.
pub fn table_task_bytes(objects: impl Iterator<Item = u64>, landing_bytes: u64, shards: u32) -> u64 {
    let cost: u64 = objects.map(|bytes| bytes.max(OBJECT_COST_BYTES)).sum();
    (cost / TASKS_WANTED).clamp(TASK_BYTES_MIN, TASK_BYTES).max(segment_bound(landing_bytes, shards))
}

fn segment_bound(landing_bytes: u64, shards: u32) -> u64 {
    let wanted = u128::from(landing_bytes) * u128::from(shards) / u128::from(SEGMENTS_MAX);
    u64::try_from(wanted).unwrap_or(u64::MAX / 4)
}

/// A landing object of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanObject {
    /// Key relative to the lake, or a whole URI where landing lies elsewhere.
    pub key: Box<str>,
    /// The ETag that was listed.
    pub etag: Box<str>,
    /// Size as stored.
    pub bytes: u64,
    /// Whether it can be read from the middle: it is not compressed, and a record ends where a line does.
    pub splittable: bool,
}

/// Where a task begins: it ends where the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct TaskStart {
    object: u32,
    offset: u64,
}

/// The objects of one landing table and the tasks that read them: runs of splits, in the order of the objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LandingPlan {
    objects: Vec<PlanObject>,
    starts: Vec<TaskStart>,
    task_bytes: u64,
}

impl LandingPlan {
    /// One task that reads everything, even if there is nothing.
    pub fn whole(objects: Vec<PlanObject>) -> Self {
        let task_bytes = objects.iter().map(|object| object.bytes).sum();
        Self { objects, starts: vec![TaskStart { object: 0, offset: 0 }], task_bytes }
    }

    /// Tasks of about `task_bytes`: small objects packed together, large ones split.
    ///
    /// # Panics
    /// If `task_bytes` is 0, or there are more than 2^32 objects.
    pub fn packed(objects: Vec<PlanObject>, task_bytes: u64) -> Self {
        let mut starts = Vec::new();
        let mut filled = u64::MAX;
        for (object, position) in objects.iter().zip(0u32..) {
            let pieces = splits(position as usize, object.bytes, object.splittable, task_bytes);
            let cost = object.bytes.max(OBJECT_COST_BYTES);
            if pieces.len() > 1 {
                starts.extend(pieces.iter().map(|piece| TaskStart { object: position, offset: piece.bytes.start }));
                filled = u64::MAX;
            } else if filled.saturating_add(cost) > task_bytes {
                starts.push(TaskStart { object: position, offset: 0 });
                filled = cost;
            } else {
                filled += cost;
            }
        }
        starts.shrink_to_fit();
        Self { objects, starts, task_bytes }
    }

    /// The objects.
    pub fn objects(&self) -> &[PlanObject] {
        &self.objects
    }

    /// Bytes of a task, about.
    pub fn task_bytes(&self) -> u64 {
        self.task_bytes
    }

    /// Number of tasks.
    #[expect(clippy::cast_possible_truncation, reason = "tasks are numbered with 32 bits; a plan in memory has fewer")]
    pub fn tasks(&self) -> u32 {
        self.starts.len() as u32
    }

    /// What task `index` reads; nothing if there is no such task.
    pub fn splits(&self, index: u32) -> Vec<ObjectSplit> {
        self.ranges(index)
            .map(|(object, planned, range)| ObjectSplit {
                object,
                key: planned.key.to_string(),
                etag: planned.etag.to_string(),
                object_bytes: planned.bytes,
                range,
            })
            .collect()
    }

    /// The ranges that task `index` reads, with the position of the object of each.
    fn ranges(&self, index: u32) -> impl Iterator<Item = (u32, &PlanObject, Range<u64>)> {
        let start = self.starts.get(index as usize).copied();
        let next = self.starts.get(index as usize + 1).copied();
        let end = next.map_or(self.objects.len(), |next| next.object as usize + usize::from(next.offset > 0));
        let objects = start.and_then(|start| self.objects.get(start.object as usize..end)).unwrap_or_default();
        let TaskStart { object: first, offset } = start.unwrap_or(TaskStart { object: 0, offset: 0 });
        (first..).zip(objects).map(move |(object, planned)| {
            let from = if object == first { offset } else { 0 };
            let to = next.filter(|next| next.object == object).map_or(u64::MAX, |next| next.offset);
            (object, planned, from..to)
        })
    }

    /// How many ranges all tasks read together, and the bytes of each task.
    fn sizes(&self) -> (u64, Vec<u64>) {
        let mut splits = 0;
        let bytes = |index| {
            let of_ranges = self.ranges(index).map(|(_, planned, range)| range.end.min(planned.bytes) - range.start);
            of_ranges.inspect(|_| splits += 1).sum()
        };
        let bytes = (0..self.tasks()).map(bytes).collect();
        (splits, bytes)
    }

    fn is_sound(&self) -> bool {
        let ascending = self.starts.windows(2).all(|pair| pair[0] < pair[1]);
        let begins = self.starts.first().is_none_or(|start| start.object == 0 && start.offset == 0);
        let covers = self.objects.is_empty() || !self.starts.is_empty();
        let inside = self.starts.iter().skip(1).all(|start| (start.object as usize) < self.objects.len());
        ascending && begins && covers && inside
    }
}

/// The tasks of one stage, as people want to know them before a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StageTasks {
    /// The stage.
    pub stage: Stage,
    /// Number of its tasks. Those of the join whose shard turns out empty need not be executed.
    pub tasks: u32,
    /// Whole landing objects, and ranges of them, that the tasks read; 0 in the join.
    pub splits: u64,
    /// Landing bytes of a task; absent where there is no task, and in the join, whose input is not known before.
    pub task_bytes: Option<TaskSizes>,
}

/// How large tasks are, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TaskSizes {
    /// The smallest.
    pub min: u64,
    /// The one in the middle; the larger of two.
    pub median: u64,
    /// The largest.
    pub max: u64,
}

impl TaskSizes {
    fn of(mut bytes: Vec<u64>) -> Option<Self> {
        bytes.sort_unstable();
        Some(Self { min: *bytes.first()?, median: *bytes.get(bytes.len() / 2)?, max: *bytes.last()? })
    }
}

/// The plan of a run. It is written once, before the first task, and whoever resumes the run reads it.
///
/// A million landing objects take some 200 MB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunPlan {
    /// What every worker is told.
    pub context: RunContext,
    /// The landing objects' [`fingerprint`].
    pub fingerprint: String,
    /// Landing bytes of a scan task at most, about.
    pub task_bytes: u64,
    landing: BTreeMap<LandingTable, LandingPlan>,
}

/// A plan that cannot be executed: its object in the lake is damaged, or from another version of this program.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the plan of run {run} is damaged: {what}; start a new run")]
pub struct PlanError {
    run: String,
    what: String,
}

impl RunPlan {
    /// Plans a run over the landing objects of each table, in the order in which they are given.
    ///
    /// # Panics
    /// If there are no shards.
    pub fn new(context: RunContext, landing: BTreeMap<LandingTable, Vec<PlanObject>>) -> Self {
        let landing_bytes = landing.values().flatten().map(|object| object.bytes).sum();
        let shards = context.options.shards;
        let of_table =
            |objects: &[PlanObject]| table_task_bytes(objects.iter().map(|object| object.bytes), landing_bytes, shards);
        Self::planned(context, landing, task_bytes(landing_bytes, shards), of_table)
    }

    /// The same, with scan tasks of about `task_bytes`.
    ///
    /// # Panics
    /// If there are no shards or `task_bytes` is 0.
    pub fn with_task_bytes(
        context: RunContext,
        landing: BTreeMap<LandingTable, Vec<PlanObject>>,
        task_bytes: u64,
    ) -> Self {
        Self::planned(context, landing, task_bytes, |_| task_bytes)
    }

    fn planned(
        context: RunContext,
        mut landing: BTreeMap<LandingTable, Vec<PlanObject>>,
        task_bytes: u64,
        of_table: impl Fn(&[PlanObject]) -> u64,
    ) -> Self {
        assert!(context.options.shards > 0, "a run has shards");
        let inputs = landing.iter().flat_map(|(&table, objects)| {
            objects.iter().map(move |o| InputVersion { table, key: &o.key, etag: &o.etag, bytes: o.bytes })
        });
        let fingerprint = fingerprint(inputs.collect());
        let landing = LandingTable::ALL
            .into_iter()
            .map(|table| {
                let objects = landing.remove(&table).unwrap_or_default();
                let planned = match table {
                    LandingTable::Customer => LandingPlan::whole(objects),
                    _ => {
                        let task_bytes = of_table(&objects);
                        LandingPlan::packed(objects, task_bytes)
                    }
                };
                (table, planned)
            })
            .collect();
        Self { context, fingerprint, task_bytes, landing }
    }

    /// Checks a plan that was read.
    ///
    /// # Errors
    /// If tasks are not what [`RunPlan::new`] makes.
    pub fn check(&self) -> Result<(), PlanError> {
        let error = |what: String| Err(PlanError { run: self.context.run_id.to_string(), what });
        if self.context.options.shards == 0 {
            return error("it has no shards".to_owned());
        }
        for table in LandingTable::ALL {
            match self.landing.get(&table) {
                Some(planned) if planned.is_sound() => {}
                _ => return error(format!("the tasks of {}", table.name())),
            }
        }
        match self.landing(LandingTable::Customer).tasks() {
            1 => Ok(()),
            tasks => error(format!("{tasks} tasks for customers")),
        }
    }

    /// Objects and tasks of a landing table.
    ///
    /// # Panics
    /// If the plan is not sound, see [`RunPlan::check`].
    pub fn landing(&self, table: LandingTable) -> &LandingPlan {
        &self.landing[&table]
    }

    /// Number of shards.
    pub fn shards(&self) -> u32 {
        self.context.options.shards
    }

    /// Number of tasks of a stage. Those of [`Stage::Join`] whose shard turns out empty need not be executed.
    pub fn tasks(&self, stage: Stage) -> u32 {
        stage.landing().map_or(self.shards() + 1, |table| self.landing(table).tasks())
    }

    /// The tasks of each stage.
    pub fn stages(&self) -> Vec<StageTasks> {
        let of_stage = |stage: Stage| {
            let (splits, bytes) = stage.landing().map(|table| self.landing(table).sizes()).unwrap_or_default();
            StageTasks { stage, tasks: self.tasks(stage), splits, task_bytes: TaskSizes::of(bytes) }
        };
        Stage::ALL.into_iter().map(of_stage).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(bytes: u64, splittable: bool) -> PlanObject {
        PlanObject { key: "k".into(), etag: "e".into(), bytes, splittable }
    }

    fn ranges(plan: &LandingPlan) -> Vec<Vec<(u32, u64, u64)>> {
        let of_task = |i| plan.splits(i).into_iter().map(|s| (s.object, s.range.start, s.range.end)).collect();
        (0..plan.tasks()).map(of_task).collect()
    }

    #[test]
    fn small_objects_are_packed_and_large_ones_split() {
        const MIB: u64 = 1 << 20;
        let sizes = [(1, true), (2, false), (9, false), (25, true), (1, true), (1, true), (30, false), (0, true)];
        let plan = LandingPlan::packed(sizes.iter().map(|&(mib, s)| object(mib * MIB, s)).collect(), 10 * MIB);
        let all = u64::MAX;
        assert_eq!(
            ranges(&plan),
            [
                vec![(0, 0, all), (1, 0, all)],
                vec![(2, 0, all)],
                vec![(3, 0, 10 * MIB)],
                vec![(3, 10 * MIB, 20 * MIB)],
                vec![(3, 20 * MIB, all)],
                vec![(4, 0, all), (5, 0, all)],
                vec![(6, 0, all)],
                vec![(7, 0, all)],
            ]
        );
        let (splits, bytes) = plan.sizes();
        assert_eq!((splits, bytes), (10, [3, 9, 10, 10, 5, 2, 30, 0].map(|mib| mib * MIB).to_vec()));
        let sizes = TaskSizes::of(plan.sizes().1);
        assert_eq!(sizes, Some(TaskSizes { min: 0, median: 9 * MIB, max: 30 * MIB }));
    }

    #[test]
    fn every_byte_belongs_to_one_task() {
        let mut seed = 7u64;
        let mut random = move |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        for _ in 0..200 {
            let task_bytes = 1_000_000 + random(1_000_000);
            let objects: Vec<_> = (0..random(40)).map(|_| object(random(5_000_000), random(2) == 0)).collect();
            let plan = LandingPlan::packed(objects.clone(), task_bytes);
            assert!(plan.is_sound());
            let splits: Vec<_> = ranges(&plan).into_iter().flatten().collect();
            let mut expected = (0, 0);
            for (object, start, end) in splits {
                assert_eq!((object, start), expected);
                expected = if end == u64::MAX { (object + 1, 0) } else { (object, end) };
            }
            assert_eq!((expected.0 as usize, expected.1), (objects.len(), 0));
        }
    }

    #[test]
    fn tiny_objects_do_not_fill_a_task_without_end() {
        let plan = LandingPlan::packed(vec![object(10, true); 100_000], TASK_BYTES);
        assert_eq!(plan.tasks(), 98);
        assert_eq!(LandingPlan::packed(Vec::new(), TASK_BYTES).tasks(), 0);
        assert_eq!(LandingPlan::whole(Vec::new()).splits(0), []);
        assert_eq!(LandingPlan::whole(vec![object(10, true); 3]).splits(0).len(), 3);
    }

    #[test]
    fn a_plan_is_read_back_and_a_damaged_one_refused() {
        let options = serde_json::json!({
            "consent": "latest", "match": "customer", "dedupe": false, "shards": 3, "compression": "zstd"
        });
        let context = RunContext {
            run_id: stedi_lake::RunId::new(1, 1),
            lake: "lake".to_owned(),
            options: serde_json::from_value(options).expect("options"),
            slice_bytes: 1,
        };
        let landing = LandingTable::ALL.map(|table| (table, vec![object(TASK_BYTES * 3, true); 2]));
        let plan = RunPlan::new(context, landing.into());
        assert_eq!(Stage::ALL.map(|stage| plan.tasks(stage)), [1, 48, 48, 4]);
        let task = TASK_BYTES / 8;
        let scan = TaskSizes { min: task, median: task, max: task };
        let consent = TaskSizes { min: TASK_BYTES * 6, median: TASK_BYTES * 6, max: TASK_BYTES * 6 };
        let sizes = [(2, Some(consent)), (48, Some(scan)), (48, Some(scan)), (0, None)];
        assert_eq!(plan.stages().iter().map(|of| (of.splits, of.task_bytes)).collect::<Vec<_>>(), sizes);
        let json = serde_json::to_value(&plan).expect("a plan is JSON");
        let read = |json: serde_json::Value| serde_json::from_value::<RunPlan>(json).expect("a plan");
        assert_eq!(read(json.clone()).check(), Ok(()));
        assert_eq!(read(json.clone()), plan);
        let damage = |pointer: &str, value: serde_json::Value| {
            let mut json = json.clone();
            *json.pointer_mut(pointer).expect("it is there") = value;
            read(json).check().expect_err("damaged").to_string()
        };
        damage("/landing/accelerometer_landing/starts/3/object", 7.into());
        damage("/landing/accelerometer_landing/starts", serde_json::json!([]));
        damage("/landing/customer_landing/starts", serde_json::json!([]));
        damage("/context/options/shards", 0.into());
        let error = damage("/landing/step_trainer_landing/starts/1/offset", 0.into());
        assert_eq!(
            error,
            "the plan of run 00000000010000000000000001 is damaged: the tasks of step_trainer_landing; start a new run"
        );
    }

    #[test]
    fn tasks_grow_where_segments_would_be_too_many() {
        assert_eq!(task_bytes(1 << 40, 256), TASK_BYTES);
        assert_eq!(task_bytes(10 << 40, 2560), 10 * 160 * 1024 * 1024);
        assert!(task_bytes(u64::MAX, 99_999) > TASK_BYTES);
        assert_eq!(table_task_bytes([1 << 40].into_iter(), 10 << 40, 2560), task_bytes(10 << 40, 2560));
    }

    #[test]
    fn tasks_shrink_where_they_would_be_few() {
        let of = |objects: usize, bytes| table_task_bytes(vec![bytes; objects].into_iter(), 1 << 33, 32);
        assert_eq!(of(1, 1 << 40), TASK_BYTES);
        assert_eq!(of(16, 1 << 28), 1 << 26);
        assert_eq!(of(1000, 1 << 10), TASK_BYTES_MIN);
        // a million requests are much work, however little they bring
        assert_eq!(of(1_000_000, 1 << 10), TASK_BYTES);
    }
}
