//! Enums without fields.

use stedi_job::event::RevokeReason;
use stedi_job::task::{FailureClass, Stage};
use stedi_lake::options::Compression;
use stedi_lake::{ConsentPolicy, CuratedTable, MatchMode};

use super::WireError;
use crate::message::DismissReason;
use crate::wire;

/// An enum of the domain and its number on the wire.
pub(super) trait Name: Sized {
    fn number(self) -> i32;
    fn of_number(number: i32) -> Result<Self, WireError>;
}

pub(super) fn to_wire(name: impl Name) -> i32 {
    name.number()
}

pub(super) fn from_wire<T: Name>(number: i32) -> Result<T, WireError> {
    T::of_number(number)
}

macro_rules! same_names {
    ($name:ident { $($variant:ident),+ $(,)? }) => {
        impl Name for $name {
            fn number(self) -> i32 {
                match self { $(Self::$variant => wire::$name::$variant.into()),+ }
            }

            fn of_number(number: i32) -> Result<Self, WireError> {
                match wire::$name::try_from(number) {
                    $(Ok(wire::$name::$variant) => Ok(Self::$variant),)+
                    Ok(wire::$name::Unspecified) | Err(_) => {
                        Err(WireError::Unknown { name: stringify!($name), value: number })
                    }
                }
            }
        }
    };
}

same_names!(Stage { Consent, ScanAccelerometer, ScanStepTrainer, Join });
same_names!(ConsentPolicy { Latest, Any });
same_names!(MatchMode { Customer, Timestamp });
same_names!(Compression { Zstd, Snappy, None });
same_names!(CuratedTable {
    CustomerTrusted,
    AccelerometerTrusted,
    CustomersCurated,
    StepTrainerTrusted,
    MachineLearningCurated,
});
same_names!(FailureClass {
    Preempted,
    WorkerLost,
    OutOfMemory,
    Throttled,
    TransientIo,
    BadInput,
    Panic,
    Cancelled,
    Permanent,
});
same_names!(RevokeReason { DoneElsewhere, OldEpoch, NotHeld, TooLong });
same_names!(DismissReason { RunOver, RunFailed, Drained, NotRegistered, CoordinatorGoes, Refused });
