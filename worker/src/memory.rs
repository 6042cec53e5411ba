//! How a run divides its memory budget.

use stedi_engine::packed::RUN_BYTES_MAX;
use stedi_store::Lake;

use crate::shuffle::PIECE_BYTES;

/// What the process takes before it has read anything: code, allocator, runtime, the listing of a usual landing.
const BASE_BYTES: u64 = 30 << 20;

/// What a thread takes: read buffer, open column writers and their compression contexts, its share of what the allocator
/// keeps.
const THREAD_BYTES: u64 = 11 << 20;

/// A thread more pays only from so much memory for each on.
const BYTES_PER_THREAD_MIN: u64 = 48 << 20;

/// The same where a thread reads from S3 and writes there, so that a slice and as much again is left of it.
const BYTES_PER_THREAD_MIN_S3: u64 = 144 << 20;

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
        "{customers_mib} MiB of trusted customers do not fit in --memory {total_mib}MiB; give at least {wanted_mib}MiB"
    )]
    Customers {
        /// What they take.
        customers_mib: u64,
        /// `--memory`.
        total_mib: u64,
        /// What would do.
        wanted_mib: u64,
    },
    /// The client of S3 and what is on its way do not leave room for the rest.
    #[error(
        "--memory {total_mib}MiB is too little for S3, where what is on its way takes memory, too; give at least {}MiB",
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
    /// What goes to and from the store takes so much while all threads are busy.
    pub transfer_bytes: u64,
}

impl Budget {
    /// `lake` with as much under way as `threads` threads of a process with `total_bytes` may have, and the budget, where S3
    /// counts if it is used at all (`s3`). Where S3 cannot do with a fair share of little memory, the rest must do with less.
    ///
    /// # Errors
    /// If this is too little for S3.
    pub fn new(lake: &Lake, total_bytes: u64, threads: usize, s3: bool) -> Result<(Lake, Self), TooLittleMemory> {
        let lake = lake.with_transfers_within(total_bytes / TRANSFER_SHARE / threads as u64);
        let budget = Self { total_bytes, threads, transfer_bytes: 0 };
        if !s3 {
            return Ok((lake, budget));
        }
        if total_bytes < MEMORY_BYTES_MIN_S3 {
            return Err(TooLittleMemory::S3 { total_mib: total_bytes >> 20 });
        }
        let transfer_bytes = CLIENT_BYTES + lake.transfer_bytes().saturating_mul(threads as u64);
        Ok((lake, Self { transfer_bytes, ..budget }))
    }

    /// Checks that customers leave room for the rest: half of the budget, and a slice with those that wait.
    ///
    /// # Errors
    /// If they do not.
    pub fn check(&self, customer_bytes: usize) -> Result<(), TooLittleMemory> {
        let customers = customer_bytes as u64;
        if self.has_room_for(customers) {
            return Ok(());
        }
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let total_mib = mib(self.total_bytes);
        let fits = |mib: &u64| Self { total_bytes: mib << 20, ..*self }.has_room_for(customers);
        let enough_mib = mib(self.fixed_bytes() + 2 * (customers + SLICE_BYTES_MAX));
        let wanted_mib = (total_mib..enough_mib).find(fits).unwrap_or(enough_mib);
        Err(TooLittleMemory::Customers { customers_mib: mib(customers), total_mib, wanted_mib })
    }

    /// The `--memory` of which [`MemoryPlan::stage_bytes`] are `stage_bytes`.
    pub(crate) fn bytes_for_stage(&self, customer_bytes: usize, stage_bytes: usize) -> u64 {
        let available = stage_bytes.div_ceil(90).saturating_mul(100) as u64;
        self.fixed_bytes() + available.max(customer_bytes as u64) + customer_bytes as u64
    }

    fn has_room_for(&self, customers: u64) -> bool {
        let available = self.available_bytes();
        let slices = slice_bytes(self.total_bytes);
        customers <= available / 2 && customers + slices + slices / WAITING_SHARE as u64 <= available
    }

    /// What is left when the process, its threads and its requests have what they take in any case.
    fn available_bytes(&self) -> u64 {
        self.total_bytes.saturating_sub(self.fixed_bytes())
    }

    fn fixed_bytes(&self) -> u64 {
        BASE_BYTES + THREAD_BYTES * self.threads as u64 + self.transfer_bytes
    }
}

/// The parts of the budget, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
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

/// Memory that the rows of one shard or slice may take in a run with `--memory` of `total_bytes`. It decides bytes of parts,
/// so that it follows from `total_bytes` alone: room for it is left with the most threads and customers that there may be.
pub fn slice_bytes(total_bytes: u64) -> u64 {
    let threads_max = (total_bytes / BYTES_PER_THREAD_MIN).max(1);
    let available = total_bytes.saturating_sub(BASE_BYTES + THREAD_BYTES * threads_max);
    (available / 100 * 35).min(SLICE_BYTES_MAX)
}

/// The threads that `total_bytes` allow of the `wanted` ones, which are one for each processor if nobody says. With S3 a
/// thread takes more.
pub fn threads(total_bytes: u64, wanted: Option<usize>, s3: bool) -> usize {
    let wanted = wanted.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, Into::into));
    let bytes_per_thread = if s3 { BYTES_PER_THREAD_MIN_S3 } else { BYTES_PER_THREAD_MIN };
    wanted.min(usize::try_from(total_bytes / bytes_per_thread).unwrap_or(usize::MAX)).max(1)
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
        let join_bytes = share(40).max(slice_bytes + waiting_bytes);
        Ok(Self {
            threads,
            shuffle_bytes: share(85).saturating_sub(join_bytes + open_bytes + spilling_bytes),
            chunk_bytes,
            join_bytes,
            stage_bytes: share(90),
            slice_bytes,
            waiting_bytes,
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

    fn local(total_bytes: u64, threads: usize) -> Budget {
        Budget { total_bytes, threads, transfer_bytes: 0 }
    }

    /// With the least under way.
    fn on_s3(total_bytes: u64, threads: usize) -> Budget {
        Budget { total_bytes, threads, transfer_bytes: CLIENT_BYTES + (26 << 20) * threads as u64 }
    }

    #[test]
    fn the_shares_fit_the_budget() {
        for total in [64 << 20, MEMORY_BYTES_MIN_S3, 128 << 20, 288 << 20, 512 << 20, 2 << 30] {
            for (shards, customers) in [(1, 1 << 20), (5, 0), (170, 1 << 20), (4096, 0), (1, usize::MAX)] {
                for (wanted, s3) in [(1, false), (2, true), (8, false), (8, true), (1000, false), (1000, true)] {
                    if s3 && total < MEMORY_BYTES_MIN_S3 {
                        continue;
                    }
                    let threads = threads(total, Some(wanted), s3);
                    let budget = if s3 { on_s3(total, threads) } else { local(total, threads) };
                    let customers = customers.min(most_customers(&budget));
                    let plan = MemoryPlan::new(&budget, shards, customers).expect("enough");
                    let open = plan.chunk_bytes * shards as usize * threads;
                    let used = plan.shuffle_bytes + plan.join_bytes + open + customers;
                    let fits = used as u64 + budget.fixed_bytes() <= total;
                    assert!(fits || plan.chunk_bytes == CHUNK_BYTES_MIN, "{budget:?} {customers} {plan:?}");
                    assert!(plan.slice_bytes >= 4 << 20 && plan.join_bytes >= plan.slice_bytes * 5 / 4, "{plan:?}");
                }
            }
        }
    }

    fn most_customers(budget: &Budget) -> usize {
        let most = (0..2048).rev().map(|mib| mib << 20).find(|bytes| budget.check(*bytes).is_ok());
        most.expect("there is room for none")
    }

    #[test]
    fn s3_takes_memory_too() {
        assert_eq!([112, 287, 288, 2048].map(|mib| threads(mib << 20, Some(9), true)), [1, 1, 2, 9]);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let lake = Lake::create(&folder.path().display().to_string()).expect("a new folder");
        let error = Budget::new(&lake, MEMORY_BYTES_MIN, 1, true).expect_err("too little").to_string();
        assert!(error.contains("64MiB") && error.contains("112MiB"), "{error}");
        let (_, beside) = Budget::new(&lake, MEMORY_BYTES_MIN_S3, 1, true).expect("it is the least");
        assert_eq!(beside, on_s3(MEMORY_BYTES_MIN_S3, 1));
        assert_eq!(Budget::new(&lake, MEMORY_BYTES_MIN, 1, false).expect("enough").1, local(MEMORY_BYTES_MIN, 1));
    }

    #[test]
    fn slices_follow_from_memory_alone() {
        let mib = |total: u64| slice_bytes(total << 20) >> 20;
        assert_eq!([64, 128, 512, 1024, 2048].map(mib), [8, 26, 130, 192, 192]);
    }

    #[test]
    fn a_stage_fits_the_memory_that_is_asked_for_it() {
        for stage in [100 << 20, 300 << 20] {
            for customers in [1 << 20, 200 << 20] {
                let total = local(0, 4).bytes_for_stage(customers, stage);
                let plan = MemoryPlan::new(&local(total, 4), 7, customers);
                assert!(plan.expect("customers fit, too").stage_bytes >= stage);
            }
        }
    }

    #[test]
    fn customers_that_do_not_fit_are_an_error_with_a_way_out() {
        let error = MemoryPlan::new(&local(64 << 20, 1), 1, 100 << 20).expect_err("too many customers");
        let text = "100 MiB of trusted customers do not fit in --memory 64MiB; give at least 241MiB";
        assert_eq!(error.to_string(), text);
        assert!(local(241 << 20, 1).check(100 << 20).is_ok() && local(240 << 20, 1).check(100 << 20).is_err());
    }
}
