//! How often a server is asked that ends every watch at once. No real one does so, hence a function in its place.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use kube::Client;
use kube::client::Body;

use super::*;
use crate::fleet::health::Contact;
use crate::fleet::resource::Resource;
use crate::observability::Health;

/// Lists are empty and complete, watches say this and end.
async fn asked_in_a_minute(watch_says: &'static str) -> u32 {
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    let server = tower::service_fn(move |request: http::Request<Body>| {
        let list = request.uri().query().is_some_and(|query| query.contains("sendInitialEvents"));
        let end = r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"5","annotations":{"k8s.io/initial-events-end":"true"}}}}"#;
        count.fetch_add(u32::from(!list), Ordering::Relaxed);
        let body = if list { format!("{end}\n") } else { watch_says.to_owned() };
        std::future::ready(Ok::<_, Infallible>(http::Response::new(Body::from(body.into_bytes()))))
    });
    let health = Health::default();
    let contact = Contact::new(Resource::Workloads(DEPLOYMENT), &health);
    let (fleet, _metrics) = fleet();
    let watch = Watch::new(FleetSink { fleet, contact }, Client::new(server, "default"));
    let _ = tokio::time::timeout(Duration::from_mins(1), watch.run()).await;
    asked.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_each_watch_after_one_line_is_asked_once_a_second() {
    let bookmark = "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"6\"}}}\n";
    let asked = asked_in_a_minute(bookmark).await;
    assert!((50..=61).contains(&asked), "{asked}");
}

#[tokio::test(start_paused = true)]
async fn one_that_says_nothing_is_asked_with_growing_pauses() {
    let asked = asked_in_a_minute("").await;
    assert!((14..=28).contains(&asked), "{asked}");
}
