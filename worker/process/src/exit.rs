//! How a worker ends, as whoever started it sees it.

use std::process::ExitCode;

/// How a worker ends. Numbers from 64 on are those of `sysexits.h`: starting the worker again does not help, and a fleet
/// ends the run. What may be one node's fault, or pass, is 1: another worker, or the next try, may do better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Told that the run is over.
    RunOver,
    /// SIGTERM came, and everything was handed back.
    Drained,
    /// The command line is wrong.
    Usage,
    /// No coordinator for too long.
    NoCoordinator,
    /// The system has no threads or signals for us, or its disk takes no scratch folder.
    System,
    /// The coordinator cannot use this worker: another version.
    Refused,
    /// No permission for the lake.
    NoPermission,
    /// TLS files or addresses are wrong, or the lake cannot be opened from here.
    Config,
}

impl Exit {
    /// The exit code.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::RunOver => 0,
            Self::NoCoordinator | Self::System => 1,
            Self::Usage => 64,
            Self::Refused => 76,
            Self::NoPermission => 77,
            Self::Config => 78,
            Self::Drained => 143,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lasts_has_a_code_that_ends_the_run() {
        let lasts = |exit: Exit| (64..=78).contains(&exit.code());
        for exit in [Exit::Usage, Exit::Refused, Exit::NoPermission, Exit::Config] {
            assert!(lasts(exit), "{exit:?}");
        }
        for exit in [Exit::RunOver, Exit::Drained, Exit::NoCoordinator, Exit::System] {
            assert!(!lasts(exit), "{exit:?}");
        }
    }
}
