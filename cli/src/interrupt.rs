//! Ctrl-C: the first one asks, the second one ends the process at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};

/// Exit code of a process that was told to stop.
pub(crate) const INTERRUPTED: u8 = 130;

/// How often somebody who waits looks.
const LOOKED_AT: Duration = Duration::from_millis(50);

/// Whether SIGINT or SIGTERM came.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens from now on, until the process ends.
    pub(crate) fn listen() -> io::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // in this order: the first signal finds the flag down, and raises it
            signal_hook::flag::register_conditional_shutdown(signal, INTERRUPTED.into(), Arc::clone(&flag))?;
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
        }
        Ok(Self(flag))
    }

    pub(crate) fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Until one came.
    pub(crate) async fn wait(&self) {
        while !self.came() {
            tokio::time::sleep(LOOKED_AT).await;
        }
    }
}
