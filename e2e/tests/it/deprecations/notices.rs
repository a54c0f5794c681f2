//! Whom a Deprecation tells: Events on services, digests to real receivers, by HTTP and by HTTPS.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use goldenpath_e2e::fault_proxy::acceptor;
use goldenpath_e2e::supervisor::pki::Authority;
use goldenpath_e2e::wait;
use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

use super::{Cluster, PATIENCE, in_seconds, ingress, legacy_ingress};

const NAME: &str = "legacy-ingress";

/// What was posted, in its order, and how often each path was asked.
#[derive(Default)]
struct Post {
    digests: Vec<Value>,
    tries: HashMap<String, usize>,
}

/// An HTTP server that takes digests below `/hook`, the second time that it is asked, and nothing elsewhere.
struct Receiver {
    port: u16,
    secure_port: u16,
    /// Whom to trust at the secure port.
    authority: Authority,
    post: Arc<Mutex<Post>>,
}

impl Receiver {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let post = Arc::new(Mutex::new(Post::default()));
        let shared = post.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serve(stream, shared.clone());
            }
        });
        let authority = Authority::new("a CA of their own")?;
        let tls = acceptor(&authority.server("hooks", &[])?)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let secure_port = listener.local_addr()?.port();
        let shared = post.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // whoever does not trust us goes away
                if let Ok(stream) = tls.accept(stream).await {
                    serve(stream, shared.clone());
                }
            }
        });
        Ok(Self { port, secure_port, authority, post })
    }

    fn configuration(&self) -> String {
        let hook = |path: &str| format!("http://127.0.0.1:{}/{path}", self.port);
        let secure = format!("https://127.0.0.1:{}/secure", self.secure_port);
        let authorization = json!({"authorization": "Bearer abc"});
        json!([
            {"name": "digest", "url": hook("hook?key=1"), "headers": authorization},
            {"name": "gone", "url": hook("gone")},
            {"name": "secure", "url": secure, "headers": authorization, "caBundle": self.authority.certificate},
            {"name": "impostor", "url": secure, "headers": authorization},
        ])
        .to_string()
    }

    fn digests(&self) -> Vec<Value> {
        self.post.lock().unwrap().digests.clone()
    }

    async fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Result<Value> {
        wait::until(&format!("a digest: {what}"), PATIENCE, async || {
            let digests = self.digests();
            Ok(Some(digests.iter().find(|digest| holds(digest)).with_context(|| format!("{digests:?}"))?.clone()))
        })
        .await
    }
}

fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, post: Arc<Mutex<Post>>) {
    let service = hyper::service::service_fn(move |request| answer(request, post.clone()));
    tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
}

async fn answer(request: Request<Incoming>, post: Arc<Mutex<Post>>) -> Result<Response<String>, Infallible> {
    let (head, body) = request.into_parts();
    let asked = head.uri.to_string();
    let body = body.collect().await.map_or_else(|_| Bytes::new(), http_body_util::Collected::to_bytes);
    let mut post = post.lock().unwrap();
    let tries = post.tries.entry(asked.clone()).or_default();
    *tries += 1;
    let authorized = head.headers.get("authorization").is_some_and(|value| value == "Bearer abc");
    let status = match (asked.as_str(), *tries) {
        ("/hook?key=1", 1) => StatusCode::SERVICE_UNAVAILABLE,
        ("/hook?key=1" | "/secure", _) if authorized && head.method == "POST" => StatusCode::OK,
        _ => StatusCode::NOT_FOUND,
    };
    if status == StatusCode::OK {
        post.digests.push(serde_json::from_slice(&body).unwrap_or_default());
    }
    let mut response = Response::new(String::new());
    *response.status_mut() = status;
    Ok(response)
}

#[tokio::test]
async fn who_uses_what_is_old_is_told_and_never_twice() {
    story().await.unwrap();
}

async fn story() -> Result<()> {
    let receiver = Receiver::start().await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("receivers.yaml");
    std::fs::write(&file, receiver.configuration())?;
    let mut cluster = Cluster::start_as_in_the_image(vec!["--receivers".into(), file.into()]).await?;
    let shop = cluster.control_plane.namespace_with("shop", &[("goldenpath.dev/team", "shops")]).await?;
    cluster.ingresses_can_be_read().await?;
    cluster.apply_all(&[ingress(&shop, "checkout", Some("legacy-nginx"))]).await?;
    cluster
        .apply(&json!({
            "apiVersion": "goldenpath.dev/v1alpha1",
            "kind": "PlatformService",
            "metadata": {"name": "checkout", "namespace": shop},
            "spec": {"workloads": [{"name": "main", "ref": {"kind": "Deployment", "name": "checkout"}}]},
        }))
        .await?;
    a_new_one_is_told_of(&cluster, &receiver, &shop).await?;
    it_is_said_again_and_a_restart_says_nothing_twice(&mut cluster, &receiver).await?;
    an_unknown_receiver_is_named(&cluster).await?;
    what_is_not_taken_delays_nothing(&cluster).await?;
    a_receiver_is_told_by_https_if_it_is_who_it_is(&cluster, &receiver).await
}

/// The receiver is not there the first time; the digest comes all the same, and with what it was configured with.
async fn a_new_one_is_told_of(cluster: &Cluster, receiver: &Receiver, shop: &str) -> Result<()> {
    cluster.apply(&legacy_ingress(NAME, &json!({"notify": {"every": "10s", "receivers": ["digest"]}}))).await?;
    let digest = receiver.until("of the announcement", |_| true).await?;
    println!("{digest:#}");
    ensure!(digest["kind"] == "DeprecationDigest" && digest["team"] == "shops", "{digest}");
    let item = &digest["deprecations"][0];
    let object = format!("ingress/{shop}/checkout");
    ensure!(item["name"] == NAME && item["cause"] == "StageChanged" && item["stage"] == "Announced", "{item}");
    ensure!(item["remaining"] == 1 && item["objects"] == json!([object]), "{item}");
    wait::until("the Event on the service", PATIENCE, async || {
        let path = "jsonpath={range .items[?(@.action==\"ChangeStage\")]}{.message}{\"\\n\"}{end}";
        let args = ["get", "events", "-n", shop, "--field-selector", "involvedObject.name=checkout", "-o", path];
        let text = cluster.control_plane.kubectl(args).await?;
        ensure!(text.contains("ingress/checkout is deprecated by legacy-ingress (Shared nginx ingress)"), "{text}");
        println!("{text}");
        Ok(Some(()))
    })
    .await
}

async fn it_is_said_again_and_a_restart_says_nothing_twice(cluster: &mut Cluster, receiver: &Receiver) -> Result<()> {
    receiver.until("a reminder", |digest| digest["deprecations"][0]["cause"] == "Reminder").await?;
    cluster.dies().await?;
    let before = receiver.digests().len();
    cluster.comes_back().await?;
    wait::until("one more reminder", PATIENCE, async || {
        ensure!(receiver.digests().len() > before, "{before}");
        Ok(Some(()))
    })
    .await?;
    cluster.patch(NAME, &json!({"notify": {"every": null}})).await?;
    let digests = receiver.digests();
    let causes: Vec<&Value> = digests.iter().map(|digest| &digest["deprecations"][0]["cause"]).collect();
    ensure!(causes.iter().filter(|cause| **cause == "StageChanged").count() == 1, "{causes:?}");
    // they are sent about a second after they were due, which is at whole tens of seconds
    let slot = |digest: &Value| -> Result<i64> {
        let at: jiff::Timestamp = digest["sentAt"].as_str().unwrap_or_default().parse()?;
        Ok(at.as_second().div_euclid(10))
    };
    let slots: Vec<i64> = digests.iter().skip(1).map(slot).collect::<Result<_>>()?;
    let once: BTreeSet<&i64> = slots.iter().collect();
    ensure!(once.len() == slots.len(), "{slots:?}");
    println!("digests: {causes:?}");
    Ok(())
}

async fn an_unknown_receiver_is_named(cluster: &Cluster) -> Result<()> {
    cluster.patch(NAME, &json!({"notify": {"receivers": ["digest", "nobody"]}})).await?;
    let message = cluster.condition(NAME, "Ready", "ReceiverNotFound").await?;
    ensure!(message.contains("there is no receiver nobody, there are digest, gone, impostor, secure"), "{message}");
    cluster.patch(NAME, &json!({"notify": {"receivers": ["gone"]}})).await?;
    cluster.condition(NAME, "Ready", "Ready").await.map(drop)
}

/// By a CA of their own; the same server without that CA is not trusted, and is told nothing.
async fn a_receiver_is_told_by_https_if_it_is_who_it_is(cluster: &Cluster, receiver: &Receiver) -> Result<()> {
    let before = receiver.digests().len();
    cluster
        .patch(NAME, &json!({"notify": {"receivers": ["secure"]}, "timeline": {"blockCreateAt": in_seconds(1)}}))
        .await?;
    receiver.until("by HTTPS", |digest| digest["deprecations"][0]["stage"] == "CreateBlocked").await?;
    ensure!(receiver.digests().len() == before + 1, "{:?}", receiver.digests());
    cluster
        .patch(NAME, &json!({"notify": {"receivers": ["impostor"]}, "timeline": {"blockUpdateAt": in_seconds(1)}}))
        .await?;
    let said = wait::until("the Event about an impostor", PATIENCE, async || {
        let path = "jsonpath={range .items[?(@.reason==\"NotifyFailed\")]}{.message}{\"\\n\"}{end}";
        let text = cluster.control_plane.kubectl(["get", "events", "-n", "default", "-o", path]).await?;
        Ok(text.lines().find(|line| line.contains("receiver impostor")).map(str::to_owned))
    })
    .await?;
    println!("{said}");
    ensure!(said.contains("invalid peer certificate: UnknownIssuer") && !said.contains("/secure"), "{said}");
    ensure!(receiver.digests().len() == before + 1, "an impostor was told: {:?}", receiver.digests());
    Ok(())
}

async fn what_is_not_taken_delays_nothing(cluster: &Cluster) -> Result<()> {
    cluster.patch(NAME, &json!({"timeline": {"warnAt": in_seconds(1)}})).await?;
    cluster.until(NAME, "stage Warning", |object| object["status"]["notified"]["stage"] == "Warning").await?;
    wait::until("the Event about what was not delivered", PATIENCE, async || {
        let path = "jsonpath={range .items[?(@.reason==\"NotifyFailed\")]}{.message}{end}";
        let text = cluster.control_plane.kubectl(["get", "events", "-n", "default", "-o", path]).await?;
        ensure!(text.contains("receiver gone did not get 1 of 1 digests: 127.0.0.1:"), "{text}");
        ensure!(text.contains("it answered 404 Not Found") && !text.contains("/gone"), "{text}");
        Ok(Some(()))
    })
    .await?;
    let text = cluster.operator.metrics().await?;
    let failed = "goldenpath_notifications_total{outcome=\"failed\",receiver=\"gone\"} 1";
    ensure!(text.contains(failed) && text.contains("outcome=\"delivered\",receiver=\"digest\""), "{text}");
    Ok(())
}
