//! What a scan does with decoded records: filter, shard, and fill chunks for the shuffle.

use stedi_lake::consent::TrustedCustomers;
use stedi_lake::{Customer, MatchMode, keys};

use crate::decode::{RecordSink, Reject};
use crate::directory::Directory;
use crate::rows::{Reading, StepReading};

/// Takes the records a scan cannot read, the moment they are found.
pub trait Quarantine {
    /// Keeps one record.
    fn put(&mut self, reject: Reject<'_>);
}

/// Takes full chunks of one shard. Chunks of a shard may come in any order: the join sorts.
pub trait Shuffle {
    /// Takes a chunk of accelerometer readings of `shard`.
    fn put_readings(&self, shard: u32, chunk: Vec<Reading>);
    /// Takes a chunk of step trainer readings of `shard`.
    fn put_steps(&self, shard: u32, chunk: Vec<StepReading>);
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
    chunks: Vec<Vec<T>>,
    rows_max: usize,
}

impl<T> OpenChunks<T> {
    fn new(shards: u32, rows_max: usize) -> Self {
        Self { chunks: (0..shards).map(|_| Vec::new()).collect(), rows_max }
    }

    /// Adds a row; returns the shard's chunk when it is full.
    #[inline]
    fn push(&mut self, shard: u32, row: T) -> Option<Vec<T>> {
        let chunk = &mut self.chunks[shard as usize];
        if chunk.capacity() == 0 {
            chunk.reserve_exact(self.rows_max);
        }
        chunk.push(row);
        (chunk.len() == self.rows_max).then(|| std::mem::take(chunk))
    }

    fn drain(&mut self) -> impl Iterator<Item = (u32, Vec<T>)> {
        (0..).zip(&mut self.chunks).map(|(shard, chunk)| (shard, std::mem::take(chunk))).filter(|(_, c)| !c.is_empty())
    }
}

/// The name looked up last, and what was found: records come in runs of one name, trusted or not, and comparing with the
/// last one is cheaper than looking up.
#[derive(Debug, Default)]
struct LastName {
    name: Vec<u8>,
    id: Option<u32>,
}

impl LastName {
    /// What `find` finds for `name`. An empty name is nobody's: no lookup is needed to start with.
    #[inline]
    fn resolve(&mut self, name: &[u8], find: impl FnOnce() -> Option<u32>) -> Option<u32> {
        if self.name != name {
            self.name.clear();
            self.name.extend_from_slice(name);
            self.id = find();
        }
        self.id
    }
}

/// Scans accelerometer readings: keeps those of trusted customers and sends each to the shards that need it.
#[derive(Debug)]
pub struct ReadingScan<'a, S, Q> {
    directory: &'a Directory,
    shuffle: &'a S,
    open: OpenChunks<Reading>,
    last: LastName,
    /// Whether each user id has a reading.
    pub has_reading: Vec<bool>,
    /// Counts of the current object.
    pub counts: ScanCounts,
    /// Where unreadable records go.
    pub quarantine: &'a mut Q,
}

impl<'a, S: Shuffle, Q: Quarantine> ReadingScan<'a, S, Q> {
    /// A scan that fills chunks of `chunk_rows` rows.
    pub fn new(directory: &'a Directory, shuffle: &'a S, chunk_rows: usize, quarantine: &'a mut Q) -> Self {
        Self {
            directory,
            shuffle,
            open: OpenChunks::new(directory.shards(), chunk_rows),
            last: LastName::default(),
            has_reading: vec![false; directory.user_count()],
            counts: ScanCounts::default(),
            quarantine,
        }
    }

    /// Hands over the chunks that are not full.
    pub fn flush(&mut self) {
        for (shard, chunk) in self.open.drain() {
            self.shuffle.put_readings(shard, chunk);
        }
    }

    #[inline]
    fn send(&mut self, shard: u32, reading: Reading) {
        if let Some(full) = self.open.push(shard, reading) {
            self.shuffle.put_readings(shard, full);
        }
    }
}

impl<S: Shuffle, Q: Quarantine> RecordSink for ReadingScan<'_, S, Q> {
    fn customer(&mut self, _: Customer) {
        unreachable!("a decoder of accelerometer readings yields readings");
    }

    #[inline]
    fn accelerometer(&mut self, email: &[u8], time_ms: i64, xyz: [f64; 3]) {
        let directory = self.directory;
        let Some(user) = self.last.resolve(email, || directory.user(email)) else {
            self.counts.filtered += 1;
            return;
        };
        self.counts.kept += 1;
        self.has_reading[user as usize] = true;
        let reading = Reading::new(user, time_ms, xyz);
        match directory.match_mode() {
            MatchMode::Customer => {
                for &shard in directory.shards_of_user(user) {
                    self.send(shard, reading);
                }
            }
            MatchMode::Timestamp => self.send(keys::shard_of_time(time_ms, directory.shards()), reading),
        }
    }

    fn step_trainer(&mut self, _: &[u8], _: i64, _: i64) {
        unreachable!("a decoder of accelerometer readings yields readings");
    }

    fn reject(&mut self, reject: Reject<'_>) {
        self.counts.quarantined += 1;
        self.quarantine.put(reject);
    }
}

/// Scans step trainer readings: keeps those of curated serials and sends each to its shard.
#[derive(Debug)]
pub struct StepScan<'a, S, Q> {
    directory: &'a Directory,
    curated: &'a [bool],
    shuffle: &'a S,
    open: OpenChunks<StepReading>,
    last: LastName,
    /// Counts of the current object.
    pub counts: ScanCounts,
    /// Where unreadable records go.
    pub quarantine: &'a mut Q,
}

impl<'a, S: Shuffle, Q: Quarantine> StepScan<'a, S, Q> {
    /// A scan that keeps serial ids for which `curated` holds and fills chunks of `chunk_rows` rows.
    pub fn new(
        directory: &'a Directory,
        curated: &'a [bool],
        shuffle: &'a S,
        chunk_rows: usize,
        quarantine: &'a mut Q,
    ) -> Self {
        Self {
            directory,
            curated,
            shuffle,
            open: OpenChunks::new(directory.shards(), chunk_rows),
            last: LastName::default(),
            counts: ScanCounts::default(),
            quarantine,
        }
    }

    /// Hands over the chunks that are not full.
    pub fn flush(&mut self) {
        for (shard, chunk) in self.open.drain() {
            self.shuffle.put_steps(shard, chunk);
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
        let (directory, curated) = (self.directory, self.curated);
        let find = || directory.serial(serial_number).filter(|&serial| curated[serial as usize]);
        let Some(serial) = self.last.resolve(serial_number, find) else {
            self.counts.filtered += 1;
            return;
        };
        self.counts.kept += 1;
        let shard = match directory.match_mode() {
            MatchMode::Customer => directory.shard_of_serial(serial),
            MatchMode::Timestamp => keys::shard_of_time(time_ms, directory.shards()),
        };
        if let Some(full) = self.open.push(shard, StepReading { time_ms, distance, serial }) {
            self.shuffle.put_steps(shard, full);
        }
    }

    fn reject(&mut self, reject: Reject<'_>) {
        self.counts.quarantined += 1;
        self.quarantine.put(reject);
    }
}
