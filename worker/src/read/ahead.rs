//! Bytes that arrive while earlier ones are decoded.

use std::io;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that may wait to be decoded: a fraction of a second of a fast network.
const AHEAD_BYTES: u32 = 4 << 20;

/// A store that ends a stream before all bytes were sent.
#[derive(Debug, thiserror::Error)]
#[error("the store sent fewer bytes than the object has")]
pub(super) struct CutShort;

/// A stream that another thread reads ahead, up to a bound.
#[derive(Debug)]
pub(super) struct ReadAhead {
    arrived: UnboundedReceiver<object_store::Result<Arrived>>,
    current: Option<Arrived>,
}

/// Some bytes, and their share of the bound.
#[derive(Debug)]
struct Arrived {
    bytes: Bytes,
    _share: OwnedSemaphorePermit,
}

impl ReadAhead {
    /// Begins to read `stream` on `runtime`; dropping this ends it.
    pub(super) fn new(runtime: &Handle, mut stream: BoxStream<'static, object_store::Result<Bytes>>) -> Self {
        let (send, arrived) = unbounded_channel();
        let bound = Arc::new(Semaphore::new(AHEAD_BYTES as usize));
        runtime.spawn(async move {
            while let Some(next) = stream.next().await {
                let next = match next {
                    Ok(bytes) => {
                        // a piece larger than the bound takes all of it
                        let share = u32::try_from(bytes.len()).unwrap_or(u32::MAX).min(AHEAD_BYTES);
                        match Arc::clone(&bound).acquire_many_owned(share).await {
                            Ok(share) => Ok(Arrived { bytes, _share: share }),
                            // nobody closes it
                            Err(_) => break,
                        }
                    }
                    Err(error) => Err(error),
                };
                if send.send(next).is_err() {
                    break;
                }
            }
        });
        Self { arrived, current: None }
    }

    /// Blocks until there are bytes; 0 at the end of the stream.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match &mut self.current {
                Some(current) if !current.bytes.is_empty() => {
                    let read = buffer.len().min(current.bytes.len());
                    current.bytes.copy_to_slice(&mut buffer[..read]);
                    return Ok(read);
                }
                _ => match self.arrived.blocking_recv() {
                    Some(next) => self.current = Some(next?),
                    None => return Ok(0),
                },
            }
        }
    }
}
