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

/// Chunks larger than this gain nothing.
const CHUNK_BYTES_MAX: usize = 32 << 10;

/// A chunk holds at least a run.
const CHUNK_BYTES_MIN: usize = RUN_BYTES_MAX;

/// The least `--memory` that is accepted.
pub const MEMORY_BYTES_MIN: u64 = 64 << 20;

/// Memory that the rows of one shard or slice may take when `--memory` is large: a bound that does not depend on
/// `--memory` keeps the bytes of the parts independent of it.
pub const SLICE_BYTES_MAX: u64 = 192 << 20;

/// The customers do not leave room for the rest.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{customers_mib} MiB of trusted customers do not fit in --memory {total_mib}MiB; give at least {wanted_mib}MiB"
)]
pub struct TooLittleMemory {
    customers_mib: u64,
    total_mib: u64,
    wanted_mib: u64,
}

impl TooLittleMemory {
    /// Checks that customers leave at least half of the budget to the rest.
    ///
    /// # Errors
    /// If they do not.
    pub fn check(total_bytes: u64, threads: usize, customer_bytes: usize) -> Result<(), Self> {
        let customers = customer_bytes as u64;
        if customers <= available_bytes(total_bytes, threads) / 2 {
            return Ok(());
        }
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        Err(Self {
            customers_mib: mib(customers),
            total_mib: mib(total_bytes),
            wanted_mib: mib(fixed_bytes(threads) + 2 * customers),
        })
    }
}

/// What is left of `total_bytes` when the process and its threads have what they take in any case.
pub(crate) fn available_bytes(total_bytes: u64, threads: usize) -> u64 {
    total_bytes.saturating_sub(fixed_bytes(threads))
}

fn fixed_bytes(threads: usize) -> u64 {
    BASE_BYTES + THREAD_BYTES * threads as u64
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

/// `lake` with as much under way as `threads` threads of a process with `total_bytes` may have, and the memory that this
/// takes while all are busy. Where S3 cannot do with a fair share of little memory, the rest must do with less.
pub fn with_transfers(lake: &Lake, total_bytes: u64, threads: usize) -> (Lake, u64) {
    let lake = lake.with_transfers_within(total_bytes / TRANSFER_SHARE / threads as u64);
    let wanted = match lake.transfer_bytes() {
        0 => 0,
        of_thread => CLIENT_BYTES + of_thread.saturating_mul(threads as u64),
    };
    (lake, wanted.min(available_bytes(total_bytes, threads) / 2))
}

/// Slices that wait take one in so many bytes of the one that is joined.
const WAITING_SHARE: usize = 4;

/// Memory that the rows of one shard or slice may take in a run with `--memory` of `total_bytes`. It decides bytes of parts,
/// so that it follows from `total_bytes` alone: room for it is left with the most threads and customers that there may be.
pub fn slice_bytes(total_bytes: u64) -> u64 {
    let threads_max = (total_bytes / BYTES_PER_THREAD_MIN).max(1);
    let available = total_bytes.saturating_sub(BASE_BYTES + THREAD_BYTES * threads_max);
    (available / 100 * 35).min(SLICE_BYTES_MAX)
}

/// The threads that `total_bytes` allow of the `wanted` ones, which are one for each processor if nobody says.
pub fn threads(total_bytes: u64, wanted: Option<usize>) -> usize {
    let wanted = wanted.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, Into::into));
    let affordable = usize::try_from(total_bytes / BYTES_PER_THREAD_MIN).unwrap_or(usize::MAX);
    wanted.min(affordable).max(1)
}

impl MemoryPlan {
    /// Divides `total_bytes` for a run with `customer_bytes` of trusted customers and `shards` shards, where what goes to and
    /// from the store takes `transfer_bytes`.
    ///
    /// # Errors
    /// If the customers take more than half of what there is.
    pub fn new(
        total_bytes: u64,
        transfer_bytes: u64,
        threads: usize,
        shards: u32,
        customer_bytes: usize,
    ) -> Result<Self, TooLittleMemory> {
        let rest = total_bytes.saturating_sub(transfer_bytes);
        TooLittleMemory::check(rest, threads, customer_bytes)?;
        let available = rest - fixed_bytes(threads) - customer_bytes as u64;
        let share = |percent: u64| usize::try_from(available / 100 * percent).unwrap_or(usize::MAX);
        let open_chunks = shards as usize * threads;
        let chunk_bytes = (share(5) / open_chunks).clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
        let open_bytes = open_chunks * chunk_bytes;
        // what is being spilled is there twice: in chunks, and put together
        let spilling_bytes = 2 * PIECE_BYTES * threads;
        let slice_bytes = usize::try_from(slice_bytes(total_bytes)).unwrap_or(usize::MAX);
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

/// The `--memory` of which [`MemoryPlan::stage_bytes`] are `stage_bytes`.
pub(crate) fn bytes_for_stage(threads: usize, customer_bytes: usize, stage_bytes: usize) -> u64 {
    let available = stage_bytes.div_ceil(90).saturating_mul(100) as u64;
    fixed_bytes(threads) + available.max(customer_bytes as u64) + customer_bytes as u64
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

    #[test]
    fn the_shares_fit_the_budget() {
        for total in [64 << 20, 128 << 20, 512 << 20, 2 << 30] {
            for (shards, customers) in [(1, 1 << 20), (5, 0), (170, 1 << 20), (4096, 0), (1, usize::MAX)] {
                for wanted in [1, 2, 8, 1000] {
                    let threads = threads(total, Some(wanted));
                    let most = usize::try_from(available_bytes(total, threads) / 2).expect("it fits");
                    let plan = MemoryPlan::new(total, 0, threads, shards, customers.min(most)).expect("enough");
                    let open = plan.chunk_bytes * shards as usize * threads;
                    let used = plan.shuffle_bytes + plan.join_bytes + open + customers.min(most);
                    let fits = used as u64 + fixed_bytes(threads) < total;
                    assert!(fits || plan.chunk_bytes == CHUNK_BYTES_MIN, "{total} {threads} {customers} {plan:?}");
                    assert!(plan.slice_bytes >= 4 << 20 && plan.join_bytes >= plan.slice_bytes * 5 / 4, "{plan:?}");
                }
            }
        }
    }

    #[test]
    fn slices_follow_from_memory_alone() {
        let mib = |total: u64| slice_bytes(total << 20) >> 20;
        assert_eq!([64, 128, 512, 1024, 2048].map(mib), [8, 26, 130, 192, 192]);
    }

    #[test]
    fn a_stage_fits_the_memory_that_is_asked_for_it() {
        for stage in [1, 100 << 20, 300 << 20] {
            for customers in [1 << 20, 200 << 20] {
                let plan = MemoryPlan::new(bytes_for_stage(4, customers, stage), 0, 4, 7, customers);
                assert!(plan.expect("customers fit, too").stage_bytes >= stage);
            }
        }
    }

    #[test]
    fn customers_that_do_not_fit_are_an_error_with_a_way_out() {
        let error = MemoryPlan::new(64 << 20, 0, 1, 1, 100 << 20).expect_err("too many customers");
        assert_eq!(error.wanted_mib, 241);
    }
}
