//! Verdicts on real workloads against `facts.py`, which reads the same YAML and shares no code with us.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use goldenpath::api::{PlatformService, State, VerdictState, WorkloadKind};
use goldenpath_e2e::{ControlPlane, CorpusFile, Options, corpus, wait};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

/// A fact of a workload, and the check that does not hold exactly where the fact is one.
struct Fact {
    name: &'static str,
    check: &'static str,
    /// The fact in a line of `facts.py --workloads`.
    told: fn(&Value) -> bool,
}

macro_rules! of_containers {
    ($($name:literal $fact:literal $check:expr;)*) => { [$(Fact {
        name: $name,
        check: $check,
        told: |line| line["containers"].as_object().is_some_and(|all| all.values().any(|c| c[$fact] == true)),
    }),*] };
}

macro_rules! of_workloads {
    ($($name:literal $fact:literal $check:expr;)*) => { [$(Fact {
        name: $name,
        check: $check,
        told: |line| line[$fact] == true || line[$fact].as_u64().is_some_and(|n| n > 0),
    }),*] };
}

/// All that a check can see. Autoscalers and disruption budgets are objects of their own.
fn facts() -> Vec<Fact> {
    let containers = of_containers! {
        "cpu-request" "noCpuRequest" "variables.template.spec.containers.all(c, has(c.resources) && has(c.resources.requests) && 'cpu' in c.resources.requests)";
        "memory-request" "noMemoryRequest" "variables.template.spec.containers.all(c, has(c.resources) && has(c.resources.requests) && 'memory' in c.resources.requests)";
        "some-request" "noRequest" "variables.template.spec.containers.all(c, has(c.resources) && has(c.resources.requests) && ('cpu' in c.resources.requests || 'memory' in c.resources.requests))";
        "request-or-limit" "noRequestNorLimit" "variables.template.spec.containers.all(c, has(c.resources) && (has(c.resources.requests) && ('cpu' in c.resources.requests || 'memory' in c.resources.requests) || has(c.resources.limits) && ('cpu' in c.resources.limits || 'memory' in c.resources.limits)))";
        "memory-limit" "noMemoryLimit" "variables.template.spec.containers.all(c, has(c.resources) && has(c.resources.limits) && 'memory' in c.resources.limits)";
        "non-root" "notRunAsNonRoot" "variables.template.spec.containers.all(c, has(c.securityContext) && has(c.securityContext.runAsNonRoot) ? c.securityContext.runAsNonRoot : has(variables.template.spec.securityContext) && has(variables.template.spec.securityContext.runAsNonRoot) && variables.template.spec.securityContext.runAsNonRoot)";
        "readiness" "noReadiness" "object.kind == 'CronJob' || variables.template.spec.containers.all(c, has(c.readinessProbe))";
        "liveness" "noLiveness" "object.kind == 'CronJob' || variables.template.spec.containers.all(c, has(c.livenessProbe))";
        "probe" "noProbe" "object.kind == 'CronJob' || variables.template.spec.containers.all(c, has(c.readinessProbe) || has(c.livenessProbe) || has(c.startupProbe))";
        "image-tag" "latestOrNoTag" "variables.template.spec.containers.all(c, c.image.contains('@') || c.image.matches('^([^/]*/)*[^/:]+:[^/]+$') && !c.image.endsWith(':latest'))";
        "not-privileged" "privileged" "variables.template.spec.containers.all(c, !(has(c.securityContext) && has(c.securityContext.privileged) && c.securityContext.privileged))";
    };
    let workloads = of_workloads! {
        "init-image-tag" "initLatestOrNoTag" "!has(variables.template.spec.initContainers) || variables.template.spec.initContainers.all(c, c.image.contains('@') || c.image.matches('^([^/]*/)*[^/:]+:[^/]+$') && !c.image.endsWith(':latest'))";
        "host-network" "hostNetwork" "!has(variables.template.spec.hostNetwork) || !variables.template.spec.hostNetwork";
        "host-pid" "hostPid" "!has(variables.template.spec.hostPID) || !variables.template.spec.hostPID";
        "host-ipc" "hostIpc" "!has(variables.template.spec.hostIPC) || !variables.template.spec.hostIPC";
        "replicas" "singleReplica" "object.kind == 'CronJob' || object.kind == 'DaemonSet' || object.spec.replicas != 1";
        "scaled-to-zero" "zeroReplicas" "object.kind == 'CronJob' || object.kind == 'DaemonSet' || object.spec.replicas != 0";
    };
    containers.into_iter().chain(workloads).collect()
}

fn path() -> Value {
    let defaults: Vec<Value> = facts().iter().map(|fact| json!({"name": fact.name, "check": fact.check})).collect();
    json!({
        "apiVersion": "goldenpath.dev/v1alpha1", "kind": "GoldenPath", "metadata": {"name": "facts"},
        "spec": {"defaultFor": WorkloadKind::ALL, "defaults": defaults},
    })
}

type Key = (String, String, String);

/// What `facts.py` counts, workload by workload; Jobs are nobody's to adopt.
fn told(files: &[CorpusFile]) -> Result<BTreeMap<Key, Value>> {
    let folder = files.first().and_then(|file| file.path.parent()).context("no corpus")?;
    let output = Command::new("python3").arg(folder.join("facts.py")).arg("--workloads").output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "facts.py needs python3 with PyYAML: {errors}");
    let lines = String::from_utf8(output.stdout)?;
    let lines = lines.lines().map(serde_json::from_str::<Value>).collect::<Result<Vec<_>, _>>()?;
    let key =
        |line: &Value| ["kind", "namespace", "name"].map(|field| line[field].as_str().unwrap_or_default().to_owned());
    let lines = lines.into_iter().filter(|line| line["kind"] != "Job");
    Ok(lines.map(|line| (key(&line).into(), line)).collect())
}

/// Namespaces and workloads as they are written. Jobs of CronJobs would only take time.
fn documents(files: &[CorpusFile]) -> Vec<Value> {
    let mut documents: Vec<Value> = files.iter().flat_map(|file| file.documents.clone()).collect();
    documents.retain(|d| d["kind"] == "Namespace" || serde_json::from_value::<WorkloadKind>(d["kind"].clone()).is_ok());
    for document in documents.iter_mut().filter(|document| document["kind"] == "CronJob") {
        document["spec"]["suspend"] = json!(true);
    }
    documents
}

fn service(number: usize, (kind, namespace, name): &Key) -> Value {
    json!({
        "apiVersion": "goldenpath.dev/v1alpha1", "kind": "PlatformService",
        "metadata": {"name": format!("corpus-{number}"), "namespace": namespace},
        "spec": {"mode": "Observe", "workloads": [{"name": "app", "ref": {"kind": kind, "name": name}}]},
    })
}

fn key_of(service: &PlatformService) -> Key {
    let reference = service.spec.workloads[0].target("");
    (reference.kind.to_string(), service.namespace().unwrap_or_default(), reference.name)
}

/// The verdicts of every service, by workload.
async fn verdicts(control_plane: &ControlPlane, count: usize) -> Result<BTreeMap<Key, BTreeMap<String, VerdictState>>> {
    let api: Api<PlatformService> = Api::all(control_plane.client().await?);
    wait::until("every service to be observed", Duration::from_mins(2), async || {
        let mut found = BTreeMap::new();
        for service in api.list(&ListParams::default()).await?.items {
            let status = service.status.clone().unwrap_or_default();
            let seen = status.adoption.is_some_and(|adoption| adoption.state != State::NotStarted);
            if seen {
                let verdicts = status.defaults.into_iter().map(|default| (default.name, default.state)).collect();
                found.insert(key_of(&service), verdicts);
            }
        }
        ensure!(found.len() == count, "{} of {count}", found.len());
        Ok(Some(found))
    })
    .await
}

#[tokio::test]
async fn verdicts_on_real_workloads_equal_an_independent_recount() {
    let files = corpus().unwrap();
    if files.is_empty() {
        println!("fleet: SKIPPED, there is no corpus beside this checkout");
        return;
    }
    let told = told(&files).unwrap();
    let control_plane = ControlPlane::start(Options { nodes: 0, ..Options::default() }).await.unwrap();
    let kubeconfig = control_plane.install_goldenpath().await.unwrap();
    let list = |items: &[Value]| json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    control_plane.apply(&list(&documents(&files))).await.unwrap();
    let operator = control_plane.start_operator(kubeconfig).await.unwrap();
    control_plane.golden_path(&path().to_string()).await.unwrap();
    let adoptable: Vec<&Key> = told.keys().filter(|(_, namespace, _)| namespace != "kube-system").collect();
    let services: Vec<Value> = adoptable.iter().enumerate().map(|(n, key)| service(n, key)).collect();
    control_plane.apply(&list(&services)).await.unwrap();

    let verdicts = verdicts(&control_plane, adoptable.len()).await.unwrap();
    let (mut compared, mut wrong) = (0, Vec::new());
    for key in &adoptable {
        for fact in facts() {
            let missing = verdicts[*key].get(fact.name) == Some(&VerdictState::Missing);
            let expected = (fact.told)(&told[*key]);
            compared += 1;
            if missing != expected {
                wrong.push(format!("{key:?} {}: we say {missing}, facts.py says {expected}", fact.name));
            }
        }
    }
    println!(
        "fleet: {} workloads, {compared} verdicts compared with facts.py, {} differ",
        adoptable.len(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_sizes(&operator.metrics().await.unwrap(), &told);
}

/// The fleet has every workload, by kind; the chart has brought one Deployment more, the operator's own.
fn assert_sizes(metrics: &str, told: &BTreeMap<Key, Value>) {
    for kind in WorkloadKind::ALL {
        let own = usize::from(kind == WorkloadKind::Deployment);
        let expected = told.keys().filter(|(of, ..)| *of == kind.to_string()).count() + own;
        let line = format!("goldenpath_fleet_workloads{{kind=\"{kind}\"}} {expected}");
        assert!(metrics.lines().any(|seen| seen == line), "no line {line} in\n{metrics}");
    }
}
