//! Tasks, their inputs, outputs and costs.

use stedi_job::task::{
    AttemptId, ObjectCounts, ObjectSplit, RejectCount, Segment, SegmentRef, TaskCost, TaskId, TaskOutput, Work,
};
use stedi_lake::CuratedTable;
use stedi_lake::commit::Part;
use stedi_lake::report::RequestCounts;

use super::{WireError, each, names, try_each};
use crate::wire;

/// Structs with the same fields on both sides.
macro_rules! same_fields {
    ($name:ident { $($field:ident),+ }) => {
        impl From<$name> for wire::$name {
            fn from(from: $name) -> Self {
                let $name { $($field),+ } = from;
                Self { $($field),+ }
            }
        }

        impl From<wire::$name> for $name {
            fn from(from: wire::$name) -> Self {
                let wire::$name { $($field),+ } = from;
                Self { $($field),+ }
            }
        }
    };
}

same_fields!(Segment { shard, offset, bytes, rows });
same_fields!(ObjectCounts { object, kept, filtered, quarantined });
same_fields!(RejectCount { object, reason, records, first_offset });
same_fields!(RequestCounts { get, head, put, list, delete });

impl From<TaskCost> for wire::TaskCost {
    fn from(cost: TaskCost) -> Self {
        let TaskCost { wall_ms, cpu_ms, read_bytes, written_bytes, rows, spilled_bytes, requests } = cost;
        let requests = Some(requests.into());
        Self { wall_ms, cpu_ms, read_bytes, written_bytes, rows, spilled_bytes, requests }
    }
}

impl TryFrom<wire::TaskCost> for TaskCost {
    type Error = WireError;

    fn try_from(cost: wire::TaskCost) -> Result<Self, WireError> {
        let wire::TaskCost { wall_ms, cpu_ms, read_bytes, written_bytes, rows, spilled_bytes, requests } = cost;
        let requests = requests.ok_or(WireError::Missing("cost.requests"))?.into();
        Ok(Self { wall_ms, cpu_ms, read_bytes, written_bytes, rows, spilled_bytes, requests })
    }
}

impl From<SegmentRef> for wire::SegmentRef {
    fn from(from: SegmentRef) -> Self {
        let SegmentRef { path, offset, bytes, rows } = from;
        Self { path: path.as_ref().to_owned(), offset, bytes, rows }
    }
}

impl From<wire::SegmentRef> for SegmentRef {
    fn from(from: wire::SegmentRef) -> Self {
        let wire::SegmentRef { path, offset, bytes, rows } = from;
        Self { path: path.into(), offset, bytes, rows }
    }
}

impl From<AttemptId> for wire::AttemptId {
    fn from(id: AttemptId) -> Self {
        Self { stage: names::to_wire(id.task.stage), index: id.task.index, attempt: id.attempt }
    }
}

impl TryFrom<wire::AttemptId> for AttemptId {
    type Error = WireError;

    fn try_from(id: wire::AttemptId) -> Result<Self, WireError> {
        let task = TaskId { stage: names::from_wire(id.stage)?, index: id.index };
        Ok(Self { task, attempt: id.attempt })
    }
}

impl From<ObjectSplit> for wire::ObjectSplit {
    fn from(split: ObjectSplit) -> Self {
        let ObjectSplit { object, key, etag, object_bytes, range } = split;
        Self { object, key, etag, object_bytes, start: range.start, end: range.end }
    }
}

impl From<wire::ObjectSplit> for ObjectSplit {
    fn from(split: wire::ObjectSplit) -> Self {
        let wire::ObjectSplit { object, key, etag, object_bytes, start, end } = split;
        Self { object, key, etag, object_bytes, range: start..end }
    }
}

impl From<Work> for wire::Work {
    fn from(work: Work) -> Self {
        use wire::work::{Consent, JoinShard, ScanAccelerometer, ScanStepTrainer, Work as Of, WriteCustomers};
        let work = match work {
            Work::Consent { splits } => Of::Consent(Consent { splits: each(splits) }),
            Work::ScanAccelerometer { splits, directory } => {
                Of::ScanAccelerometer(ScanAccelerometer { splits: each(splits), directory })
            }
            Work::ScanStepTrainer { splits, directory, readers } => {
                Of::ScanStepTrainer(ScanStepTrainer { splits: each(splits), directory, readers })
            }
            Work::JoinShard { shard, directory, readings, steps } => {
                Of::JoinShard(JoinShard { shard, directory, readings: each(readings), steps: each(steps) })
            }
            Work::WriteCustomers { directory, readers } => Of::WriteCustomers(WriteCustomers { directory, readers }),
        };
        Self { work: Some(work) }
    }
}

impl TryFrom<wire::Work> for Work {
    type Error = WireError;

    fn try_from(work: wire::Work) -> Result<Self, WireError> {
        use wire::work::Work as Of;
        Ok(match work.work.ok_or(WireError::Missing("grant.work.work"))? {
            Of::Consent(work) => Self::Consent { splits: each(work.splits) },
            Of::ScanAccelerometer(work) => {
                Self::ScanAccelerometer { splits: each(work.splits), directory: work.directory }
            }
            Of::ScanStepTrainer(work) => {
                Self::ScanStepTrainer { splits: each(work.splits), directory: work.directory, readers: work.readers }
            }
            Of::JoinShard(work) => Self::JoinShard {
                shard: work.shard,
                directory: work.directory,
                readings: each(work.readings),
                steps: each(work.steps),
            },
            Of::WriteCustomers(work) => Self::WriteCustomers { directory: work.directory, readers: work.readers },
        })
    }
}

impl From<(CuratedTable, Part)> for wire::Part {
    fn from((table, part): (CuratedTable, Part)) -> Self {
        Self { table: names::to_wire(table), path: part.path, rows: part.rows, bytes: part.bytes }
    }
}

impl TryFrom<wire::Part> for (CuratedTable, Part) {
    type Error = WireError;

    fn try_from(part: wire::Part) -> Result<Self, WireError> {
        let table = names::from_wire(part.table)?;
        Ok((table, Part { path: part.path, rows: part.rows, bytes: part.bytes }))
    }
}

impl From<TaskOutput> for wire::TaskOutput {
    fn from(output: TaskOutput) -> Self {
        use wire::task_output::{Consent, Output, Parts, Scan};
        let output = match output {
            TaskOutput::Consent { directory, users, directory_memory_bytes, counts, rejects } => {
                let (counts, rejects) = (each(counts), each(rejects));
                Output::Consent(Consent { directory, users, directory_memory_bytes, counts, rejects })
            }
            TaskOutput::Scan { shuffle, segments, readers, counts, rejects } => {
                let (segments, counts, rejects) = (each(segments), each(counts), each(rejects));
                Output::Scan(Scan { shuffle, segments, readers, counts, rejects })
            }
            TaskOutput::Parts(parts) => Output::Parts(Parts { parts: each(parts) }),
        };
        Self { output: Some(output) }
    }
}

impl TryFrom<wire::TaskOutput> for TaskOutput {
    type Error = WireError;

    fn try_from(output: wire::TaskOutput) -> Result<Self, WireError> {
        use wire::task_output::Output;
        Ok(match output.output.ok_or(WireError::Missing("done.output.output"))? {
            Output::Consent(output) => Self::Consent {
                directory: output.directory,
                users: output.users,
                directory_memory_bytes: output.directory_memory_bytes,
                counts: each(output.counts),
                rejects: each(output.rejects),
            },
            Output::Scan(output) => Self::Scan {
                shuffle: output.shuffle,
                segments: each(output.segments),
                readers: output.readers,
                counts: each(output.counts),
                rejects: each(output.rejects),
            },
            Output::Parts(output) => Self::Parts(try_each(output.parts)?),
        })
    }
}
