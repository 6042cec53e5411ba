//! How to reach the coordinator.

use std::time::Duration;

use stedi_endpoint::{ClearTextError, TlsError, address};
use stedi_proto::wire::dispatch_client::DispatchClient;
use stedi_proto::{TO_COORDINATOR_BYTES_MAX, TO_WORKER_BYTES_MAX};
use tonic::transport::{Channel, Endpoint};

use crate::args::Args;

/// A coordinator that does not take a connection within this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a silent connection is asked whether it lives.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// How long it may take to answer.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the coordinator cannot be reached, now or later.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    #[error("`{0}` is not a URL such as http://stedi-coordinator:7420 (--coordinator)")]
    Url(String),
    #[error("{0} is https://, but there is no TLS: say --tls-dir, or --tls-ca, --tls-cert and --tls-key")]
    NoTls(String),
    #[error("{0} is not https://, but TLS files are given: does the coordinator speak TLS?")]
    NoHttps(String),
    #[error(transparent)]
    ClearText(#[from] ClearTextError),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Settles how the coordinator is spoken to; connects to nobody yet.
pub(crate) fn endpoint(args: &Args) -> Result<Endpoint, ConnectionError> {
    let url = args.coordinator.as_str();
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| ConnectionError::Url(url.to_owned()))?;
    let uri = endpoint.uri();
    let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else {
        return Err(ConnectionError::Url(url.to_owned()));
    };
    let tls = args.tls.client()?;
    match (scheme, &tls) {
        ("https", None) => return Err(ConnectionError::NoTls(url.to_owned())),
        ("http", Some(_)) => return Err(ConnectionError::NoHttps(url.to_owned())),
        ("https", Some(_)) => {}
        ("http", None) if args.insecure => {}
        ("http", None) => address::check_host(host)?,
        _ => return Err(ConnectionError::Url(url.to_owned())),
    }
    let endpoint = endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true);
    match tls {
        Some(tls) => Ok(endpoint.tls_config(tls).map_err(TlsError::Unusable)?),
        None => Ok(endpoint),
    }
}

/// Connects.
pub(crate) async fn connect(endpoint: &Endpoint) -> Result<DispatchClient<Channel>, tonic::transport::Error> {
    let client = DispatchClient::new(endpoint.connect().await?);
    Ok(client.max_decoding_message_size(TO_WORKER_BYTES_MAX).max_encoding_message_size(TO_COORDINATOR_BYTES_MAX))
}
