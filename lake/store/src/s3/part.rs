//! A large object written by a thread that computes: parts go out while it makes the next.

use std::io;
use std::sync::Arc;

use aws_sdk_s3::types::CompletedPart;
use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore as _, PutMode, PutPayload, PutResult, Result};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::S3Store;
use super::upload::Upload;

/// An object being written. Nobody sees it until [`finish`](Self::finish); dropped before that, it leaves nothing.
#[derive(Debug)]
pub(crate) struct S3Part {
    store: S3Store,
    path: Path,
    runtime: Handle,
    buffer: Vec<u8>,
    upload: Option<Arc<Upload>>,
    under_way: JoinSet<Result<CompletedPart>>,
    sent: Vec<CompletedPart>,
    begun: i32,
}

impl S3Part {
    /// Requests run on `runtime`, but the methods block: they are for threads outside of it.
    pub(crate) fn new(store: S3Store, path: Path, runtime: Handle) -> Self {
        let under_way = JoinSet::new();
        Self { store, path, runtime, buffer: Vec::new(), upload: None, under_way, sent: Vec::new(), begun: 0 }
    }

    /// Takes at least one of `bytes`.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let part_bytes = self.store.transfers.part_bytes;
        if self.buffer.len() == part_bytes {
            self.send()?;
        }
        let taken = bytes.len().min(part_bytes - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    /// Gives the object its name, unless that is taken.
    ///
    /// # Errors
    /// `AlreadyExists` if it is.
    pub(crate) fn finish(mut self) -> Result<PutResult> {
        let Some(upload) = self.upload.clone() else {
            let payload = PutPayload::from(std::mem::take(&mut self.buffer));
            return self.runtime.block_on(self.store.put_opts(&self.path, payload, PutMode::Create.into()));
        };
        if !self.buffer.is_empty() {
            self.send()?;
        }
        while !self.under_way.is_empty() {
            self.wait()?;
        }
        let put = self.runtime.block_on(upload.complete(std::mem::take(&mut self.sent), true))?;
        // there is nothing to give up any more
        self.upload = None;
        Ok(put)
    }

    /// Sends the buffer as the next part; waits while too many are under way.
    fn send(&mut self) -> Result<()> {
        let upload = match &self.upload {
            Some(upload) => Arc::clone(upload),
            None => {
                let upload = Arc::new(self.runtime.block_on(Upload::begin(&self.store, &self.path))?);
                Arc::clone(self.upload.insert(upload))
            }
        };
        while self.under_way.len() >= self.store.transfers.parts_under_way {
            self.wait()?;
        }
        self.begun += 1;
        let bytes = Bytes::from(std::mem::take(&mut self.buffer));
        let number = self.begun;
        self.under_way.spawn_on(async move { upload.send(number, bytes).await }, &self.runtime);
        Ok(())
    }

    fn wait(&mut self) -> Result<()> {
        match self.runtime.block_on(self.under_way.join_next()) {
            Some(Ok(sent)) => self.sent.push(sent?),
            Some(Err(error)) => {
                return Err(object_store::Error::Generic { store: "S3", source: io::Error::other(error).into() });
            }
            None => {}
        }
        Ok(())
    }
}

impl Drop for S3Part {
    fn drop(&mut self) {
        let Some(upload) = self.upload.take() else { return };
        let mut under_way = std::mem::take(&mut self.under_way);
        let give_up = async move {
            // a part that arrives after its upload was given up would be paid for until `gc` comes
            under_way.shutdown().await;
            // what cannot be given up now, `gc` finds
            let _ = upload.abort().await;
        };
        if Handle::try_current().is_ok() {
            self.runtime.spawn(give_up);
        } else {
            self.runtime.block_on(give_up);
        }
    }
}
