//! The allocator: much faster than the system's for many threads that hand large chunks to each other.

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// With less memory than this, what is freed goes back to the system at once: slower, but resident memory then follows
/// what is really in use.
const PROMPT_BELOW_BYTES: u64 = 512 << 20;

/// `mi_option_purge_delay` of mimalloc 3 (`mi_option_t` in its `mimalloc.h`), milliseconds.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Tells the allocator how much memory the process may take.
pub(crate) fn set_budget(memory_bytes: u64) {
    // Huge pages made a run take a quarter more memory than without, and where a virtual machine gives free ones back to its
    // host, touching them again took a quarter of the run's time. With them it would be right, too.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    if memory_bytes < PROMPT_BELOW_BYTES {
        #[expect(unsafe_code, reason = "the allocator has no safe way to its options")]
        // SAFETY: sets one number of the allocator, which it reads atomically
        unsafe {
            libmimalloc_sys::mi_option_set(PURGE_DELAY, 0);
        }
    }
}
