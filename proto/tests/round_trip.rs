//! What is sent is what arrives, byte for byte over the encoding; what this version does not know is refused.

use std::ops::Range;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use prost::Message as _;
use stedi_job::event::{Epoch, Lease, RevokeReason};
use stedi_job::task::{
    AttemptId, FailureClass, ObjectCounts, ObjectSplit, RejectCount, RunContext, Segment, SegmentRef, Stage, TaskCost,
    TaskId, TaskOutput, Work,
};
use stedi_lake::commit::Part;
use stedi_lake::options::{Compression, TableOptions};
use stedi_lake::report::RequestCounts;
use stedi_lake::{ConsentPolicy, CuratedTable, MatchMode, RunId};
use stedi_proto::{DismissReason, FromWorker, Register, Registered, TO_WORKER_BYTES_MAX, ToWorker, WireError, wire};

fn arrived_from_worker(message: &FromWorker) -> FromWorker {
    let bytes = wire::WorkerMessage::from(message.clone()).encode_to_vec();
    wire::WorkerMessage::decode(bytes.as_slice()).expect("decodes").try_into().expect("is understood")
}

fn arrived_to_worker(message: &ToWorker) -> ToWorker {
    let bytes = wire::CoordinatorMessage::from(message.clone()).encode_to_vec();
    wire::CoordinatorMessage::decode(bytes.as_slice()).expect("decodes").try_into().expect("is understood")
}

fn text() -> impl Strategy<Value = String> {
    "[a-z/é]{0,12}"
}

fn lease() -> impl Strategy<Value = Lease> {
    let stage = proptest::sample::select(&Stage::ALL[..]);
    (stage, any::<u32>(), any::<u32>(), any::<u32>()).prop_map(|(stage, index, attempt, epoch)| Lease {
        attempt: AttemptId { task: TaskId { stage, index }, attempt },
        epoch: Epoch(epoch),
    })
}

fn counts() -> impl Strategy<Value = Vec<ObjectCounts>> {
    let one = (any::<u32>(), any::<u64>(), any::<u64>(), any::<u64>())
        .prop_map(|(object, kept, filtered, quarantined)| ObjectCounts { object, kept, filtered, quarantined });
    vec(one, 0..4)
}

fn splits() -> impl Strategy<Value = Vec<ObjectSplit>> {
    let range = (any::<u64>(), any::<u64>()).prop_map(|(start, end)| Range { start, end });
    let one = (any::<u32>(), text(), text(), any::<u64>(), range)
        .prop_map(|(object, key, etag, object_bytes, range)| ObjectSplit { object, key, etag, object_bytes, range });
    vec(one, 0..4)
}

fn segment_refs() -> impl Strategy<Value = Vec<SegmentRef>> {
    let one = (text(), any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(path, offset, bytes, rows)| SegmentRef {
        path: path.into(),
        offset,
        bytes,
        rows,
    });
    vec(one, 0..4)
}

fn segments() -> impl Strategy<Value = Vec<Segment>> {
    let one = (any::<u32>(), any::<u64>(), any::<u64>(), any::<u64>())
        .prop_map(|(shard, offset, bytes, rows)| Segment { shard, offset, bytes, rows });
    vec(one, 0..4)
}

fn work() -> impl Strategy<Value = Work> {
    prop_oneof![
        splits().prop_map(|splits| Work::Consent { splits }),
        (splits(), text()).prop_map(|(splits, directory)| Work::ScanAccelerometer { splits, directory }),
        (splits(), text(), text()).prop_map(|(splits, directory, readers)| Work::ScanStepTrainer {
            splits,
            directory,
            readers
        }),
        (any::<u32>(), text(), segment_refs(), segment_refs())
            .prop_map(|(shard, directory, readings, steps)| Work::JoinShard { shard, directory, readings, steps }),
        (text(), text()).prop_map(|(directory, readers)| Work::WriteCustomers { directory, readers }),
    ]
}

fn rejects() -> impl Strategy<Value = Vec<RejectCount>> {
    let reject = (any::<u32>(), text(), any::<u64>(), any::<u64>());
    let reject = reject.prop_map(|(object, reason, records, first_offset)| RejectCount {
        object,
        reason,
        records,
        first_offset,
    });
    vec(reject, 0..4)
}

fn output() -> impl Strategy<Value = TaskOutput> {
    let part = (proptest::sample::select(&CuratedTable::ALL[..]), text(), any::<u64>(), any::<u64>())
        .prop_map(|(table, path, rows, bytes)| (table, Part { path, rows, bytes }));
    prop_oneof![
        (text(), any::<u32>(), any::<u64>(), counts(), rejects()).prop_map(
            |(directory, users, directory_memory_bytes, counts, rejects)| TaskOutput::Consent {
                directory,
                users,
                directory_memory_bytes,
                counts,
                rejects
            }
        ),
        (option::of(text()), segments(), vec(any::<u32>(), 0..4), counts(), rejects()).prop_map(
            |(shuffle, segments, readers, counts, rejects)| TaskOutput::Scan {
                shuffle,
                segments,
                readers,
                counts,
                rejects
            }
        ),
        vec(part, 0..4).prop_map(TaskOutput::Parts),
    ]
}

fn cost() -> impl Strategy<Value = TaskCost> {
    any::<([u64; 6], [u64; 5])>().prop_map(|(numbers, [get, head, put, list, delete])| {
        let [wall_ms, cpu_ms, read_bytes, written_bytes, rows, spilled_bytes] = numbers;
        let requests = RequestCounts { get, head, put, list, delete };
        TaskCost { wall_ms, cpu_ms, read_bytes, written_bytes, rows, spilled_bytes, requests }
    })
}

const CLASSES: [FailureClass; 9] = [
    FailureClass::Preempted,
    FailureClass::WorkerLost,
    FailureClass::OutOfMemory,
    FailureClass::Throttled,
    FailureClass::TransientIo,
    FailureClass::BadInput,
    FailureClass::Panic,
    FailureClass::Cancelled,
    FailureClass::Permanent,
];

fn from_worker() -> impl Strategy<Value = FromWorker> {
    prop_oneof![
        (any::<u32>(), text(), text(), any::<u32>(), any::<u64>(), text(), text()).prop_map(
            |(protocol_version, build_version, worker, slots, memory_bytes, host, pod)| FromWorker::Register(
                Register { protocol_version, build_version, worker, slots, memory_bytes, host, pod }
            )
        ),
        vec(lease(), 0..4).prop_map(|running| FromWorker::Heartbeat { running }),
        (lease(), output(), cost()).prop_map(|(lease, output, cost)| FromWorker::Done { lease, output, cost }),
        (lease(), proptest::sample::select(&CLASSES[..]), text())
            .prop_map(|(lease, class, message)| FromWorker::Failed { lease, class, message }),
        lease().prop_map(|lease| FromWorker::Returned { lease }),
        text().prop_map(|why| FromWorker::Draining { why }),
    ]
}

fn context() -> impl Strategy<Value = RunContext> {
    let options = (
        proptest::sample::select(&[ConsentPolicy::Latest, ConsentPolicy::Any][..]),
        proptest::sample::select(&[MatchMode::Customer, MatchMode::Timestamp][..]),
        any::<bool>(),
        any::<u32>(),
        proptest::sample::select(&[Compression::Zstd, Compression::Snappy, Compression::None][..]),
    )
        .prop_map(|(consent, match_mode, dedupe, shards, compression)| TableOptions {
            consent,
            match_mode,
            dedupe,
            shards,
            compression,
        });
    (0..1_u64 << 48, any::<u128>(), text(), options, any::<u64>()).prop_map(|(start, random, lake, options, slice)| {
        RunContext { run_id: RunId::new(start, random), lake, options, slice_bytes: slice }
    })
}

fn to_worker() -> impl Strategy<Value = ToWorker> {
    let revoked = [RevokeReason::DoneElsewhere, RevokeReason::OldEpoch, RevokeReason::NotHeld, RevokeReason::TooLong];
    let dismissed = [
        DismissReason::RunOver,
        DismissReason::RunFailed,
        DismissReason::Drained,
        DismissReason::NotRegistered,
        DismissReason::CoordinatorGoes,
        DismissReason::Refused,
    ];
    prop_oneof![
        (context(), any::<u64>(), any::<u32>()).prop_map(|(context, heartbeat_interval_ms, epoch)| {
            ToWorker::Registered(Registered { context, heartbeat_interval_ms, epoch: Epoch(epoch) })
        }),
        (lease(), any::<u64>(), any::<bool>(), work()).prop_map(|(lease, valid_ms, sparing, work)| ToWorker::Grant {
            lease,
            valid_ms,
            sparing,
            work
        }),
        (lease(), proptest::sample::select(revoked.to_vec())).prop_map(|(lease, why)| ToWorker::Revoke { lease, why }),
        (proptest::sample::select(dismissed.to_vec()), text())
            .prop_map(|(why, message)| ToWorker::Dismiss { why, message }),
    ]
}

proptest! {
    #[test]
    fn what_a_worker_says_arrives(message in from_worker()) {
        prop_assert_eq!(arrived_from_worker(&message), message);
    }

    #[test]
    fn what_the_coordinator_says_arrives(message in to_worker()) {
        prop_assert_eq!(arrived_to_worker(&message), message);
    }
}

#[test]
fn unknown_enum_values_are_errors() {
    let dismiss = |why| wire::CoordinatorMessage {
        message: Some(wire::coordinator_message::Message::Dismiss(wire::Dismiss { why, message: String::new() })),
    };
    for why in [0, 7, -1] {
        let unknown = WireError::Unknown { name: "DismissReason", value: why };
        assert_eq!(ToWorker::try_from(dismiss(why)), Err(unknown));
    }
    assert!(ToWorker::try_from(dismiss(1)).is_ok());
}

#[test]
fn missing_fields_are_errors() {
    let empty = wire::WorkerMessage { message: None };
    assert!(matches!(FromWorker::try_from(empty), Err(WireError::Missing(_))));
    let no_lease =
        wire::WorkerMessage { message: Some(wire::worker_message::Message::Returned(wire::Returned { lease: None })) };
    assert_eq!(FromWorker::try_from(no_lease), Err(WireError::Missing("returned.lease")));
}

#[test]
fn a_join_of_many_scan_tasks_fits_one_message() {
    let segment = SegmentRef {
        path: format!("_stedi/runs/{}/shuffle/scan-accelerometer-12345-0.rows", RunId::new(1, 2)).into(),
        offset: u64::MAX,
        bytes: u64::MAX,
        rows: u64::MAX,
    };
    let work = Work::JoinShard {
        shard: 0,
        directory: "directory".into(),
        readings: vec![segment.clone(); 10_000],
        steps: vec![segment; 10_000],
    };
    assert!(wire::Work::from(work).encoded_len() < TO_WORKER_BYTES_MAX / 50);
}
