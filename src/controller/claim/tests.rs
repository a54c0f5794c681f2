//! A server that loses answers, or refuses every write: no real one does so on request, hence a function in its place.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use kube::client::Body;

use super::*;
use crate::observability::Metrics;

/// What has become of the claim, and how often it was written.
#[derive(Default)]
struct Stored {
    value: String,
    writes: u8,
}

/// A replica of namespace `one`, and the server that it asks. A write is answered with this code; one of 5xx is done all the same.
fn asked(code: u16) -> (Claims, Arc<Mutex<Stored>>) {
    let stored = Arc::new(Mutex::new(Stored { value: "one/before_0/1".to_owned(), writes: 0 }));
    let shared = stored.clone();
    let server = tower::service_fn(move |request: http::Request<Body>| {
        let shared = shared.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body: serde_json::Value =
                serde_json::from_slice(&body.collect_bytes().await.unwrap()).unwrap_or_default();
            let mut stored = shared.lock().unwrap();
            let (code, answer) = if parts.method == http::Method::PATCH {
                stored.writes += 1;
                if code >= 500 {
                    stored.value = body["metadata"]["annotations"][labels::LEADER].as_str().unwrap().to_owned();
                }
                (
                    code,
                    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": "no"}),
                )
            } else {
                let metadata =
                    json!({"name": NAME, "resourceVersion": "7", "annotations": {labels::LEADER: stored.value}});
                let items =
                    json!([{"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}]);
                (
                    200,
                    json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": {}, "items": items}),
                )
            };
            drop(stored);
            let body = Body::from(answer.to_string().into_bytes());
            Ok::<_, Infallible>(http::Response::builder().status(code).body(body).unwrap())
        }
    });
    let client = Client::new(server, "one");
    let ballot = Ballot::new(client.clone(), Metrics::new().unwrap(), "one", "pod_0123", None);
    let mut claims = Claims::new(client, ballot, "one", "pod_0123");
    claims.mine.term = "42".to_owned();
    (claims, stored)
}

async fn insists(claims: &mut Claims) -> Result<(), Failed> {
    match claims.look().await? {
        Answer::May(read) => claims.insist(read).await,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_found_and_not_written_again() {
    let (mut claims, stored) = asked(504);
    insists(&mut claims).await.unwrap();
    let stored = stored.lock().unwrap();
    assert_eq!((stored.writes, stored.value.as_str()), (1, "one/pod_0123/42"));
}

#[tokio::test]
async fn a_claim_that_is_always_refused_is_left_to_somebody_else() {
    let (mut claims, stored) = asked(409);
    let failed = insists(&mut claims).await.unwrap_err();
    assert_eq!((stored.lock().unwrap().writes, failed.code), (TAKES, Some(409)));
    assert!(failed.why.starts_with("patch ValidatingAdmissionPolicy goldenpath-leader: "), "{failed}");
}

#[tokio::test]
async fn a_leader_hears_at_once_of_another_installation_and_not_of_its_own() {
    let shown = |namespace: &str| {
        let claim = Claim { namespace: namespace.to_owned(), identity: "pod_9".to_owned(), term: "9".to_owned() };
        Ok(Some(claim.policy()))
    };
    let (mut claims, stored) = asked(409);
    let mut changes = Box::pin(futures::stream::iter([shown("one"), shown("two")]).chain(futures::stream::pending()));
    let until = Instant::now() + Duration::from_mins(1);
    let other = claims.guard(&mut changes, until).await.unwrap();
    assert!(other.namespace == "two" && Instant::now() < until, "{other}");
    assert_eq!(stored.lock().unwrap().writes, 0);

    let mut changes = Box::pin(futures::stream::iter([shown("one")]).chain(futures::stream::pending()));
    let (mut claims, _stored) = asked(409);
    assert_eq!(claims.guard(&mut changes, Instant::now() + Duration::from_millis(20)).await, None);
}

#[tokio::test]
async fn a_claim_that_is_not_there_is_taken_when_nobody_puts_it_back() {
    let (mut claims, stored) = asked(409);
    stored.lock().unwrap().value = String::new();
    assert!(matches!(claims.look().await.unwrap(), Answer::Missing(left) if left > RETRY));
    claims.missing = Instant::now().checked_sub(PUTS_BACK);
    assert!(matches!(claims.look().await.unwrap(), Answer::May(_)));
    // somebody was only a moment away
    stored.lock().unwrap().value = "one/pod_9/9".to_owned();
    assert!(matches!(claims.look().await.unwrap(), Answer::May(_)));
    stored.lock().unwrap().value = String::new();
    assert!(matches!(claims.look().await.unwrap(), Answer::Missing(_)));
}
