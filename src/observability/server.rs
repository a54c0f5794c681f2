//! The port for the kubelet and Prometheus: `/livez`, `/readyz` and `/metrics`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::Metrics;
use super::outcome::chain;

/// How long a request may still run after `shutdown`. All answers take milliseconds; what takes longer is a client that
/// stopped in the middle of its request, and waiting for it would last until the kubelet kills the pod.
const GRACE: Duration = Duration::from_secs(1);

/// What a gate says until somebody speaks through it.
const STARTING: &str = "starting";

/// The longest time without a sign of life. What takes longest, a pass over a hundred thousand objects, takes seconds.
const STANDS_STILL: Duration = Duration::from_mins(1);
/// Pause between two signs of life.
const BEAT: Duration = Duration::from_secs(1);

/// Whether this process is ready: it is when all of its gates are. Clones share the same gates.
#[derive(Clone, Debug, Default)]
pub struct Health {
    gates: Arc<Mutex<Gates>>,
    /// The last sign of life of whoever works, once there is one.
    alive: Arc<Mutex<Option<Instant>>>,
}

/// Gate to the reason why it is not ready, `None` when it is. Sorted, so that the answer does not jump between probes.
type Gates = BTreeMap<String, Option<String>>;

/// One named condition of readiness, held by the task that knows about it.
#[derive(Clone, Debug)]
pub struct Gate {
    name: String,
    gates: Arc<Mutex<Gates>>,
}

impl Health {
    /// Adds a gate that is not ready yet, or gives another handle to the gate of that name.
    ///
    /// Open all gates before [`serve`] starts: a process without gates is ready.
    pub fn gate(&self, name: impl Into<String>) -> Gate {
        let gate = Gate { name: name.into(), gates: Arc::clone(&self.gates) };
        lock(&self.gates).entry(gate.name.clone()).or_insert_with(|| Some(STARTING.to_owned()));
        gate
    }

    /// One line `<gate>: <reason>` per gate that is not ready; empty when the process is ready.
    #[must_use]
    pub fn not_ready(&self) -> String {
        let mut lines = String::new();
        for (name, reason) in lock(&self.gates).iter() {
            if let Some(reason) = reason {
                let _ = writeln!(lines, "{name}: {reason}"); // writing to a String cannot fail
            }
        }
        lines
    }
}

impl Health {
    /// Gives signs of life. Polled in the task that works, it ends when that is stuck: then the kubelet starts the pod anew.
    pub async fn beat(&self) {
        loop {
            self.was_alive(Instant::now());
            tokio::time::sleep(BEAT).await;
        }
    }

    fn was_alive(&self, at: Instant) {
        *self.alive.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// For how long the work has stood still, if for too long.
    fn stands_still(&self, now: Instant) -> Option<Duration> {
        let last = (*self.alive.lock().unwrap_or_else(PoisonError::into_inner))?;
        Some(now.saturating_duration_since(last)).filter(|still| *still > STANDS_STILL)
    }
}

impl Gate {
    /// Opens the gate.
    pub fn set_ready(&self) {
        if self.replace(None).is_some() {
            tracing::info!(gate = self.name, "ready");
        }
    }

    /// Whether it is open.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        lock(&self.gates).get(&self.name).is_some_and(Option::is_none)
    }

    /// Closes the gate. The reason is for whoever reads `kubectl describe pod`: what is waited for.
    pub fn set_not_ready(&self, reason: impl Into<String>) {
        // An error's text may span lines, and the answer promises one line a gate.
        let reason = reason.into().replace(['\n', '\r'], " ");
        if self.replace(Some(reason.clone())).as_ref() != Some(&reason) {
            tracing::warn!(gate = self.name, reason, "not ready");
        }
    }

    fn replace(&self, reason: Option<String>) -> Option<String> {
        lock(&self.gates).insert(self.name.clone(), reason).flatten()
    }
}

/// A map that some panicking thread left behind is still whole: every write is a single insert.
fn lock(gates: &Mutex<Gates>) -> MutexGuard<'_, Gates> {
    gates.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers `/livez`, `/readyz` and `/metrics` on `listener` until `shutdown` resolves; open requests get one second more.
pub async fn serve(
    listener: TcpListener,
    health: Health,
    metrics: Metrics,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let alive = health.clone();
    let router = Router::new()
        .route("/livez", get(async move || livez(&alive)))
        .route("/readyz", get(async move || readyz(&health)))
        .route("/metrics", get(async move || exposition(&metrics)));
    let (stopping, stopped) = oneshot::channel::<()>();
    let shutdown = async move {
        shutdown.await;
        drop(stopping); // the receiver resolves, whoever waits there
    };
    let grace_is_over = async move {
        let _ = stopped.await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        served = axum::serve(listener, router).with_graceful_shutdown(shutdown) => served,
        () = grace_is_over => Ok(()),
    }
}

fn livez(health: &Health) -> (StatusCode, String) {
    match health.stands_still(Instant::now()) {
        None => (StatusCode::OK, "ok".to_owned()),
        Some(still) => (StatusCode::SERVICE_UNAVAILABLE, format!("the operator has stood still for {still:.0?}\n")),
    }
}

fn readyz(health: &Health) -> (StatusCode, String) {
    match health.not_ready() {
        lines if lines.is_empty() => (StatusCode::OK, "ok".to_owned()),
        lines => (StatusCode::SERVICE_UNAVAILABLE, lines),
    }
}

fn exposition(metrics: &Metrics) -> Response {
    match metrics.encode() {
        Ok(text) => ([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, chain(&error)).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};

    use tokio::task::JoinHandle;

    use super::super::logs::tests::Lines;
    use super::*;

    struct Running {
        address: SocketAddr,
        stop: oneshot::Sender<()>,
        served: JoinHandle<io::Result<()>>,
    }

    async fn start(health: &Health, metrics: &Metrics) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move { drop(stopped.await) };
        let served = tokio::spawn(serve(listener, health.clone(), metrics.clone(), shutdown));
        Running { address, stop, served }
    }

    /// The whole answer as it is on the wire, by a plain socket: an HTTP client only for this would be a dependency.
    async fn fetch(address: SocketAddr, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nhost: operator\r\nconnection: close\r\n\r\n");
        let exchange = move || {
            let mut stream = TcpStream::connect(address)?;
            stream.write_all(request.as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).map(|_| answer)
        };
        tokio::task::spawn_blocking(exchange).await.unwrap().unwrap()
    }

    fn status_and_body(answer: &str) -> (&str, &str) {
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap(), body)
    }

    #[test]
    fn a_new_gate_waits_until_somebody_opens_it() {
        let health = Health::default();
        let gate = health.gate("watch/deployments");
        assert_eq!(health.not_ready(), "watch/deployments: starting\n");
        gate.set_ready();
        assert_eq!(health.not_ready(), "");
    }

    #[tokio::test]
    async fn an_operator_that_stands_still_is_not_alive() {
        let health = Health::default();
        let running = start(&health, &Metrics::new().unwrap()).await;
        assert_eq!(status_and_body(&fetch(running.address, "/livez").await), ("HTTP/1.1 200 OK", "ok"));
        let now = Instant::now();
        health.was_alive(now.checked_sub(Duration::from_secs(75)).unwrap());
        let answer = fetch(running.address, "/livez").await;
        let expected = ("HTTP/1.1 503 Service Unavailable", "the operator has stood still for 75s\n");
        assert_eq!(status_and_body(&answer), expected);
        // one sign of life is enough
        assert!(tokio::time::timeout(Duration::from_millis(1), health.beat()).await.is_err());
        assert_eq!(status_and_body(&fetch(running.address, "/livez").await), ("HTTP/1.1 200 OK", "ok"));
        drop(running.stop);
        running.served.await.unwrap().unwrap();
    }

    #[test]
    fn every_closed_gate_has_one_line_with_its_reason() {
        let health = Health::default();
        health.gate("watch/pods").set_not_ready("HTTP 403\nforbidden");
        health.gate("crds").set_ready();
        health.gate("lease").set_not_ready("held by operator-b");
        assert_eq!(health.not_ready(), "lease: held by operator-b\nwatch/pods: HTTP 403 forbidden\n");
    }

    #[test]
    fn asking_for_a_gate_again_keeps_its_state() {
        let health = Health::default();
        health.gate("crds").set_ready();
        let _again = health.clone().gate("crds");
        assert_eq!(health.not_ready(), "");
    }

    #[test]
    fn only_changes_of_a_gate_are_logged() {
        let (lines, _guard) = Lines::capture("info");
        let gate = Health::default().gate("crds");
        for _ in 0..2 {
            gate.set_not_ready("missing");
        }
        for _ in 0..2 {
            gate.set_ready();
        }
        let messages: Vec<_> = lines.parsed().iter().map(|line| line["message"].clone()).collect();
        assert_eq!(messages, ["not ready", "ready"]);
    }

    #[tokio::test]
    async fn readyz_is_503_with_reasons_and_then_ok() {
        let health = Health::default();
        let gate = health.gate("watch/deployments");
        let server = start(&health, &Metrics::new().unwrap()).await;
        let before = fetch(server.address, "/readyz").await;
        assert_eq!(status_and_body(&before), ("HTTP/1.1 503 Service Unavailable", "watch/deployments: starting\n"));
        gate.set_ready();
        let after = fetch(server.address, "/readyz").await;
        assert_eq!(status_and_body(&after), ("HTTP/1.1 200 OK", "ok"));
    }

    #[tokio::test]
    async fn livez_does_not_depend_on_readiness() {
        let health = Health::default();
        let _closed = health.gate("lease");
        let server = start(&health, &Metrics::new().unwrap()).await;
        let answer = fetch(server.address, "/livez").await;
        assert_eq!(status_and_body(&answer), ("HTTP/1.1 200 OK", "ok"));
    }

    #[tokio::test]
    async fn metrics_are_served_as_prometheus_text() {
        let metrics = Metrics::new().unwrap();
        metrics.api_request("list", "ok");
        let server = start(&Health::default(), &metrics).await;
        let answer = fetch(server.address, "/metrics").await;
        assert_eq!(status_and_body(&answer), ("HTTP/1.1 200 OK", metrics.encode().unwrap().as_str()));
        assert!(answer.contains("\r\ncontent-type: text/plain; version=0.0.4\r\n"), "{answer}");
    }

    /// Ends the server while a client holds a connection on which it sent `unfinished`.
    async fn ends_despite(unfinished: &str) {
        let server = start(&Health::default(), &Metrics::new().unwrap()).await;
        let mut client = TcpStream::connect(server.address).unwrap();
        client.write_all(unfinished.as_bytes()).unwrap();
        fetch(server.address, "/livez").await; // answered after the client above was accepted
        server.stop.send(()).unwrap();
        let ended = tokio::time::timeout(GRACE * 10, server.served).await;
        ended.expect("the server still waits").unwrap().unwrap();
        drop(client);
    }

    #[tokio::test]
    async fn a_silent_connection_does_not_hold_up_the_shutdown() {
        ends_despite("").await;
    }

    #[tokio::test]
    async fn half_a_request_does_not_hold_up_the_shutdown() {
        ends_despite("GET /livez HTT").await;
    }
}
