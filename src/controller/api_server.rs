//! Looks at the API server's version and clock.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::to_bytes;
use http::Request;
use http::header::DATE;
use k8s_openapi::apimachinery::pkg::version::Info;
use k8s_openapi::jiff::SignedDuration;
use k8s_openapi::jiff::fmt::rfc2822;
use kube::Client;
use kube::client::Body;
use prometheus::Gauge;

use super::requests::DEADLINE;
use crate::clock;
use crate::observability::catalogue::CLOCK_AHEAD;
use crate::observability::metrics::{Metrics, MetricsError};
use crate::plan::api_server;

/// Pause between two looks at the clock.
const EVERY: Duration = Duration::from_mins(1);
/// A difference that is worth a word. Date counts whole seconds.
const FAR: SignedDuration = SignedDuration::from_secs(2);
/// The most bytes of an answer, which is half a kilobyte.
const LONGEST: usize = 64 << 10;

/// The API server, as it speaks of itself.
pub struct ApiServer {
    client: Client,
    ahead: Gauge,
    /// Whether the two clocks differ so far that somebody should know.
    differ: AtomicBool,
}

impl ApiServer {
    /// Over a client.
    pub fn new(client: Client, metrics: &Metrics) -> Result<Self, MetricsError> {
        let ahead = Gauge::new(CLOCK_AHEAD.name, CLOCK_AHEAD.help)?;
        metrics.register(ahead.clone())?;
        Ok(Self { client, ahead, differ: AtomicBool::new(false) })
    }

    /// Asks for its version, and learns its time by the way. One that does not tell us its version
    /// tells its time all the same.
    pub async fn version(&self) -> Result<Option<Info>, String> {
        let request = Request::get("/version").body(Body::empty()).map_err(|error| error.to_string())?;
        let sent = clock::now();
        let answer = async {
            let answer = self.client.send(request).await.map_err(|error| error.to_string())?;
            let received = clock::now();
            let (head, body) = answer.into_parts();
            let body = to_bytes(axum::body::Body::new(body), LONGEST).await.map_err(|error| error.to_string())?;
            Ok((head, received, body))
        };
        let (head, received, body) =
            tokio::time::timeout(DEADLINE, answer).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))?;
        let date = head.headers.get(DATE).and_then(|date| date.to_str().ok());
        if let Some(date) = date.and_then(|date| rfc2822::parse(date).ok()) {
            self.learn(api_server::ahead(sent, received, date.timestamp()));
        }
        match head.status {
            status if status.is_server_error() => Err(status.to_string()),
            _ => Ok(serde_json::from_slice(&body).ok()),
        }
    }

    fn learn(&self, by: SignedDuration) {
        let ahead = clock::put_right(by);
        self.ahead.set(ahead.as_secs_f64());
        let differ = ahead.abs() >= FAR;
        if differ == self.differ.swap(differ, Ordering::Relaxed) {
            return;
        }
        if differ {
            tracing::warn!(
                seconds = ahead.as_secs(),
                "the API server's clock is so far ahead of this machine's (negative: behind), and dates count by the API \
                 server's: look at the time service of this node"
            );
        } else {
            tracing::info!("the clock of this machine is right again");
        }
    }

    /// Looks at its clock from now on.
    pub async fn follow_clock(&self) {
        loop {
            tokio::time::sleep(EVERY).await;
            if let Err(why) = self.version().await {
                tracing::debug!(why, "the API server's clock was not looked at");
            }
        }
    }
}
