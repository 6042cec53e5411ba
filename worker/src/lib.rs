//! The I/O shell around the engine: reads splits, spills the shuffle, writes parts and quarantine.
//!
//! A stage is one function: [`customers::trusted`], [`scan::readings`], [`scan::steps`], then [`join::join`]. In one
//! process a [`shuffle::ShuffleStore`] stands between them and a [`memory::MemoryPlan`] bounds both; of many workers each
//! has a [`task::Executor`], and what one of them needs of another goes through the lake.

pub mod customers;
pub mod join;
pub mod memory;
mod panics;
pub mod parts;
pub mod progress;
pub mod quarantine;
pub mod read;
pub mod scan;
pub mod scratch;
pub mod shuffle;
pub mod task;
mod threads;

pub use stedi_store::fault;

/// Why a stage failed. Records that cannot be read are never the reason: they go to quarantine.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// A landing object could not be read.
    #[error(transparent)]
    Read(#[from] read::ReadError),
    /// The shuffle could not be spilled or read back.
    #[error(transparent)]
    Scratch(#[from] scratch::ScratchError),
    /// A part could not be written.
    #[error(transparent)]
    Encode(#[from] stedi_engine::encode::EncodeError),
    /// The quarantine could not be written.
    #[error("failed to write the quarantine")]
    Quarantine(#[source] std::io::Error),
    /// The trusted customers do not fit in memory.
    #[error(transparent)]
    Memory(#[from] memory::TooLittleMemory),
    /// The system refused a thread.
    #[error("failed to start a thread; give fewer --threads, or allow more of them")]
    Thread(#[source] std::io::Error),
    /// The run was told to stop.
    #[error("cancelled")]
    Cancelled,
}
