//! How a run divides its memory budget.

use stedi_engine::packed::RUN_BYTES_MAX;
use stedi_store::Lake;

use crate::read::{WINDOW_LOG_MAX, WINDOW_LOG_USUAL, ZstdWindow};
use crate::shuffle::PIECE_BYTES;

/// What the process takes before it has read anything: code, allocator, runtime, the listing of a usual landing.
const BASE_BYTES: u64 = 30 << 20;

/// What a thread takes: read buffer, open column writers and their compression contexts, its share of what the allocator
/// keeps.
const THREAD_BYTES: u64 = 11 << 20;

/// A thread more pays only from so much memory for each on.
const BYTES_PER_THREAD_MIN: u64 = 48 << 20;

/// The same where a thread reads from S3 and writes there, as long as slices grow with the memory: so that a slice and as
/// much again is left.
const BYTES_PER_THREAD_MIN_S3: u64 = 144 << 20;

/// The least that what a thread reads from S3 and writes there takes.
const TRANSFER_BYTES_MIN: u64 = 34 << 20;

/// What a landing object takes: its names and sizes, when they are listed and in the ledger.
const OBJECT_BYTES: u64 = 700;

/// Chunks larger than this gain nothing.
const CHUNK_BYTES_MAX: usize = 32 << 10;

/// A chunk holds at least a run.
const CHUNK_BYTES_MIN: usize = RUN_BYTES_MAX;

/// The least `--memory` that is accepted.
pub const MEMORY_BYTES_MIN: u64 = 64 << 20;

/// The least `--memory` that is accepted where the lake or landing is in S3.
const MEMORY_BYTES_MIN_S3: u64 = 112 << 20;

/// Memory that the rows of one shard or slice may take when `--memory` is large: a bound that does not depend on
/// `--memory` keeps the bytes of the parts independent of it.
pub const SLICE_BYTES_MAX: u64 = 192 << 20;

/// `--memory` is too little.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TooLittleMemory {
    /// The customers do not leave room for the rest.
    #[error(
        "{customers_mib} MiB of customers{} do not fit in --memory {total_mib}MiB; give at least {wanted_mib}MiB{}",
        if *so_far { " so far" } else { "" },
        if *so_far { ", and more for those that are still to be read" } else { "" }
    )]
    Customers {
        /// What they take.
        customers_mib: u64,
        /// `--memory`.
        total_mib: u64,
        /// What would do.
        wanted_mib: u64,
        /// Whether there may be more of them.
        so_far: bool,
    },
    /// The listing of landing does not leave room for the rest.
    #[error(
        "{objects} landing objects take {objects_mib} MiB of --memory {total_mib}MiB; give at least {wanted_mib}MiB, or put \
         small objects together"
    )]
    Objects {
        /// How many they are.
        objects: u64,
        /// What listing them takes.
        objects_mib: u64,
        /// `--memory`.
        total_mib: u64,
        /// What would do.
        wanted_mib: u64,
    },
    /// Rows that cannot be told apart by user, device or time do not fit, and so cannot be cut into slices.
    #[error(
        "{rows} readings of one time take {rows_mib} MiB at once, too much for --memory {total_mib}MiB; give at least \
         {wanted_mib}MiB"
    )]
    OneTime {
        /// How many they are, of one user or device.
        rows: usize,
        /// What they take.
        rows_mib: u64,
        /// `--memory`.
        total_mib: u64,
        /// What would do.
        wanted_mib: u64,
    },
    /// The client of S3 and what is on its way do not leave room for the rest.
    #[error(
        "--memory {total_mib}MiB (70 % of what there is, unless it is given) is too little for S3, where what is on its way \
         takes memory, too; give at least {}MiB",
        MEMORY_BYTES_MIN_S3 >> 20
    )]
    S3 {
        /// `--memory`.
        total_mib: u64,
    },
}

/// `--memory`, and what is taken of it in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// `--memory`.
    pub total_bytes: u64,
    /// Threads that decode, join and encode.
    pub threads: usize,
    /// Threads, if memory were no matter.
    threads_wanted: usize,
    /// Whether the lake or landing is in S3.
    s3: bool,
    objects: u64,
}

impl Budget {
    /// Of a process that may take `total_bytes`, with as many threads as `threads` says and that allows; one for each
    /// processor if it does not say. `s3` tells whether the lake or landing is in S3.
    pub fn new(total_bytes: u64, threads: Option<usize>, s3: bool) -> Self {
        let threads_wanted = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, Into::into));
        let threads = if s3 { threads_on_s3(total_bytes) } else { total_bytes / BYTES_PER_THREAD_MIN };
        let threads = threads_wanted.min(usize::try_from(threads).unwrap_or(usize::MAX)).max(1);
        Self { total_bytes, threads, threads_wanted, s3, objects: 0 }
    }

    /// The same for a run that has listed so many landing objects.
    ///
    /// # Errors
    /// If they do not leave at least half to the rest.
    pub fn with_objects(self, objects: usize) -> Result<Self, TooLittleMemory> {
        let objects = objects as u64;
        let bytes = OBJECT_BYTES * objects;
        if bytes <= self.available_bytes() / 2 {
            return Ok(Self { objects, ..self });
        }
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        Err(TooLittleMemory::Objects {
            objects,
            objects_mib: mib(bytes),
            total_mib: mib(self.total_bytes),
            wanted_mib: mib(self.least(|more| bytes <= more.available_bytes() / 2)),
        })
    }

    /// Checks that this is enough for S3, if that is used.
    ///
    /// # Errors
    /// If it is not.
    pub fn check_s3(&self) -> Result<(), TooLittleMemory> {
        if self.s3 && self.total_bytes < MEMORY_BYTES_MIN_S3 {
            return Err(TooLittleMemory::S3 { total_mib: self.total_bytes >> 20 });
        }
        Ok(())
    }

    /// `lake` with as much under way as fits. Where S3 cannot do with a fair share of little memory, the rest must do with
    /// less.
    pub fn lake(&self, lake: &Lake) -> Lake {
        lake.with_transfers_within(self.transfer_share())
    }

    /// Checks that customers leave at least half to the rest.
    ///
    /// # Errors
    /// If they do not.
    pub fn check(&self, customer_bytes: usize) -> Result<(), TooLittleMemory> {
        self.check_customers(customer_bytes, false)
    }

    /// The same while customers are being read.
    pub(crate) fn check_so_far(&self, customer_bytes: usize) -> Result<(), TooLittleMemory> {
        self.check_customers(customer_bytes, true)
    }

    fn check_customers(&self, customer_bytes: usize, so_far: bool) -> Result<(), TooLittleMemory> {
        let customers = customer_bytes as u64;
        if customers <= self.available_bytes() / 2 {
            return Ok(());
        }
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let wanted = self.least(|more| customers <= more.available_bytes() / 2);
        Err(TooLittleMemory::Customers {
            customers_mib: mib(customers),
            total_mib: mib(self.total_bytes),
            wanted_mib: mib(wanted),
            so_far,
        })
    }

    /// The `--memory` of which [`MemoryPlan::stage_bytes`] are `stage_bytes` beside so many of customers.
    pub(crate) fn bytes_for_stage(&self, customer_bytes: usize, stage_bytes: usize) -> u64 {
        let (customers, stage) = (customer_bytes as u64, stage_bytes as u64);
        self.least(|more| {
            let available = more.available_bytes();
            customers <= available / 2 && (available - customers) / 100 * STAGE_PERCENT >= stage
        })
    }

    /// The largest window of a zstd object that every thread may have: larger ones than usual take memory that is there for
    /// the join.
    pub(crate) fn zstd_window(&self) -> ZstdWindow {
        let log = self.zstd_window_log();
        let wanted = || self.least(|more| more.zstd_window_log() == WINDOW_LOG_MAX) >> 20;
        ZstdWindow { log, wanted_mib: (log < WINDOW_LOG_MAX).then(wanted) }
    }

    fn zstd_window_log(&self) -> u32 {
        // beside as many customers as there may be
        let bytes = self.available_bytes() / 2 / 100 * JOIN_PERCENT / self.threads as u64;
        bytes.max(1).ilog2().clamp(WINDOW_LOG_USUAL, WINDOW_LOG_MAX)
    }

    /// The least `--memory` from this one on, in MiB, that `is_enough`, with the threads that it allows.
    fn least(&self, is_enough: impl Fn(&Self) -> bool) -> u64 {
        const MIB_MAX: u64 = 1 << 30;
        let of = |mib: u64| {
            let more = Self::new(mib << 20, Some(self.threads_wanted), self.s3);
            Self { objects: self.objects, ..more }
        };
        let first = self.total_bytes.div_ceil(1 << 20);
        (first..MIB_MAX).find(|mib| is_enough(&of(*mib))).unwrap_or(MIB_MAX) << 20
    }

    /// What is left when the process, its threads, its listing and its requests have what they take in any case.
    fn available_bytes(&self) -> u64 {
        let threads = self.threads as u64;
        let requests =
            if self.s3 { CLIENT_BYTES + Lake::transfer_bytes_within(self.transfer_share()) * threads } else { 0 };
        self.total_bytes.saturating_sub(BASE_BYTES + THREAD_BYTES * threads + OBJECT_BYTES * self.objects + requests)
    }

    /// What goes to and from the store may take so much for each thread.
    fn transfer_share(&self) -> u64 {
        self.total_bytes / TRANSFER_SHARE / self.threads as u64
    }
}

/// The most threads that pay where each has requests to S3.
fn threads_on_s3(total_bytes: u64) -> u64 {
    let growing = total_bytes / BYTES_PER_THREAD_MIN_S3;
    // from where slices do not grow any more, a thread takes no more than it has in any case
    let beyond = total_bytes.saturating_sub(BASE_BYTES + CLIENT_BYTES + 3 * SLICE_BYTES_MAX);
    growing.max(beyond / (THREAD_BYTES + TRANSFER_BYTES_MIN))
}

/// The parts of the budget, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    budget: Budget,
    customer_bytes: u64,
    /// Threads that decode, join and encode.
    pub threads: usize,
    /// Full chunks that wait in memory for the join; more are spilled.
    pub shuffle_bytes: usize,
    /// Bytes of a chunk.
    pub chunk_bytes: usize,
    /// Rows being joined and encoded, all threads together.
    pub join_bytes: usize,
    /// What all tasks of one stage may take where no other stage holds anything in memory.
    pub stage_bytes: usize,
    /// Rows of one shard being joined; a larger shard is joined in slices.
    pub slice_bytes: usize,
    /// The other slices of a shard, while one is joined; more of them are spilled.
    pub waiting_bytes: usize,
}

/// What goes to and from the store may take one in so many bytes.
const TRANSFER_SHARE: u64 = 4;

/// What the client of S3 takes: connections, TLS, its tables of rules.
const CLIENT_BYTES: u64 = 12 << 20;

/// Slices that wait take one in so many bytes of the one that is joined.
const WAITING_SHARE: usize = 4;

/// Of what is left beside the customers, all tasks of a stage together take so much where no other stage holds anything.
const STAGE_PERCENT: u64 = 90;

/// All joins together take so much of it in one process, where chunks of other shards wait.
const JOIN_PERCENT: u64 = 40;

/// Memory that the rows of one shard or slice may take in a run with `--memory` of `total_bytes`. It decides bytes of parts,
/// so that it follows from `total_bytes` alone: room for it is left with the most threads and customers that there may be, and
/// with S3.
pub fn slice_bytes(total_bytes: u64) -> u64 {
    let local = total_bytes.saturating_sub(BASE_BYTES + THREAD_BYTES * (total_bytes / BYTES_PER_THREAD_MIN).max(1));
    let on_s3 = {
        let threads = threads_on_s3(total_bytes).max(1);
        total_bytes.saturating_sub(BASE_BYTES + CLIENT_BYTES + (THREAD_BYTES + TRANSFER_BYTES_MIN) * threads)
    };
    let available = if total_bytes < MEMORY_BYTES_MIN_S3 { local } else { local.min(on_s3) };
    (available / 100 * 35).min(SLICE_BYTES_MAX)
}

impl MemoryPlan {
    /// Divides `budget` for a run with `customer_bytes` of trusted customers and `shards` shards.
    ///
    /// # Errors
    /// If the customers leave no room.
    pub fn new(budget: &Budget, shards: u32, customer_bytes: usize) -> Result<Self, TooLittleMemory> {
        budget.check(customer_bytes)?;
        let threads = budget.threads;
        let available = budget.available_bytes() - customer_bytes as u64;
        let share = |percent: u64| usize::try_from(available / 100 * percent).unwrap_or(usize::MAX);
        let open_chunks = shards as usize * threads;
        let chunk_bytes = (share(5) / open_chunks).clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
        let open_bytes = open_chunks * chunk_bytes;
        // what is being spilled is there twice: in chunks, and put together
        let spilling_bytes = 2 * PIECE_BYTES * threads;
        let slice_bytes = usize::try_from(slice_bytes(budget.total_bytes)).unwrap_or(usize::MAX);
        let waiting_bytes = slice_bytes / WAITING_SHARE;
        let join_bytes = share(JOIN_PERCENT).max(slice_bytes + waiting_bytes);
        Ok(Self {
            budget: *budget,
            customer_bytes: customer_bytes as u64,
            threads,
            shuffle_bytes: share(85).saturating_sub(join_bytes + open_bytes + spilling_bytes),
            chunk_bytes,
            join_bytes,
            stage_bytes: share(STAGE_PERCENT),
            slice_bytes,
            waiting_bytes,
        })
    }

    /// Checks that `rows` readings that take `row_bytes` and cannot be cut can be joined at once.
    ///
    /// # Errors
    /// If they cannot.
    pub(crate) fn check_one_time(&self, rows: usize, row_bytes: usize) -> Result<(), TooLittleMemory> {
        if row_bytes <= self.join_bytes {
            return Ok(());
        }
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let wanted = self.budget.least(|more| {
            let available = more.available_bytes();
            let left = available.saturating_sub(self.customer_bytes);
            self.customer_bytes <= available / 2 && left / 100 * JOIN_PERCENT >= row_bytes as u64
        });
        Err(TooLittleMemory::OneTime {
            rows,
            rows_mib: mib(row_bytes as u64),
            total_mib: mib(self.budget.total_bytes),
            wanted_mib: mib(wanted),
        })
    }

    /// The same for a process that executes one stage at a time, with slices of `slice_bytes`, which the run decides.
    pub(crate) fn of_stage(self, slice_bytes: usize) -> Self {
        let waiting_bytes = slice_bytes / WAITING_SHARE;
        Self { shuffle_bytes: self.stage_bytes / 2, slice_bytes, waiting_bytes, ..self }
    }

    /// The least with which a task still does the very same work: what may be anywhere is in scratch or in the store.
    pub(crate) fn sparing(self) -> Self {
        let (shuffle_bytes, waiting_bytes) = (self.shuffle_bytes / 8, self.waiting_bytes / 8);
        Self { shuffle_bytes, waiting_bytes, chunk_bytes: CHUNK_BYTES_MIN, ..self }
    }
}

/// The default of `--memory`: the smaller of 2 GiB and 70 % of what the process may use.
pub fn default_bytes() -> u64 {
    let limit = cgroup_limit().unwrap_or(u64::MAX).min(physical_bytes().unwrap_or(u64::MAX));
    (limit / 10 * 7).clamp(MEMORY_BYTES_MIN, 2 << 30)
}

/// The memory limit of the process's cgroup, version 2 or 1; `None` if there is none.
fn cgroup_limit() -> Option<u64> {
    let membership = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let path_of = |controller: &str| {
        membership.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let controllers = fields.next()?;
            let path = fields.next()?;
            controllers.split(',').any(|c| c == controller).then_some(path)
        })
    };
    let read = |path: String| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let chain = |root: &str, own: &str, file: &str| {
        // every ancestor may set a limit, the tightest one counts
        let mut path = own.trim_end_matches('/').to_owned();
        let mut limit = read(format!("{root}/{file}"));
        while !path.is_empty() {
            limit = [limit, read(format!("{root}{path}/{file}"))].into_iter().flatten().min();
            path.truncate(path.rfind('/').unwrap_or(0));
        }
        limit
    };
    let v2 = path_of("").and_then(|own| chain("/sys/fs/cgroup", own, "memory.max"));
    let v1 = path_of("memory").and_then(|own| chain("/sys/fs/cgroup/memory", own, "memory.limit_in_bytes"));
    [v2, v1].into_iter().flatten().min()
}

fn physical_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kib: u64 =
        text.lines().find_map(|l| l.strip_prefix("MemTotal:"))?.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_shares_fit_the_budget() {
        for (total_mib, s3) in
            [64, 112, 128, 288, 512, 1024, 2048].into_iter().flat_map(|mib| [(mib, false), (mib, true)])
        {
            for (shards, customers) in [(1, 1 << 20), (5, 0), (170, 1 << 20), (4096, 0), (1, usize::MAX)] {
                for wanted in [1, 2, 8, 1000] {
                    let budget = Budget::new(total_mib * MIB, Some(wanted), s3);
                    if budget.check_s3().is_err() {
                        continue;
                    }
                    let most = usize::try_from(budget.available_bytes() / 2).expect("it fits");
                    let customers = customers.min(most);
                    let plan = MemoryPlan::new(&budget, shards, customers).expect("enough");
                    let open = plan.chunk_bytes * shards as usize * budget.threads;
                    let used = (plan.shuffle_bytes + plan.join_bytes + open + customers) as u64;
                    let fits = used <= budget.available_bytes();
                    assert!(fits || plan.chunk_bytes == CHUNK_BYTES_MIN, "{budget:?} {customers} {plan:?}");
                    assert!(plan.slice_bytes >= 4 << 20 && plan.join_bytes >= plan.slice_bytes * 5 / 4, "{plan:?}");
                }
            }
        }
    }

    #[test]
    fn s3_takes_memory_too() {
        let threads = |mib| Budget::new(mib * MIB, Some(40), true).threads;
        assert_eq!([112, 287, 288, 576, 2048].map(threads), [1, 1, 2, 4, 31]);
        let error = Budget::new(64 * MIB, None, true).check_s3().expect_err("too little").to_string();
        assert!(error.contains("64MiB") && error.contains("112MiB"), "{error}");
        let left = |s3| Budget::new(MEMORY_BYTES_MIN_S3, Some(1), s3).available_bytes();
        assert_eq!(left(false) - left(true), CLIENT_BYTES + TRANSFER_BYTES_MIN);
        let beside = Budget::new(112 * MIB, Some(1), false).with_objects(1000).expect("few");
        assert_eq!(left(false) - beside.available_bytes(), 700_000);
        let error = Budget::new(64 * MIB, Some(1), false).with_objects(100_000).expect_err("too many").to_string();
        assert!(error.contains("100000 landing objects take 67 MiB") && error.contains("175MiB"), "{error}");
    }

    #[test]
    fn windows_of_zstd_fit_where_the_join_will_be() {
        let window = |mib: u64| Budget::new(mib * MIB, Some(2), false).zstd_window();
        assert_eq!([64, 128, 512, 1024, 2048].map(|mib| window(mib).log), [23, 23, 25, 26, 27]);
        let wanted = window(64).wanted_mib.expect("128 MiB want more");
        assert_eq!((window(wanted).log, window(wanted - 1).log), (27, 26));
        assert_eq!(window(wanted), ZstdWindow::default());
    }

    #[test]
    fn slices_follow_from_memory_alone() {
        let mib = |total: u64| slice_bytes(total << 20) >> 20;
        assert_eq!([64, 96, 112, 128, 512, 1024, 2048].map(mib), [8, 15, 8, 14, 117, 192, 192]);
    }

    #[test]
    fn what_is_asked_for_is_enough() {
        for (wanted, s3) in [(1, false), (2, false), (8, false), (1, true), (2, true), (8, true)] {
            for customers_mib in [1, 40, 100, 300] {
                let customers = customers_mib << 20;
                let budget = Budget::new(MEMORY_BYTES_MIN_S3, Some(wanted), s3);
                let again = |total| Budget::new(total, Some(wanted), s3);
                if let Err(TooLittleMemory::Customers { wanted_mib, .. }) = budget.check(customers) {
                    assert!(again(wanted_mib * MIB).check(customers).is_ok(), "{wanted} {s3} {wanted_mib}");
                    assert!(again((wanted_mib - 1) * MIB).check(customers).is_err(), "{wanted} {s3} {wanted_mib}");
                }
                for stage in [1, 100 << 20, 300 << 20] {
                    let total = budget.bytes_for_stage(customers, stage);
                    let plan = MemoryPlan::new(&again(total), 7, customers).expect("customers fit, too");
                    assert!(plan.stage_bytes >= stage, "{wanted} {s3} {total}");
                }
            }
        }
    }

    #[test]
    fn customers_that_do_not_fit_are_an_error_with_a_way_out() {
        let error = MemoryPlan::new(&Budget::new(64 * MIB, Some(1), false), 1, 100 << 20).expect_err("too many");
        let text = "100 MiB of customers do not fit in --memory 64MiB; give at least 241MiB";
        assert_eq!(error.to_string(), text);
    }
}
