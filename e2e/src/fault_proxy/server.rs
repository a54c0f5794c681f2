//! The connections of the proxy: TLS and HTTP/1.1 towards the client, a kube client towards the API server.

use std::io;

use anyhow::{Context, Result};
use http::header::{CONNECTION, CONTENT_TYPE, DATE, HOST, HeaderMap, HeaderValue, RETRY_AFTER, TRANSFER_ENCODING};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::SignedDuration;
use jiff::fmt::rfc2822;
use kube::Client;
use kube::client::Body;
use rcgen::CertifiedKey;
use rcgen::KeyPair;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

use super::body::{Answer, Course};
use super::plan::{Action, Refusal};
use super::request::RequestInfo;
use super::state::{Record, Shared};

type ProxyBody = UnsyncBoxBody<Bytes, io::Error>;

/// TLS with the certificate of the proxy.
pub fn acceptor(leaf: &CertifiedKey<KeyPair>) -> Result<TlsAcceptor> {
    let key = PrivatePkcs8KeyDer::from(leaf.signing_key.serialize_der());
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.cert.der().clone()], key.into())
        .context("use the certificate of the proxy")?;
    Ok(TlsAcceptor::from(std::sync::Arc::new(config)))
}

/// Serves for ever; what runs ends with the runtime.
pub async fn serve(listener: TcpListener, acceptor: TlsAcceptor, upstream: Client, shared: Shared) {
    loop {
        // An error is one connection that went before it was accepted.
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(stream, acceptor.clone(), upstream.clone(), shared.clone()));
        }
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, upstream: Client, shared: Shared) {
    // Single bytes must leave at once; without it they are only slower, so an error does not matter.
    let _ = stream.set_nodelay(true);
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service = service_fn(|request| handle(request, &upstream, &shared));
    // An error is a client that left, or a fault that closes the connection: dropping the stream then closes the socket
    // without a word of TLS or HTTP, as the death of a process does.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// The answer to one request; an error closes the connection without any.
async fn handle(request: Request<Incoming>, upstream: &Client, shared: &Shared) -> io::Result<Response<ProxyBody>> {
    let (action, record) = shared.begin(RequestInfo::new(request.method(), request.uri()));
    let mut later = 0;
    let course = match action {
        Some(Action::Refuse(refusal)) => return refuse(&refusal, &record),
        Some(Action::Answer(object)) => return Ok(answer(StatusCode::OK, &object, &record)),
        Some(Action::Hang) => return std::future::pending().await,
        Some(Action::Close) => return Err(closed()),
        Some(Action::DropReply) => {
            // Its whole body is read: only then has the API server done everything.
            forward(request, upstream).await?.into_body().collect().await.map_err(io::Error::other)?;
            return Err(closed());
        }
        Some(Action::Delay(pause)) => {
            tokio::time::sleep(pause).await;
            Course::Pass
        }
        Some(Action::ShiftDate(seconds)) => {
            later = seconds;
            Course::Pass
        }
        Some(Action::Cut { after }) => Course::Cut { left: after },
        Some(Action::Drip { bytes, pause }) => Course::Drip { bytes, pause },
        None => Course::Pass,
    };
    let (mut head, body) = forward(request, upstream).await?.into_parts();
    for header in [CONNECTION, TRANSFER_ENCODING] {
        head.headers.remove(header);
    }
    if later != 0 {
        shift_date(&mut head.headers, later).map_err(io::Error::other)?;
    }
    record.answered(head.status.as_u16());
    let orders = record.under_way();
    let body = StreamBody::new(Answer::new(body, orders, record, course).into_stream());
    Ok(Response::from_parts(head, body.boxed_unsync()))
}

/// A request body is read as a whole before it is sent on: clients of Kubernetes send single objects. Answers stream.
async fn forward(request: Request<Incoming>, upstream: &Client) -> io::Result<Response<Body>> {
    let (mut head, body) = request.into_parts();
    for header in [CONNECTION, HOST, TRANSFER_ENCODING] {
        head.headers.remove(header);
    }
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    upstream.send(Request::from_parts(head, Body::from(body))).await.map_err(io::Error::other)
}

fn shift_date(headers: &mut HeaderMap, seconds: i64) -> Result<()> {
    let date = rfc2822::parse(headers.get(DATE).context("an answer without a date")?.to_str()?)?;
    let shifted = date.timestamp().checked_add(SignedDuration::from_secs(seconds))?;
    headers
        .insert(DATE, HeaderValue::from_str(&rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&shifted)?)?);
    Ok(())
}

fn answer(status: StatusCode, object: &Value, record: &Record) -> Response<ProxyBody> {
    let body = Bytes::from(object.to_string());
    record.answered(status.as_u16());
    record.sent(body.len());
    let mut response = Response::new(Full::new(body).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn refuse(refusal: &Refusal, record: &Record) -> io::Result<Response<ProxyBody>> {
    let status = StatusCode::from_u16(refusal.code).map_err(io::Error::other)?;
    let mut response = answer(status, &refusal.status(), record);
    if let Some(seconds) = refusal.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    Ok(response)
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "closed by the plan of faults")
}
