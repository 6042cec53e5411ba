//! The scan stage: every landing byte once, through the decoder, by all threads.

mod split;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use stedi_engine::decode::{RecordSink, Reject};
use stedi_engine::directory::Directory;
use stedi_engine::scan::{CustomerScan, Quarantine, ReadingScan, ScanCounts, Shuffle, StepScan};
use stedi_job::Split;
use stedi_lake::consent::TrustedCustomers;
use stedi_lake::{ConsentPolicy, Customer, LandingTable};
use stedi_store::LandingObject;

use crate::WorkError;
use crate::memory::{Budget, TooLittleMemory};
use crate::progress::Progress;
use crate::quarantine::{QuarantineStore, QuarantineWriter};
use crate::read::{LandingReader, Opening};
use crate::threads;
use split::SplitDecoder;
pub use split::{ScanPlan, is_splittable};

/// Splits that a thread opens while it decodes another one of a remote store, at most.
const BEGUN_MAX: usize = 8;

/// No further one is opened when those have so many bytes; each waits with its first few MiB in memory.
const BEGUN_BYTES: u64 = 4 << 20;

/// What every scan needs.
#[derive(Clone, Copy, Debug)]
pub struct Scan<'a> {
    /// The table to read.
    pub table: LandingTable,
    /// Its landing objects.
    pub objects: &'a [LandingObject],
    /// What to read of them.
    pub plan: &'a ScanPlan,
    /// Opens them.
    pub reader: &'a LandingReader,
    /// Takes the records that cannot be read.
    pub quarantine: &'a QuarantineStore<'a>,
    /// Shows what is going on.
    pub progress: &'a Progress,
    /// Stops it, once true.
    pub cancel: &'a AtomicBool,
    /// How many threads.
    pub threads: usize,
}

/// Reads all customers; the counts of each object have every readable record as kept.
///
/// # Errors
/// If an object cannot be read, the quarantine cannot be written, the customers do not leave room in `budget` for the rest,
/// or the run is cancelled.
pub fn customers(
    scan: &Scan<'_>,
    policy: ConsentPolicy,
    budget: &Budget,
) -> Result<(TrustedCustomers, Vec<ScanCounts>), WorkError> {
    let all_bytes = AtomicUsize::new(0);
    let (seen, counts) = scan.run(|work| {
        let mut quarantine = work.quarantine();
        let scan = CustomerScan {
            customers: TrustedCustomers::new(policy),
            object: 0,
            counts: ScanCounts::default(),
            quarantine: &mut quarantine,
        };
        let mut sink =
            BoundedCustomers { scan, budget, all_bytes: &all_bytes, bytes: 0, unchecked_bytes: 0, failed: None };
        while let Some(split) = work.next()? {
            sink.scan.object = u32::try_from(split.object).unwrap_or(u32::MAX);
            sink.scan.quarantine.enter(work.group, work.key(split)).map_err(WorkError::Quarantine)?;
            work.decode(split, &mut sink, |sink| std::mem::take(&mut sink.scan.counts))?;
            sink.check();
            if let Some(error) = sink.failed.take() {
                return Err(error.into());
            }
        }
        let customers = sink.scan.customers;
        quarantine.flush().map_err(WorkError::Quarantine)?;
        Ok(customers)
    })?;
    let mut all = TrustedCustomers::new(policy);
    seen.into_iter().for_each(|customers| all.merge(customers));
    Ok((all, counts))
}

/// Customers of one thread, as long as those of all threads fit. A split may be as large as an object, so that it is looked
/// at within one, too.
struct BoundedCustomers<'a, Q> {
    scan: CustomerScan<'a, Q>,
    budget: &'a Budget,
    /// What customers of all threads take.
    all_bytes: &'a AtomicUsize,
    /// What is in there of these.
    bytes: usize,
    /// What came since.
    unchecked_bytes: usize,
    failed: Option<TooLittleMemory>,
}

/// Bytes of customers between two looks at what they take.
const UNCHECKED_BYTES_MAX: usize = 256 << 10;

impl<Q> BoundedCustomers<'_, Q> {
    fn check(&mut self) {
        let bytes = self.scan.customers.memory_bytes();
        // newer records of a customer may take less than older ones
        let change = bytes.wrapping_sub(self.bytes);
        let all = self.all_bytes.fetch_add(change, Ordering::Relaxed).wrapping_add(change);
        (self.bytes, self.unchecked_bytes) = (bytes, 0);
        self.failed = self.failed.take().or(self.budget.check_so_far(all).err());
    }
}

impl<Q: Quarantine> RecordSink for BoundedCustomers<'_, Q> {
    fn customer(&mut self, record: Customer) {
        if self.failed.is_some() {
            return;
        }
        let bytes = record.memory_bytes();
        if bytes >= UNCHECKED_BYTES_MAX {
            // not before it is known to fit
            let all = self.all_bytes.load(Ordering::Relaxed).wrapping_add(bytes);
            self.failed = self.budget.check_so_far(all).err();
        }
        if self.failed.is_none() {
            self.scan.customer(record);
        }
        self.unchecked_bytes += bytes;
        if self.unchecked_bytes >= UNCHECKED_BYTES_MAX {
            self.check();
        }
    }

    fn accelerometer(&mut self, user: &[u8], time_ms: i64, xyz: [f64; 3]) {
        self.scan.accelerometer(user, time_ms, xyz);
    }

    fn step_trainer(&mut self, serial: &[u8], time_ms: i64, distance: i64) {
        self.scan.step_trainer(serial, time_ms, distance);
    }

    fn reject(&mut self, reject: Reject<'_>) {
        self.scan.reject(reject);
    }
}

/// Reads all accelerometer readings and tells which user ids have one.
///
/// # Errors
/// As [`customers`], or if the shuffle cannot be spilled.
pub fn readings<S: Shuffle + Sync>(
    scan: &Scan<'_>,
    directory: &Directory,
    shuffle: &S,
    chunk_bytes: usize,
) -> Result<(Vec<bool>, Vec<ScanCounts>), WorkError> {
    let (seen, counts) = scan.run(|work| {
        let mut quarantine = work.quarantine();
        let mut sink = ReadingScan::new(directory, shuffle, chunk_bytes, &mut quarantine);
        while let Some(split) = work.next()? {
            sink.quarantine.enter(work.group, work.key(split)).map_err(WorkError::Quarantine)?;
            work.decode(split, &mut sink, ReadingScan::take_counts)?;
            if shuffle.has_failed() {
                break;
            }
        }
        let has_reading = sink.finish();
        quarantine.flush().map_err(WorkError::Quarantine)?;
        Ok(has_reading)
    })?;
    let mut all = vec![false; directory.user_count()];
    for has_reading in seen {
        all.iter_mut().zip(has_reading).for_each(|(all, has)| *all |= has);
    }
    Ok((all, counts))
}

/// Reads all step trainer readings and keeps those of `curated` serial ids.
///
/// # Errors
/// As [`readings`].
pub fn steps<S: Shuffle + Sync>(
    scan: &Scan<'_>,
    directory: &Directory,
    curated: &[bool],
    shuffle: &S,
    chunk_bytes: usize,
) -> Result<Vec<ScanCounts>, WorkError> {
    let (_, counts) = scan.run(|work| {
        let mut quarantine = work.quarantine();
        let mut sink = StepScan::new(directory, curated, shuffle, chunk_bytes, &mut quarantine);
        while let Some(split) = work.next()? {
            sink.quarantine.enter(work.group, work.key(split)).map_err(WorkError::Quarantine)?;
            work.decode(split, &mut sink, StepScan::take_counts)?;
            if shuffle.has_failed() {
                break;
            }
        }
        sink.finish();
        quarantine.flush().map_err(WorkError::Quarantine)
    })?;
    Ok(counts)
}

impl<'a> Scan<'a> {
    /// Runs `body` on every thread; the bodies share the splits among them. Returns what they return, and the counts of
    /// each object.
    fn run<T: Send>(
        &self,
        body: impl Fn(&mut Work<'_, 'a>) -> Result<T, WorkError> + Sync,
    ) -> Result<(Vec<T>, Vec<ScanCounts>), WorkError> {
        let shared = Shared { next: AtomicUsize::new(0), stop: AtomicBool::new(false) };
        let outcomes = threads::share(self.threads.min(self.plan.groups.len()), &shared.stop, || {
            let mut work = Work::new(self, &shared);
            body(&mut work).map(|value| (value, work.counts))
        })?;
        let mut values = Vec::new();
        let mut counts = vec![ScanCounts::default(); self.objects.len()];
        for (value, added) in outcomes {
            values.push(value);
            for (object, added) in added {
                let sum = &mut counts[object];
                sum.kept += added.kept;
                sum.filtered += added.filtered;
                sum.quarantined += added.quarantined;
            }
        }
        self.check_cancelled()?;
        Ok((values, counts))
    }

    fn check_cancelled(&self) -> Result<(), WorkError> {
        if self.cancel.load(Ordering::Relaxed) { Err(WorkError::Cancelled) } else { Ok(()) }
    }
}

struct Shared {
    next: AtomicUsize,
    stop: AtomicBool,
}

/// One thread's part of a scan.
struct Work<'w, 'a> {
    scan: &'w Scan<'a>,
    shared: &'w Shared,
    decoder: SplitDecoder,
    /// Splits that are this thread's next, opened already.
    begun: VecDeque<Claimed<'a>>,
    /// Number of the group claimed last, and what is left of it.
    claimed: usize,
    left: Range<usize>,
    /// Whether opening takes its time: so it was with the last object.
    is_remote: bool,
    /// The group of the current split, and the split being opened.
    group: usize,
    opening: Option<Opening>,
    counts: Vec<(usize, ScanCounts)>,
}

/// A split that is a thread's next.
struct Claimed<'a> {
    group: usize,
    split: &'a Split,
    opening: Option<Opening>,
}

impl<'w, 'a> Work<'w, 'a> {
    fn new(scan: &'w Scan<'a>, shared: &'w Shared) -> Self {
        Self {
            scan,
            shared,
            decoder: SplitDecoder::new(),
            begun: VecDeque::new(),
            claimed: 0,
            left: 0..0,
            is_remote: false,
            group: 0,
            opening: None,
            counts: Vec::new(),
        }
    }

    fn quarantine(&self) -> QuarantineWriter<'a> {
        QuarantineWriter::new(self.scan.quarantine, self.scan.table)
    }

    /// The next split, none if all are taken or another thread has failed.
    fn next(&mut self) -> Result<Option<&'a Split>, WorkError> {
        self.scan.check_cancelled()?;
        if self.shared.stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let Some(Claimed { group, split, opening }) = self.begun.pop_front().or_else(|| self.claim()) else {
            return Ok(None);
        };
        (self.group, self.opening) = (group, opening);
        if self.is_remote {
            self.begin_more();
        }
        Ok(Some(split))
    }

    fn claim(&mut self) -> Option<Claimed<'a>> {
        while self.left.is_empty() {
            self.claimed = self.shared.next.fetch_add(1, Ordering::Relaxed);
            self.left = self.scan.plan.groups.get(self.claimed)?.clone();
        }
        let split = self.left.next().map(|split| &self.scan.plan.splits[split])?;
        Some(Claimed { group: self.claimed, split, opening: None })
    }

    /// Opens the next splits while the current one is decoded: many small ones, or one large one.
    fn begin_more(&mut self) {
        let objects = self.scan.objects;
        let bytes = |split: &Split| split.bytes.end.min(objects[split.object].bytes).saturating_sub(split.bytes.start);
        let mut ahead: u64 = self.begun.iter().map(|next| bytes(next.split)).sum();
        while self.begun.len() < BEGUN_MAX && ahead < BEGUN_BYTES {
            let Some(mut next) = self.claim() else { break };
            next.opening = Some(split::begin(self.scan, next.split));
            ahead += bytes(next.split);
            self.begun.push_back(next);
        }
    }

    /// Decodes a split into `sink` and adds up what `take_counts` takes out of it.
    fn decode<S: RecordSink>(
        &mut self,
        split: &Split,
        sink: &mut S,
        take_counts: impl Fn(&mut S) -> ScanCounts,
    ) -> Result<(), WorkError> {
        let object = &self.scan.objects[split.object];
        let begun = self.opening.take();
        self.is_remote = !self.decoder.decode(self.scan, object, split, begun, sink)?;
        let counts = take_counts(sink);
        self.scan.progress.rows_done.fetch_add(counts.kept + counts.filtered + counts.quarantined, Ordering::Relaxed);
        self.counts.push((split.object, counts));
        Ok(())
    }

    fn key(&self, split: &Split) -> &'a str {
        &self.scan.objects[split.object].key
    }
}
