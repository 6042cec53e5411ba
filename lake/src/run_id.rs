//! The identity of a run: a ULID, so that run ids sort by start time.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use ulid::Ulid;

/// A run's id: 26 characters of Crockford base 32 (<https://github.com/ulid/spec>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(Ulid);

impl RunId {
    /// The id of a run that started at `start_ms` (epoch ms); `random` gives its low 80 bits.
    pub fn new(start_ms: u64, random: u128) -> Self {
        Self(Ulid::from_parts(start_ms, random))
    }

    /// Epoch ms of the run's start.
    pub fn start_ms(self) -> u64 {
        self.0.timestamp_ms()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Text that is not a run id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a run id: 26 letters and digits, as `stedi history` prints them")]
pub struct RunIdText(String);

impl FromStr for RunId {
    type Err = RunIdText;

    fn from_str(text: &str) -> Result<Self, RunIdText> {
        Ulid::from_string(text).map(Self).map_err(|_| RunIdText(text.to_owned()))
    }
}

impl Serialize for RunId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
