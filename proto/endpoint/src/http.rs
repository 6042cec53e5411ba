//! `/metrics` in the Prometheus text format, `/healthz` and `/readyz`.
//!
//! Whether a process is healthy depends on its own loops alone, never on its peer or the store: a restart helps against
//! a loop that hangs, and against nothing else.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

/// A loop that was not heard of for so long hangs.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Why there is no HTTP.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen on {address} (--http): choose another address")]
pub struct HttpError {
    address: SocketAddr,
    source: std::io::Error,
}

/// How a process says that it is well.
#[derive(Clone, Debug)]
pub struct Health(Arc<Signs>);

#[derive(Debug)]
struct Signs {
    started: Instant,
    last_beat_ms: AtomicU64,
    ready: AtomicBool,
}

impl Default for Health {
    fn default() -> Self {
        Self(Arc::new(Signs {
            started: Instant::now(),
            last_beat_ms: AtomicU64::new(0),
            ready: AtomicBool::new(false),
        }))
    }
}

impl Health {
    /// The process's loop has come round. To be called every few seconds.
    pub fn beat(&self) {
        self.0.last_beat_ms.store(self.age_ms(), Ordering::Relaxed);
    }

    /// Waits for something that may take its time: as long as this process gets round to it, it is alive.
    pub async fn while_waiting<T>(&self, work: impl Future<Output = T>) -> T {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = tick.tick() => self.beat(),
            }
        }
    }

    /// Whether the process does what it is for: a coordinator grants, a worker is registered.
    pub fn set_ready(&self, ready: bool) {
        self.0.ready.store(ready, Ordering::Relaxed);
    }

    fn age_ms(&self) -> u64 {
        u64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn is_alive(&self) -> bool {
        let silent_ms = self.age_ms().saturating_sub(self.0.last_beat_ms.load(Ordering::Relaxed));
        u128::from(silent_ms) < SILENCE_MAX.as_millis()
    }

    fn is_ready(&self) -> bool {
        self.0.ready.load(Ordering::Relaxed)
    }
}

#[derive(Clone)]
struct Served {
    health: Health,
    registry: Arc<Mutex<Registry>>,
}

/// Serves on `address` until the runtime ends; the address that it got, as port 0 gets any.
///
/// # Errors
/// If the address cannot be listened on.
pub async fn serve(address: SocketAddr, health: Health, registry: Registry) -> Result<SocketAddr, HttpError> {
    let failed = |source| HttpError { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(Served { health, registry: Arc::new(Mutex::new(registry)) });
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::error!(%error, "no more HTTP");
        }
    });
    Ok(bound)
}

async fn metrics(State(served): State<Served>) -> impl IntoResponse {
    let mut text = String::new();
    let registry = served.registry.lock().unwrap_or_else(PoisonError::into_inner);
    let encoded = prometheus_client::encoding::text::encode(&mut text, &registry);
    let status = if encoded.is_ok() { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
    (status, [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
}

async fn healthz(State(served): State<Served>) -> (StatusCode, &'static str) {
    answer(served.health.is_alive(), "alive\n", "a loop hangs\n")
}

async fn readyz(State(served): State<Served>) -> (StatusCode, &'static str) {
    answer(served.health.is_ready(), "ready\n", "not ready\n")
}

fn answer(yes: bool, good: &'static str, bad: &'static str) -> (StatusCode, &'static str) {
    if yes { (StatusCode::OK, good) } else { (StatusCode::SERVICE_UNAVAILABLE, bad) }
}
