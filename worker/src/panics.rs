//! Panics of tasks: where they happened is told, what they said is not, for it may quote a record.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, Once, PoisonError};

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

static HOOK: Once = Once::new();

/// Where the last panic of a quiet thread happened.
static LOCATION: Mutex<Option<String>> = Mutex::new(None);

/// Whether panics of this thread are kept from standard error.
pub(crate) fn is_quiet() -> bool {
    QUIET.get()
}

/// Keeps the panics of this thread from standard error, or no longer.
pub(crate) fn set_quiet(quiet: bool) {
    QUIET.set(quiet);
}

/// Runs `work`; if it panics, here or in threads that [are quiet](set_quiet), tells where.
///
/// Of several panics at once the location may be that of another one.
pub(crate) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !is_quiet() {
                return usual(info);
            }
            let location = info.location().map(ToString::to_string);
            *LOCATION.lock().unwrap_or_else(PoisonError::into_inner) = location;
        }));
    });
    let before = QUIET.replace(true);
    // what the work leaves behind is dropped with it, and locks are taken whatever happened to their holder
    let outcome = panic::catch_unwind(AssertUnwindSafe(work));
    QUIET.set(before);
    outcome.map_err(|_payload: Box<dyn Any + Send>| {
        let location = LOCATION.lock().unwrap_or_else(PoisonError::into_inner).take();
        location.unwrap_or_else(|| "an unknown place".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_by_its_place_alone() {
        assert_eq!(catch(|| 7), Ok(7));
        let place = catch(|| panic!("secret")).expect_err("it panics");
        assert!(place.contains("panics.rs:") && !place.contains("secret"), "{place}");
        assert!(!is_quiet());
    }
}
