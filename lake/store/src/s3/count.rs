//! Requests, counted as they are sent: retries too, because they are paid for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use stedi_lake::report::RequestCounts;

/// Counts the requests of a client.
#[derive(Debug, Default)]
pub(super) struct Counters {
    get: AtomicU64,
    head: AtomicU64,
    put: AtomicU64,
    list: AtomicU64,
    delete: AtomicU64,
}

impl Counters {
    pub(super) fn read(&self) -> RequestCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RequestCounts {
            get: read(&self.get),
            head: read(&self.head),
            put: read(&self.put),
            list: read(&self.list),
            delete: read(&self.delete),
        }
    }

    fn of(&self, operation: &str) -> &AtomicU64 {
        match operation {
            "GetObject" => &self.get,
            "HeadObject" => &self.head,
            "DeleteObject" | "AbortMultipartUpload" => &self.delete,
            operation if operation.starts_with("List") => &self.list,
            _ => &self.put,
        }
    }
}

/// The place in the client where each attempt passes.
#[derive(Debug)]
pub(super) struct CountRequests(pub(super) Arc<Counters>);

#[dyn_dispatch_hint]
impl Intercept for CountRequests {
    fn name(&self) -> &'static str {
        "CountRequests"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(operation) = config.load::<Metadata>() {
            self.0.of(operation.name()).fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}
