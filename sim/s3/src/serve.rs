//! Connections, and what befalls the requests that come in on them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use http::{Method, StatusCode, Uri};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpResponse};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::faults::{Effect, Faults, Request};
use crate::objects::Objects;
use crate::operations::{IgnoreConditions, Operations};
use crate::{KEY_ID, SECRET};

/// Serves on a free port of `address` until `runtime` ends.
pub(crate) fn start(runtime: &Runtime, address: IpAddr, objects: Arc<Objects>, faults: Faults) -> SocketAddr {
    let listener = runtime.block_on(TcpListener::bind((address, 0))).unwrap();
    let address = listener.local_addr().unwrap();
    let mut builder = S3ServiceBuilder::new(Operations(objects));
    builder.set_auth(SimpleAuth::from_single(KEY_ID, SECRET));
    let service = builder.build();
    runtime.spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let _ = socket.set_nodelay(true);
            let (service, faults) = (service.clone(), faults.clone());
            let answer = service_fn(move |request| answer(service.clone(), faults.clone(), request));
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), answer);
            // a connection that breaks is what a test is about, or the end of it
            tokio::spawn(async move { drop(connection.await) });
        }
    });
    address
}

/// The answer to a request. An error breaks the connection.
async fn answer(service: S3Service, faults: Faults, request: http::Request<Incoming>) -> io::Result<HttpResponse> {
    let (kind, key) = identify(request.method(), request.uri());
    let has_condition = ["if-none-match", "if-match"].iter().any(|name| request.headers().contains_key(*name));
    let mut request = request.map(Body::from);
    match faults.befall(kind, &key, has_condition) {
        None => perform(&service, request).await,
        Some(Effect::SlowDown) => refuse(request, StatusCode::SERVICE_UNAVAILABLE, "SlowDown").await,
        Some(Effect::InternalError) => refuse(request, StatusCode::INTERNAL_SERVER_ERROR, "InternalError").await,
        Some(Effect::AccessDenied) => refuse(request, StatusCode::FORBIDDEN, "AccessDenied").await,
        Some(Effect::ExpiredToken) => refuse(request, StatusCode::BAD_REQUEST, "ExpiredToken").await,
        Some(Effect::ClockSkew) => refuse(request, StatusCode::FORBIDDEN, "RequestTimeTooSkewed").await,
        Some(Effect::RefuseConditions) => refuse(request, StatusCode::NOT_IMPLEMENTED, "NotImplemented").await,
        Some(Effect::Reset) => Err(io::ErrorKind::ConnectionReset.into()),
        Some(Effect::Slow(time)) => {
            tokio::time::sleep(time).await;
            perform(&service, request).await
        }
        Some(Effect::LoseReply) => {
            perform(&service, request).await?;
            Err(io::ErrorKind::ConnectionReset.into())
        }
        Some(Effect::CutBody(bytes)) => Ok(perform(&service, request).await?.map(|body| cut(body, bytes))),
        Some(Effect::FlipBit) => Ok(perform(&service, request).await?.map(flip_bit)),
        Some(Effect::IgnoreConditions) => {
            request.extensions_mut().insert(IgnoreConditions);
            perform(&service, request).await
        }
    }
}

async fn perform(service: &S3Service, request: http::Request<Body>) -> io::Result<HttpResponse> {
    service.call(request).await.map_err(|_| io::Error::other("the protocol failed"))
}

/// Reads the request, as a store does that is not too busy for that, and refuses it.
async fn refuse(request: http::Request<Body>, status: StatusCode, code: &str) -> io::Result<HttpResponse> {
    let is_head = request.method() == Method::HEAD;
    http_body_util::BodyExt::collect(request.into_body()).await.map_err(io::Error::other)?;
    let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>as the test wants</Message></Error>");
    let mut response = HttpResponse::new(if is_head { Body::empty() } else { Body::from(text) });
    *response.status_mut() = status;
    Ok(response)
}

/// What a request is, and the `bucket/key` that it is about; of a listing `bucket/prefix`.
fn identify(method: &Method, uri: &Uri) -> (Request, String) {
    let query: Vec<(String, String)> = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.to_owned(), decode(value)))
        .collect();
    let value = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let path = decode(uri.path().trim_start_matches('/'));
    let is_bucket = !path.trim_end_matches('/').contains('/');
    let kind = match *method {
        Method::GET if is_bucket => Request::List,
        Method::GET => Request::Get,
        Method::HEAD => Request::Head,
        Method::PUT if value("partNumber").is_some() => Request::Part,
        Method::PUT => Request::Put,
        Method::POST if value("uploads").is_some() => Request::Begin,
        Method::POST => Request::Complete,
        Method::DELETE if value("uploadId").is_some() => Request::Abort,
        _ => Request::Delete,
    };
    let prefix = value("prefix").unwrap_or_default();
    let key = if kind == Request::List { format!("{}/{prefix}", path.trim_end_matches('/')) } else { path };
    (kind, key)
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match (first, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn cut(body: Body, bytes: u64) -> Body {
    let mut left = usize::try_from(bytes).unwrap();
    let frames = body.into_data_stream().flat_map(move |data| {
        let mut data = data.map_err(io::Error::other);
        let broken = match &mut data {
            Ok(data) if data.len() > left => {
                data.truncate(left);
                true
            }
            Ok(data) => {
                left -= data.len();
                false
            }
            Err(_) => false,
        };
        let end = broken.then(|| Err(io::Error::from(io::ErrorKind::ConnectionReset)));
        futures::stream::iter([Some(data.map(Frame::data)), end].into_iter().flatten())
    });
    Body::http_body_unsync(StreamBody::new(frames))
}

fn flip_bit(body: Body) -> Body {
    let mut flipped = false;
    let frames = body.into_data_stream().map(move |data| {
        data.map_err(io::Error::other).map(|data| {
            let mut data = Vec::from(data);
            if let Some(first) = data.first_mut().filter(|_| !flipped) {
                *first ^= 1;
                flipped = true;
            }
            Frame::data(Bytes::from(data))
        })
    });
    Body::http_body_unsync(StreamBody::new(frames))
}
