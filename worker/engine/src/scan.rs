//! What a scan does with decoded records: filter, shard, and fill chunks for the shuffle.

mod pending;

use stedi_lake::consent::TrustedCustomers;
use stedi_lake::{Customer, MatchMode, keys};

use crate::decode::{RecordSink, Reject};
use crate::directory::Directory;
use crate::packed::{Chunk, PackRow, Packer};
use crate::rows::{Reading, StepReading};
use pending::Pending;

/// Takes the records a scan cannot read, the moment they are found.
pub trait Quarantine {
    /// Keeps one record.
    fn put(&mut self, reject: Reject<'_>);
}

/// Takes full chunks of one shard. Chunks of a shard may come in any order: the join sorts.
pub trait Shuffle {
    /// Takes a chunk of accelerometer readings of `shard`.
    fn put_readings(&self, shard: u32, chunk: Chunk<Reading>);
    /// Takes a chunk of step trainer readings of `shard`.
    fn put_steps(&self, shard: u32, chunk: Chunk<StepReading>);
    /// Whether a chunk could not be kept: there is no use in going on.
    fn has_failed(&self) -> bool;
}

/// How many records of an object went where: `rows = kept + filtered + quarantined`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanCounts {
    /// Records that went on.
    pub kept: u64,
    /// Readable records that were left out.
    pub filtered: u64,
    /// Records that could not be read.
    pub quarantined: u64,
}

/// Collects customer records; filtered and kept are known only when all are seen, so `kept` counts what was read.
#[derive(Debug)]
pub struct CustomerScan<'a, Q> {
    /// What was seen so far.
    pub customers: TrustedCustomers,
    /// Number of the current object.
    pub object: u32,
    /// Counts of the current object; `kept` counts every readable record.
    pub counts: ScanCounts,
    /// Where unreadable records go.
    pub quarantine: &'a mut Q,
}

impl<Q: Quarantine> RecordSink for CustomerScan<'_, Q> {
    fn customer(&mut self, record: Customer) {
        self.counts.kept += 1;
        self.customers.observe(record, self.object);
    }

    fn accelerometer(&mut self, _: &[u8], _: i64, _: [f64; 3]) {
        unreachable!("a decoder of customers yields customers");
    }

    fn step_trainer(&mut self, _: &[u8], _: i64, _: i64) {
        unreachable!("a decoder of customers yields customers");
    }

    fn reject(&mut self, reject: Reject<'_>) {
        self.counts.quarantined += 1;
        self.quarantine.put(reject);
    }
}

/// Chunks being filled, one a shard.
#[derive(Debug)]
struct OpenChunks<T> {
    chunks: Vec<Chunk<T>>,
    bytes_max: usize,
    packer: Packer,
    run: Vec<u8>,
}

impl<T: PackRow> OpenChunks<T> {
    fn new(shards: u32, bytes_max: usize) -> Self {
        let chunks = (0..shards).map(|_| Chunk::default()).collect();
        Self { chunks, bytes_max, packer: Packer::default(), run: Vec::new() }
    }

    /// Adds rows of `id` to each of `shards`; `full` is given the chunks that have no room for them.
    fn push(&mut self, id: u32, rows: &[T], shards: &[u32], mut full: impl FnMut(u32, Chunk<T>)) {
        self.run.clear();
        self.packer.pack(id, rows, &mut self.run);
        for &shard in shards {
            let chunk = &mut self.chunks[shard as usize];
            if !chunk.has_room(self.run.len(), self.bytes_max) {
                full(shard, std::mem::take(chunk));
                // it takes memory now
                chunk.has_room(self.run.len(), self.bytes_max);
            }
            chunk.push(&self.run, rows.len());
        }
    }

    /// As [`Self::push`], each row to the shard of its time.
    fn push_by_time(&mut self, id: u32, rows: &[T], shards: u32, mut full: impl FnMut(u32, Chunk<T>)) {
        for rows in rows.chunk_by(|a, b| a.time_ms() == b.time_ms()) {
            let shard = keys::shard_of_time(rows[0].time_ms(), shards);
            self.push(id, rows, &[shard], &mut full);
        }
    }

    fn drain(&mut self) -> impl Iterator<Item = (u32, Chunk<T>)> {
        (0..).zip(&mut self.chunks).map(|(shard, chunk)| (shard, std::mem::take(chunk))).filter(|(_, c)| c.rows() > 0)
    }
}

/// Scans accelerometer readings: keeps those of trusted customers and sends each to the shards that need it.
#[derive(Debug)]
pub struct ReadingScan<'a, S, Q> {
    pending: Pending<'a, Reading>,
    /// Where unreadable records go.
    pub quarantine: &'a mut Q,
    kept: KeptReadings<'a, S>,
}

/// What becomes of readings once their owner is known.
#[derive(Debug)]
struct KeptReadings<'a, S> {
    directory: &'a Directory,
    shuffle: &'a S,
    open: OpenChunks<Reading>,
    has_reading: Vec<bool>,
    counts: ScanCounts,
}

impl<'a, S: Shuffle, Q: Quarantine> ReadingScan<'a, S, Q> {
    /// A scan that fills chunks of `chunk_bytes` bytes.
    pub fn new(directory: &'a Directory, shuffle: &'a S, chunk_bytes: usize, quarantine: &'a mut Q) -> Self {
        let kept = KeptReadings {
            directory,
            shuffle,
            open: OpenChunks::new(directory.shards(), chunk_bytes),
            has_reading: vec![false; directory.user_count()],
            counts: ScanCounts::default(),
        };
        Self { pending: Pending::new(directory.users()), quarantine, kept }
    }

    /// What became of the records since the last call.
    pub fn take_counts(&mut self) -> ScanCounts {
        self.pending.settle_all(|owner, rows| self.kept.settle(owner, rows));
        std::mem::take(&mut self.kept.counts)
    }

    /// Hands over the chunks that are not full; tells whether each user id has a reading.
    pub fn finish(mut self) -> Vec<bool> {
        self.pending.settle_all(|owner, rows| self.kept.settle(owner, rows));
        for (shard, chunk) in self.kept.open.drain() {
            self.kept.shuffle.put_readings(shard, chunk);
        }
        self.kept.has_reading
    }
}

impl<S: Shuffle> KeptReadings<'_, S> {
    fn settle(&mut self, owner: Option<u32>, rows: &[Reading]) {
        let Some(user) = owner else {
            self.counts.filtered += rows.len() as u64;
            return;
        };
        self.counts.kept += rows.len() as u64;
        self.has_reading[user as usize] = true;
        let full = |shard, chunk| self.shuffle.put_readings(shard, chunk);
        match self.directory.match_mode() {
            MatchMode::Customer => self.open.push(user, rows, self.directory.shards_of_user(user), full),
            MatchMode::Timestamp => self.open.push_by_time(user, rows, self.directory.shards(), full),
        }
    }
}

impl<S: Shuffle, Q: Quarantine> RecordSink for ReadingScan<'_, S, Q> {
    fn customer(&mut self, _: Customer) {
        unreachable!("a decoder of accelerometer readings yields readings");
    }

    #[inline]
    fn accelerometer(&mut self, email: &[u8], time_ms: i64, xyz: [f64; 3]) {
        // the id comes with the run
        let reading = Reading::new(0, time_ms, xyz);
        let directory = self.kept.directory;
        self.pending.push(
            email,
            reading,
            |user| directory.fetch_user(user),
            |owner, rows| self.kept.settle(owner, rows),
        );
    }

    fn step_trainer(&mut self, _: &[u8], _: i64, _: i64) {
        unreachable!("a decoder of accelerometer readings yields readings");
    }

    fn reject(&mut self, reject: Reject<'_>) {
        self.kept.counts.quarantined += 1;
        self.quarantine.put(reject);
    }
}

/// Scans step trainer readings: keeps those of curated serials and sends each to its shard.
#[derive(Debug)]
pub struct StepScan<'a, S, Q> {
    pending: Pending<'a, StepReading>,
    /// Where unreadable records go.
    pub quarantine: &'a mut Q,
    kept: KeptSteps<'a, S>,
}

/// What becomes of step readings once their device is known.
#[derive(Debug)]
struct KeptSteps<'a, S> {
    directory: &'a Directory,
    curated: &'a [bool],
    shuffle: &'a S,
    open: OpenChunks<StepReading>,
    counts: ScanCounts,
}

impl<'a, S: Shuffle, Q: Quarantine> StepScan<'a, S, Q> {
    /// A scan that keeps serial ids for which `curated` holds and fills chunks of `chunk_bytes` bytes.
    pub fn new(
        directory: &'a Directory,
        curated: &'a [bool],
        shuffle: &'a S,
        chunk_bytes: usize,
        quarantine: &'a mut Q,
    ) -> Self {
        let open = OpenChunks::new(directory.shards(), chunk_bytes);
        let kept = KeptSteps { directory, curated, shuffle, open, counts: ScanCounts::default() };
        Self { pending: Pending::new(directory.serials()), quarantine, kept }
    }

    /// What became of the records since the last call.
    pub fn take_counts(&mut self) -> ScanCounts {
        self.pending.settle_all(|device, rows| self.kept.settle(device, rows));
        std::mem::take(&mut self.kept.counts)
    }

    /// Hands over the chunks that are not full.
    pub fn finish(mut self) {
        self.pending.settle_all(|device, rows| self.kept.settle(device, rows));
        for (shard, chunk) in self.kept.open.drain() {
            self.kept.shuffle.put_steps(shard, chunk);
        }
    }
}

impl<S: Shuffle> KeptSteps<'_, S> {
    fn settle(&mut self, device: Option<u32>, rows: &[StepReading]) {
        let Some(serial) = device.filter(|&serial| self.curated[serial as usize]) else {
            self.counts.filtered += rows.len() as u64;
            return;
        };
        self.counts.kept += rows.len() as u64;
        let full = |shard, chunk| self.shuffle.put_steps(shard, chunk);
        match self.directory.match_mode() {
            MatchMode::Customer => self.open.push(serial, rows, &[self.directory.shard_of_serial(serial)], full),
            MatchMode::Timestamp => self.open.push_by_time(serial, rows, self.directory.shards(), full),
        }
    }
}

impl<S: Shuffle, Q: Quarantine> RecordSink for StepScan<'_, S, Q> {
    fn customer(&mut self, _: Customer) {
        unreachable!("a decoder of step trainer readings yields step readings");
    }

    fn accelerometer(&mut self, _: &[u8], _: i64, _: [f64; 3]) {
        unreachable!("a decoder of step trainer readings yields step readings");
    }

    #[inline]
    fn step_trainer(&mut self, serial_number: &[u8], time_ms: i64, distance: i64) {
        // the id comes with the run
        let step = StepReading { time_ms, distance, serial: 0 };
        let directory = self.kept.directory;
        let fetch = |serial| directory.fetch_serial(serial);
        self.pending.push(serial_number, step, fetch, |device, rows| self.kept.settle(device, rows));
    }

    fn reject(&mut self, reject: Reject<'_>) {
        self.kept.counts.quarantined += 1;
        self.quarantine.put(reject);
    }
}
