//! Real workloads, written by others, on a demanding path: each is adopted, or says why not, and nothing restarts.
//!
//! Then each is deployed once more as a dry run: the API server must accept what it accepts without us, and make of it
//! exactly what the pure function says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use goldenpath::api::{WorkloadKind, labels};
use goldenpath::plan::gaps::{filled, gaps, normalise};
use goldenpath::plan::metadata::label;
use goldenpath::plan::revision::Revision;
use goldenpath::plan::service::template;
use goldenpath_e2e::{ControlPlane, Options, corpus, story, wait};
use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client};
use serde_json::{Value, json};

/// Requests at a time.
const AT_A_TIME: usize = 8;

const PATH: &str = r#"
apiVersion: goldenpath.dev/v1alpha1
kind: GoldenPath
metadata: {name: demanding}
spec:
  defaults:
  - name: requests
    podTemplate: {spec: {containers: [{name: "*", resources: {requests: {cpu: 100m, memory: 128Mi}}}]}}
  - name: memory-limit
    podTemplate: {spec: {containers: [{name: "*", resources: {limits: {memory: 512Mi}}}]}}
  - name: non-root
    podTemplate: {spec: {securityContext: {runAsNonRoot: true}}}
  - name: seccomp
    podTemplate: {spec: {securityContext: {seccompProfile: {type: RuntimeDefault}}}}
  - name: privileges
    podTemplate: {spec: {containers: [{name: "*", securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]}}
  - name: read-only
    podTemplate: {spec: {containers: [{name: "*", securityContext: {readOnlyRootFilesystem: true}}]}}
  - name: token
    podTemplate: {spec: {automountServiceAccountToken: false}}
  - name: spot
    podTemplate: {spec: {tolerations: [{key: example.com/spot, operator: Exists}]}}
  - name: scratch
    podTemplate:
      spec:
        volumes: [{name: tmp, emptyDir: {}}]
        containers: [{name: "*", volumeMounts: [{name: tmp, mountPath: /tmp}]}]
"#;

/// One workload of the corpus.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Subject {
    kind: WorkloadKind,
    namespace: String,
    name: String,
}

impl Subject {
    /// The workload that a document is, if it is of a kind that can be adopted.
    fn of(document: &Value) -> Option<Self> {
        let kind = serde_json::from_value(document["kind"].clone()).ok()?;
        let text = |field: &str| document["metadata"][field].as_str().map(ToOwned::to_owned);
        let namespace = text("namespace").unwrap_or_else(|| "default".to_owned());
        Some(Self { kind, namespace, name: text("name")? })
    }

    /// Names of workloads are longer than those of services may be, so services are counted.
    fn service(&self, number: usize) -> Value {
        let reference = json!({"kind": self.kind, "name": self.name});
        json!({
            "apiVersion": "goldenpath.dev/v1alpha1", "kind": "PlatformService",
            "metadata": {"name": format!("corpus-{number}"), "namespace": self.namespace},
            "spec": {"goldenPathRef": {"name": "demanding"}, "workloads": [{"name": "app", "ref": reference}]},
        })
    }
}

/// The documents that workloads need: no pod runs, so that two cores are enough.
fn documents() -> (Vec<Value>, BTreeSet<Subject>) {
    let files = corpus().unwrap();
    let mut kept = Vec::new();
    let mut subjects = BTreeSet::new();
    let mut jobs = 0;
    for mut document in files.iter().flat_map(|file| file.documents.clone()) {
        let subject = Subject::of(&document);
        jobs += usize::from(document["kind"] == "Job");
        if let Some(subject) = &subject {
            match subject.kind {
                WorkloadKind::CronJob => document["spec"]["suspend"] = json!(true),
                WorkloadKind::DaemonSet => {}
                _ => document["spec"]["replicas"] = json!(0),
            }
        }
        if subject.is_some() || document["kind"] == "Namespace" {
            kept.push(document);
            subjects.extend(subject);
        }
    }
    println!("corpus: {} files, {} workloads to adopt, {jobs} Jobs that nobody adopts", files.len(), subjects.len());
    (kept, subjects)
}

/// Everything of one kind in the cluster.
async fn all(client: &Client, resource: &ApiResource) -> Result<Vec<Value>> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), resource);
    let items = api.list(&ListParams::default()).await?.items;
    items.into_iter().map(|item| Ok(serde_json::to_value(item)?)).collect()
}

fn resource(api_version: &str, kind: &str, plural: &str) -> ApiResource {
    let (group, version) = api_version.split_once('/').unwrap();
    ApiResource::from_gvk_with_plural(&kube::core::GroupVersionKind::gvk(group, version, kind), plural)
}

/// What must not change by adoption: generations and templates of workloads, and which ReplicaSets and revisions exist.
async fn footprint(client: &Client) -> Result<BTreeMap<String, Value>> {
    let mut found = BTreeMap::new();
    let key = |o: &Value| format!("{} {}/{}", o["kind"], o["metadata"]["namespace"], o["metadata"]["name"]);
    for kind in WorkloadKind::ALL {
        for mut object in all(client, &resource(kind.api_version(), &kind.to_string(), kind.plural())).await? {
            object["kind"] = json!(kind);
            found.insert(
                key(&object),
                json!([object["metadata"]["generation"], object["spec"], object["metadata"]["annotations"]]),
            );
        }
    }
    for (kind, plural) in [("ReplicaSet", "replicasets"), ("ControllerRevision", "controllerrevisions")] {
        for mut object in all(client, &resource("apps/v1", kind, plural)).await? {
            object["kind"] = json!(kind);
            found.insert(key(&object), object["metadata"]["uid"].clone());
        }
    }
    Ok(found)
}

/// Waits until the controllers have done all they do to new workloads.
async fn settled(client: &Client) -> BTreeMap<String, Value> {
    let rolled_out = async || {
        for kind in [WorkloadKind::Deployment, WorkloadKind::StatefulSet, WorkloadKind::DaemonSet] {
            for object in all(client, &resource("apps/v1", &kind.to_string(), kind.plural())).await? {
                let (wanted, seen) = (&object["metadata"]["generation"], &object["status"]["observedGeneration"]);
                ensure!(wanted == seen, "{} is at {seen} of {wanted}", object["metadata"]["name"]);
            }
        }
        Ok(Some(footprint(client).await?))
    };
    wait::until("controllers to have seen every workload", Duration::from_secs(90), rolled_out).await.unwrap()
}

/// Waits until every service has an answer, and gives reason and message by workload.
async fn answers(client: &Client, count: usize) -> BTreeMap<Subject, (String, String)> {
    let services = resource("goldenpath.dev/v1alpha1", "PlatformService", "platformservices");
    let read = |service: &Value| {
        let reference = &service["spec"]["workloads"][0]["ref"];
        let subject = Subject {
            kind: serde_json::from_value(reference["kind"].clone())?,
            namespace: service["metadata"]["namespace"].as_str().unwrap_or_default().to_owned(),
            name: reference["name"].as_str().unwrap_or_default().to_owned(),
        };
        let conditions = service["status"]["conditions"].as_array();
        let ready = conditions.and_then(|c| c.iter().find(|c| c["type"] == "Ready")).context("no condition Ready")?;
        let text = |field: &str| ready[field].as_str().unwrap_or_default().to_owned();
        Ok::<_, anyhow::Error>((subject, (text("reason"), text("message"))))
    };
    wait::until("an answer to every service", Duration::from_mins(2), async || {
        let found: BTreeMap<_, _> = all(client, &services).await?.iter().map(read).collect::<Result<_>>()?;
        ensure!(found.len() == count, "{} of {count}", found.len());
        Ok(Some(found))
    })
    .await
    .unwrap()
}

/// How a deploy of one workload came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Deployed {
    /// Accepted, and the template is what the pure function says; and whether anything was filled.
    AsExpected { filled: bool },
    /// Not even accepted without us.
    RefusedAnyhow,
}

/// Changes the image of the first container, as the team would, once without a policy and once with it.
async fn deploy(client: &Client, subject: &Subject, revision: &Revision) -> Result<Deployed> {
    let api = story::workloads(client, subject.kind, &subject.namespace);
    let live = serde_json::to_value(api.get(&subject.name).await?)?;
    let mut containers = template(subject.kind, &live)["spec"]["containers"].clone();
    containers[0]["image"] = json!("example.com/touched:1");
    let mut patch = json!({"spec": {"containers": containers}});
    for name in subject.kind.template_path().iter().rev() {
        patch = json!({*name: patch});
    }
    let params = PatchParams { field_manager: Some("team".to_owned()), ..PatchParams::default() }.dry_run();
    let acted = api.patch(&subject.name, &params, &Patch::Merge(&patch)).await;
    patch["metadata"] = json!({"labels": {labels::REVISION: "nobody"}});
    let seen = match api.patch(&subject.name, &params, &Patch::Merge(&patch)).await {
        Ok(seen) => serde_json::to_value(seen)?,
        Err(kube::Error::Api(_)) => return Ok(Deployed::RefusedAnyhow),
        Err(error) => return Err(error.into()),
    };
    let acted = serde_json::to_value(acted.with_context(|| format!("{subject:?} is refused with the road"))?)?;
    let expected = filled(subject.kind, &seen, &gaps(subject.kind, &seen, &revision.road));
    let normal = |object: &Value| {
        let mut template = template(subject.kind, object).clone();
        normalise(&mut template);
        template
    };
    let made = normal(&acted);
    ensure!(made == expected, "{subject:?}: {}", json!(json_patch::diff(&expected, &made)));
    Ok(Deployed::AsExpected { filled: made != normal(&seen) })
}

/// The revision as the operator keeps it.
async fn kept(client: &Client, name: &str) -> Revision {
    let api: Api<ControllerRevision> = Api::namespaced(client.clone(), labels::DEFAULT_NAMESPACE);
    serde_json::from_value(api.get(name).await.unwrap().data.unwrap().0).unwrap()
}

/// The answers counted, and those that are bad in full.
fn print(answers: &BTreeMap<Subject, (String, String)>) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (subject, (reason, message)) in answers {
        *counts.entry(reason).or_default() += 1;
        if !matches!(reason.as_str(), "Ready" | "NamespaceExcluded") {
            println!("corpus: {subject:?}: {reason}: {message}");
        }
    }
    println!("corpus: answers {counts:?}");
}

#[tokio::test]
async fn workloads_of_others_are_adopted_or_say_why_not_and_none_restarts() {
    let (documents, subjects) = documents();
    if subjects.is_empty() {
        return;
    }
    let started = Instant::now();
    let at = |what: &str| println!("corpus: {what} after {} s", started.elapsed().as_secs());
    let control_plane = ControlPlane::start(Options { nodes: 3, ..Options::default() }).await.unwrap();
    let client = control_plane.client().await.unwrap();
    let kubeconfig = control_plane.install_goldenpath().await.unwrap();
    let list = |items: &[Value]| json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    control_plane.apply(&list(&documents)).await.unwrap();
    let before = settled(&client).await;
    at("everything is applied");

    let _operator = control_plane.start_operator(kubeconfig).await.unwrap();
    let revision = kept(&client, &control_plane.golden_path(PATH).await.unwrap()).await;
    let services: Vec<Value> = subjects.iter().enumerate().map(|(n, subject)| subject.service(n)).collect();
    control_plane.apply(&list(&services)).await.unwrap();
    let answers = answers(&client, subjects.len()).await;
    at("every service has an answer");
    print(&answers);

    let mut after = footprint(&client).await.unwrap();
    after.retain(|key, _| before.contains_key(key) || !key.contains(&format!("\"{}\"", labels::DEFAULT_NAMESPACE)));
    for (key, was) in &before {
        assert_eq!(after.get(key), Some(was), "{key} changed by being adopted");
    }
    assert_eq!(after.len(), before.len(), "adoption made something new");

    let labelled = labelled(&client, &revision.name).await;
    for (subject, (reason, message)) in &answers {
        assert_eq!(labelled.contains(subject), reason == "Ready", "{subject:?}: {reason}: {message}");
        let known = ["Ready", "ApiServerRefused", "NamespaceExcluded"].contains(&reason.as_str());
        assert!(known && !message.is_empty(), "{subject:?}: {reason}: {message}");
        assert_eq!(reason == "NamespaceExcluded", subject.namespace == "kube-system", "{subject:?}");
    }
    deploy_all(&client, labelled, &revision).await;
    at("every adopted workload was deployed");
}

/// The workloads that carry a revision's label.
async fn labelled(client: &Client, revision: &str) -> Vec<Subject> {
    let mut found = Vec::new();
    for kind in WorkloadKind::ALL {
        for mut object in all(client, &resource(kind.api_version(), &kind.to_string(), kind.plural())).await.unwrap() {
            object["kind"] = json!(kind);
            found.extend(Subject::of(&object).filter(|_| label(&object, labels::REVISION) == Some(revision)));
        }
    }
    found
}

async fn deploy_all(client: &Client, labelled: Vec<Subject>, revision: &Revision) {
    let deploys = futures::stream::iter(&labelled).map(|subject| deploy(client, subject, revision));
    let outcomes: Vec<Result<Deployed>> = deploys.buffer_unordered(AT_A_TIME).collect().await;
    let mut counts: BTreeMap<Deployed, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(deployed) => *counts.entry(deployed).or_default() += 1,
            Err(error) => wrong.push(format!("{error:#}")),
        }
    }
    println!("corpus: deploys {counts:?}, wrong {}", wrong.len());
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), labelled.len(), wrong.join("\n"));
    assert_eq!(counts.get(&Deployed::AsExpected { filled: true }).copied().unwrap_or(0), labelled.len(), "{counts:?}");
}
