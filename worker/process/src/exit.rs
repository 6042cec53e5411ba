//! How a worker ends, as whoever started it sees it.

use std::process::ExitCode;

/// How a worker ends. Numbers from 64 on are those of `sysexits.h`: starting the worker again does not help.
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
    /// The system has no threads or signals for us.
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
            Self::Usage => 64,
            Self::NoCoordinator => 69,
            Self::System => 71,
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
