//! The proxy itself: each fault as a plain client sees it.

use std::time::{Duration, Instant};

use futures::FutureExt;
use goldenpath_e2e::fault_proxy::{Action, Disturbance, Exchange, Fault, FaultProxy, Refusal, Target, Verb};
use goldenpath_e2e::{ControlPlane, audit, wait};
use http::Request;
use http_body_util::BodyExt;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, PostParams};
use kube::client::Body;
use kube::core::Status;
use kube::{Api, Client};
use rstest::rstest;
use serde_json::json;

const TIMEOUT: Duration = Duration::from_secs(30);
/// The resource that all of these tests use: every account may be given it, and no controller writes it.
const RESOURCE: &str = "configmaps";

/// A client that goes through a proxy of its own, and one that does not.
struct Scene {
    namespace: String,
    proxy: FaultProxy,
    through: Client,
    direct: Client,
}

impl Scene {
    async fn new() -> Self {
        let control_plane = ControlPlane::shared().await.unwrap();
        let namespace = control_plane.namespace("proxy").await.unwrap();
        let account = format!("--serviceaccount={namespace}:default");
        let bind = ["create", "rolebinding", "edit", "-n", &namespace, "--clusterrole=edit", &account];
        control_plane.kubectl(bind).await.unwrap();
        let kubeconfig = control_plane.as_account(&namespace, "default").await.unwrap();
        let proxy = FaultProxy::start(control_plane).await.unwrap();
        let through = proxy.client(&kubeconfig).await.unwrap();
        let direct = control_plane.client().await.unwrap();
        Self { namespace, proxy, through, direct }
    }

    fn through(&self) -> Api<ConfigMap> {
        Api::namespaced(self.through.clone(), &self.namespace)
    }

    fn direct(&self) -> Api<ConfigMap> {
        Api::namespaced(self.direct.clone(), &self.namespace)
    }

    async fn list(&self) -> kube::Result<usize> {
        // The namespace also has the authority of its ServiceAccounts, made by a controller at some moment.
        Ok(self.through().list(&ListParams::default().labels("!none")).await?.items.len())
    }

    async fn exists(&self, name: &str) -> bool {
        self.direct().get_opt(name).await.unwrap().is_some()
    }

    /// A running watch of everything that is made from now on.
    async fn watch(&self) -> Watch<'_> {
        let version = self.direct().list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
        let uri = format!("/api/v1/namespaces/{}/{RESOURCE}?watch=true&resourceVersion={version}", self.namespace);
        let answer = self.through.send(Request::get(uri).body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200);
        Watch { scene: self, body: answer.into_body() }
    }
}

/// A running watch, byte for byte.
struct Watch<'a> {
    scene: &'a Scene,
    body: Body,
}

impl Watch<'_> {
    fn disturb(&self, disturbance: &Disturbance) {
        assert_eq!(self.scene.proxy.disturb(&Target::watch(RESOURCE), disturbance), 1);
    }

    /// What arrives until a line break, or the error or the end that comes before it.
    async fn read(&mut self) -> (String, Option<Result<(), kube::Error>>) {
        let mut bytes = Vec::new();
        let reading = async {
            while !bytes.ends_with(b"\n") {
                match self.body.frame().await {
                    Some(Ok(frame)) => bytes.extend(frame.into_data().unwrap()),
                    Some(Err(error)) => return Some(Err(error)),
                    None => return Some(Ok(())),
                }
            }
            None
        };
        let end = tokio::time::timeout(TIMEOUT, reading).await.expect("neither a line nor an end");
        (String::from_utf8(bytes).unwrap(), end)
    }

    async fn line(&mut self) -> String {
        let (line, end) = self.read().await;
        assert!(end.is_none(), "{end:?} after {line}");
        line
    }

    /// Its entry in the trace.
    fn exchange(&self) -> Exchange {
        self.scene.proxy.exchanges(&Target::watch(RESOURCE)).pop().unwrap()
    }
}

fn config_map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": {"text": "0123456789"}})).unwrap()
}

async fn create(api: &Api<ConfigMap>, name: &str) -> kube::Result<ConfigMap> {
    api.create(&PostParams::default(), &config_map(name)).await
}

fn refused(error: kube::Error) -> Status {
    match error {
        kube::Error::Api(status) => *status,
        other => panic!("not an answer: {other}"),
    }
}

#[tokio::test]
async fn a_request_passes_and_leaves_a_trace() {
    let scene = Scene::new().await;
    create(&scene.through(), "one").await.unwrap();
    assert!(scene.exists("one").await);
    let trace = scene.proxy.trace();
    let exchange = &trace[0];
    assert_eq!(trace.len(), 1, "{trace:?}");
    assert_eq!(exchange.request.to_string(), format!("create {RESOURCE} {}", scene.namespace));
    assert_eq!((exchange.code, &exchange.fault), (Some(201), &None));
    assert!(exchange.sent > 0 && exchange.sent == exchange.received && exchange.ended.is_some(), "{exchange}");
}

#[tokio::test]
async fn the_account_of_the_caller_keeps_its_own_rights() {
    let scene = Scene::new().await;
    let reviews: Api<SelfSubjectReview> = Api::all(scene.through.clone());
    let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await.unwrap();
    let user = review.status.unwrap().user_info.unwrap().username.unwrap();
    assert_eq!(user, audit::account(&scene.namespace, "default"));
    let elsewhere: Api<ConfigMap> = Api::namespaced(scene.through.clone(), "kube-system");
    assert_eq!(refused(create(&elsewhere, "one").await.unwrap_err()).code, 403);
}

#[tokio::test]
async fn a_client_certificate_is_refused_a_kubeconfig() {
    let control_plane = ControlPlane::shared().await.unwrap();
    let proxy = FaultProxy::start(control_plane).await.unwrap();
    let error = proxy.kubeconfig(control_plane.kubeconfig()).unwrap_err().to_string();
    assert!(error.ends_with("admin.kubeconfig has no token"), "{error}");
}

#[tokio::test]
async fn an_event_passes_while_its_watch_goes_on() {
    let scene = Scene::new().await;
    let mut watch = scene.watch().await;
    create(&scene.direct(), "one").await.unwrap();
    assert!(watch.line().await.starts_with(r#"{"type":"ADDED""#));
    assert!(watch.exchange().ended.is_none());
    drop(watch);
    let left = async || Ok(scene.proxy.exchanges(&Target::watch(RESOURCE))[0].ended);
    wait::until("the end of the watch to be in the trace", TIMEOUT, left).await.unwrap();
}

#[rstest]
#[case::expired(Refusal::EXPIRED)]
#[case::too_many_requests(Refusal::TOO_MANY_REQUESTS)]
#[case::forbidden(Refusal::FORBIDDEN)]
#[case::internal_error(Refusal::INTERNAL_ERROR)]
#[case::service_unavailable(Refusal::SERVICE_UNAVAILABLE)]
#[tokio::test]
async fn a_refusal_is_an_answer_with_code_and_reason_and_nothing_reaches_the_api_server(#[case] refusal: Refusal) {
    let scene = Scene::new().await;
    let fault = scene.proxy.fault(Fault::new(Target::of(Verb::Create, RESOURCE), Action::Refuse(refusal)));
    let status = refused(create(&scene.through(), "one").await.unwrap_err());
    assert_eq!((status.code, status.reason.as_str()), (refusal.code, refusal.reason));
    assert_eq!(fault.met(), 1);
    assert!(!scene.exists("one").await);
}

#[rstest]
#[case::without(Refusal::TOO_MANY_REQUESTS, None)]
#[case::with(Refusal::TOO_MANY_REQUESTS.retry_after(7), Some("7"))]
#[tokio::test]
async fn a_refusal_says_when_to_come_again_if_it_shall(#[case] refusal: Refusal, #[case] expected: Option<&str>) {
    let scene = Scene::new().await;
    let _fault = scene.proxy.fault(Fault::new(Target::all(), Action::Refuse(refusal)));
    let answer = scene.through.send(Request::get("/version").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.headers().get("retry-after").map(|value| value.to_str().unwrap()), expected);
}

#[tokio::test]
async fn only_the_requests_that_are_meant_meet_a_fault() {
    let scene = Scene::new().await;
    let target = Target::of(Verb::List, RESOURCE);
    let fault = scene.proxy.fault(Fault::new(target, Action::Refuse(Refusal::INTERNAL_ERROR)).nth(2));
    let mut outcomes = Vec::new();
    for _ in 0..3 {
        outcomes.push(scene.list().await.is_ok());
    }
    assert_eq!(outcomes, [true, false, true]);
    assert_eq!(fault.met(), 1);
}

#[tokio::test]
async fn a_fault_ends_with_its_value() {
    let scene = Scene::new().await;
    let fault = scene.proxy.fault(Fault::new(Target::all(), Action::Close));
    scene.list().await.unwrap_err();
    drop(fault);
    scene.list().await.unwrap();
}

#[tokio::test]
async fn a_closed_connection_carries_nothing_out() {
    let scene = Scene::new().await;
    let _fault = scene.proxy.fault(Fault::new(Target::all(), Action::Close));
    let error = create(&scene.through(), "one").await.unwrap_err();
    assert!(!matches!(error, kube::Error::Api(_)), "{error}");
    assert!(!scene.exists("one").await);
}

#[tokio::test]
async fn a_dropped_reply_leaves_what_was_carried_out() {
    let scene = Scene::new().await;
    let _fault = scene.proxy.fault(Fault::new(Target::all(), Action::DropReply));
    let error = create(&scene.through(), "one").await.unwrap_err();
    assert!(!matches!(error, kube::Error::Api(_)), "{error}");
    assert!(scene.exists("one").await);
}

#[tokio::test]
async fn a_hanging_request_gets_neither_an_answer_nor_an_end() {
    let scene = Scene::new().await;
    let fault = scene.proxy.fault(Fault::new(Target::of(Verb::List, RESOURCE), Action::Hang).nth(1));
    let hanging = scene.list();
    tokio::pin!(hanging);
    // It is polled beside what is awaited; only its own end would end it.
    let met = async || Ok((fault.met() == 1).then_some(()));
    tokio::select! {
        outcome = &mut hanging => panic!("{outcome:?}"),
        met = wait::until("the request to reach the proxy", TIMEOUT, met) => met.unwrap(),
    }
    scene.list().await.unwrap();
    assert!((&mut hanging).now_or_never().is_none());
    let exchange = &scene.proxy.exchanges(&Target::of(Verb::List, RESOURCE))[0];
    assert!(exchange.code.is_none() && exchange.ended.is_none(), "{exchange}");
}

#[tokio::test]
async fn a_hanging_watch_withholds_what_the_api_server_sends() {
    let scene = Scene::new().await;
    let mut watch = scene.watch().await;
    watch.disturb(&Disturbance::Hang);
    create(&scene.direct(), "one").await.unwrap();
    let withheld = async || Ok((watch.exchange().received > 0).then_some(()));
    wait::until("the API server to send the event", TIMEOUT, withheld).await.unwrap();
    let exchange = watch.exchange();
    assert!(exchange.sent == 0 && exchange.ended.is_none(), "{exchange}");
    assert!(watch.body.frame().now_or_never().is_none());
}

#[tokio::test]
async fn a_cut_comes_in_the_middle_of_a_frame_and_is_no_orderly_end() {
    let scene = Scene::new().await;
    let mut watch = scene.watch().await;
    watch.disturb(&Disturbance::Cut { after: 10 });
    create(&scene.direct(), "one").await.unwrap();
    let (text, end) = watch.read().await;
    assert_eq!(text, r#"{"type":"A"#);
    assert!(matches!(end, Some(Err(_))), "{end:?}");
}

#[tokio::test]
async fn an_answer_can_be_cut_from_its_beginning() {
    let scene = Scene::new().await;
    let _fault = scene.proxy.fault(Fault::new(Target::of(Verb::List, RESOURCE), Action::Cut { after: 20 }));
    let error = scene.list().await.unwrap_err();
    assert!(!matches!(error, kube::Error::Api(_) | kube::Error::SerdeError(_)), "{error}");
    assert_eq!(scene.proxy.exchanges(&Target::of(Verb::List, RESOURCE))[0].sent, 20);
}

#[tokio::test]
async fn a_watch_can_end_in_good_order() {
    let scene = Scene::new().await;
    let mut watch = scene.watch().await;
    watch.disturb(&Disturbance::End);
    let (text, end) = watch.read().await;
    assert!(text.is_empty() && matches!(end, Some(Ok(()))), "{text} {end:?}");
}

#[tokio::test]
async fn a_line_is_put_in_between_the_events_of_a_watch() {
    let scene = Scene::new().await;
    let mut watch = scene.watch().await;
    create(&scene.direct(), "one").await.unwrap();
    assert!(watch.line().await.contains(r#""name":"one""#));
    watch.disturb(&Disturbance::Line(Refusal::EXPIRED.event().into_bytes()));
    let event: serde_json::Value = serde_json::from_str(&watch.line().await).unwrap();
    assert_eq!((&event["type"], &event["object"]["code"]), (&json!("ERROR"), &json!(410)));
    create(&scene.direct(), "two").await.unwrap();
    assert!(watch.line().await.contains(r#""name":"two""#));
}

#[tokio::test]
async fn a_delayed_request_is_carried_out_later() {
    let scene = Scene::new().await;
    let pause = Duration::from_millis(300);
    let _fault = scene.proxy.fault(Fault::new(Target::of(Verb::List, RESOURCE), Action::Delay(pause)));
    let started = Instant::now();
    scene.list().await.unwrap();
    assert!(started.elapsed() >= pause);
}

#[tokio::test]
async fn a_dripping_answer_is_slow_and_whole() {
    let scene = Scene::new().await;
    let pause = Duration::from_millis(5);
    let _fault = scene.proxy.fault(Fault::new(Target::all(), Action::Drip { bytes: 1, pause }));
    let started = Instant::now();
    let text = scene.through.request_text(Request::get("/livez").body(vec![]).unwrap()).await.unwrap();
    assert_eq!(text, "ok");
    assert!(started.elapsed() >= pause * 2);
}
