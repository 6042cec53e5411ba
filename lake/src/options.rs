//! The options of a run that decide what its tables hold.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident, $what:literal, { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),+ }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $text),+ })
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;
            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(UnknownWord { what: $what, found: text.to_owned(), known: &[$($text),+] }),
                }
            }
        }
    };
}

/// A word that an option does not know.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown {what} `{found}`; use one of {}", known.join(", "))]
pub struct UnknownWord {
    what: &'static str,
    found: String,
    known: &'static [&'static str],
}

text_enum! {
    /// Whose data may be used. See `docs/adr/0002-consent.md`.
    ConsentPolicy, "consent policy", {
        /// An e-mail consents if its newest record consents.
        Latest = "latest",
        /// Every record that consents counts (parity with the Glue jobs).
        Any = "any",
    }
}

text_enum! {
    /// Which accelerometer readings a step reading is joined with.
    MatchMode, "match mode", {
        /// Same time, and the reading's user owns the serial number.
        Customer = "customer",
        /// Same time only (parity with the Glue job); it pairs strangers.
        Timestamp = "timestamp",
    }
}

text_enum! {
    /// Compression of the Parquet pages.
    Compression, "compression", {
        /// Zstandard, level 1.
        Zstd = "zstd",
        /// Snappy.
        Snappy = "snappy",
        /// None.
        None = "none",
    }
}

/// How many bad records of one landing table a run accepts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BadRecordLimit {
    /// At most this fraction of the table's records, 0 to 1.
    Fraction(f64),
    /// At most this many.
    Count(u64),
}

impl BadRecordLimit {
    /// Whether `quarantined` of `rows` records are too many.
    #[expect(clippy::cast_precision_loss, reason = "a fraction of counts below 2^53")]
    pub fn exceeded(self, rows: u64, quarantined: u64) -> bool {
        match self {
            Self::Fraction(limit) => quarantined as f64 > limit * rows as f64,
            Self::Count(limit) => quarantined > limit,
        }
    }
}

impl BadRecordLimit {
    /// Whether all records of a table may be bad, so that it does not matter how many there are.
    pub fn accepts_all(self) -> bool {
        matches!(self, Self::Fraction(limit) if limit >= 1.0)
    }
}

impl fmt::Display for BadRecordLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fraction(limit) => write!(f, "{}%", limit * 100.0),
            Self::Count(limit) => write!(f, "{limit}"),
        }
    }
}

/// A limit that is neither `N` nor `P%`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a number of records such as 100 or a share such as 0.1%")]
pub struct BadLimitText(String);

impl FromStr for BadRecordLimit {
    type Err = BadLimitText;

    fn from_str(text: &str) -> Result<Self, BadLimitText> {
        let bad = || BadLimitText(text.to_owned());
        match text.strip_suffix('%') {
            Some(percent) => match percent.trim().parse::<f64>() {
                Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(Self::Fraction(percent / 100.0)),
                _ => Err(bad()),
            },
            None => text.parse().map(Self::Count).map_err(|_| bad()),
        }
    }
}

/// The options that decide the bytes of a run's parts, as the commit record keeps them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableOptions {
    /// Consent policy.
    pub consent: ConsentPolicy,
    /// Match of machine_learning_curated.
    #[serde(rename = "match")]
    pub match_mode: MatchMode,
    /// Whether exact duplicates of readings were dropped.
    pub dedupe: bool,
    /// Number of shards.
    pub shards: u32,
    /// Compression of the parts.
    pub compression: Compression,
}

impl Default for TableOptions {
    /// Those of a run that is told nothing, over landing that is small enough for one shard.
    fn default() -> Self {
        Self {
            consent: ConsentPolicy::Latest,
            match_mode: MatchMode::Customer,
            dedupe: false,
            shards: 1,
            compression: Compression::Zstd,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_count_or_a_percentage() {
        assert_eq!("0.1%".parse(), Ok(BadRecordLimit::Fraction(0.001)));
        assert_eq!("7".parse(), Ok(BadRecordLimit::Count(7)));
        assert!("-1".parse::<BadRecordLimit>().is_err());
        assert!("101%".parse::<BadRecordLimit>().is_err());
        assert!(BadRecordLimit::Fraction(0.0).exceeded(1000, 1));
        assert!(!BadRecordLimit::Fraction(0.001).exceeded(1000, 1));
        assert!(!BadRecordLimit::Count(1).exceeded(1, 1));
    }

    #[test]
    fn an_unknown_word_is_told_the_known_ones() {
        let error = "newest".parse::<ConsentPolicy>().expect_err("not a policy");
        assert_eq!(error.to_string(), "unknown consent policy `newest`; use one of latest, any");
    }
}
