//! An upgrade as a user does it: an operator of an older commit leaves what it has built, `helm upgrade` brings the present
//! chart, and the present operator finds everything in place.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use goldenpath::policy::{COMPILER_VERSION, PROOF_SUFFIX};
use goldenpath_e2e::audit::{self, AuditEvent, Mark};
use goldenpath_e2e::chart::{RELEASE, folder, without_paths, without_paths_of};
use goldenpath_e2e::installed::{ACCOUNT, NAMESPACE};
use goldenpath_e2e::programs::Previous;
use goldenpath_e2e::space::PATIENCE;
use goldenpath_e2e::{ControlPlane, Operator, OperatorOptions, Options, wait};
use serde_json::{Value, json};

/// The operator is done when it has written nothing for so long.
const QUIET: Duration = Duration::from_secs(5);
/// Everything that the operator may write, without Events and Leases.
const KINDS: &str = "deployments,statefulsets,daemonsets,cronjobs,services,poddisruptionbudgets,controllerrevisions,\
                     platformservices,goldenpaths,mutatingadmissionpolicies,mutatingadmissionpolicybindings,\
                     validatingadmissionpolicies,validatingadmissionpolicybindings";
const WORKLOADS: [&str; 4] = ["deployments", "statefulsets", "daemonsets", "cronjobs"];

/// The path with a version: pod fields, an object beside each workload, warnings, and two waves.
fn path(version: &str, cpu: &str) -> String {
    let requests = json!({"spec": {"containers": [{"name": "*", "resources": {"requests": {"cpu": cpu}}}]}});
    let budget = json!([{"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "spec": {"maxUnavailable": 1}}]);
    let check =
        "has(variables.template.spec.securityContext) && has(variables.template.spec.securityContext.runAsNonRoot)";
    json!({
        "apiVersion": "goldenpath.dev/v1alpha1", "kind": "GoldenPath", "metadata": {"name": "road"},
        "spec": {
            "version": version,
            "defaultFor": ["Deployment", "StatefulSet"],
            "defaults": [
                {"name": "requests", "podTemplate": requests},
                {"name": "token", "podTemplate": {"spec": {"automountServiceAccountToken": false}}},
                {"name": "budget", "resources": budget},
                {"name": "non-root", "check": check, "hint": "Set runAsNonRoot"},
            ],
            "admission": {"level": "Warn", "namespaceSelector": {"matchLabels": {"env": "prod"}}},
            "rollout": {"waves": [
                {"name": "canary", "namespaceSelector": {"matchLabels": {"env": "dev"}}, "minExercised": 1, "soak": "1s"},
                {"name": "everybody", "percent": 100, "approval": "Required"},
            ]},
        },
    })
    .to_string()
}

fn workload(kind: &str, name: &str, image: &str) -> String {
    let labels = json!({"app": name});
    let mut spec = json!({
        "replicas": 1, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": image}]}},
    });
    if kind == "StatefulSet" {
        spec["serviceName"] = json!(name);
    }
    json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}).to_string()
}

#[allow(clippy::needless_pass_by_value)] // what is written in place is passed on
fn service(name: &str, workloads: Value, more: Value) -> String {
    let mut spec = json!({"goldenPathRef": {"name": "road"}, "workloads": workloads});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"apiVersion": "goldenpath.dev/v1alpha1", "kind": "PlatformService", "metadata": {"name": name}, "spec": spec})
        .to_string()
}

fn adopted(kind: &str, name: &str) -> Value {
    json!([{"name": "app", "ref": {"kind": kind, "name": name}}])
}

/// A cluster with two namespaces, `dev` and `prod`.
struct Cluster {
    control_plane: ControlPlane,
    kubeconfig: PathBuf,
}

impl Cluster {
    /// With the older chart, which brings no path.
    async fn with(previous: &Previous) -> Result<Self> {
        let control_plane = ControlPlane::start(Options::default()).await?;
        for (name, label) in
            [(NAMESPACE, "pod-security.kubernetes.io/enforce: restricted"), ("dev", "env: dev"), ("prod", "env: prod")]
        {
            let meta = format!("{{name: {name}, labels: {{{label}}}}}");
            control_plane.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {meta}}}")).await?;
        }
        let values = without_paths_of(&previous.chart)?;
        control_plane.helm_chart("install", &previous.chart, &values, &[]).await?.success()?;
        wait::until("the kinds of the older chart to be served", PATIENCE, async || {
            control_plane.kubectl(["get", "goldenpaths,platformservices", "-A"]).await.map(Some)
        })
        .await?;
        let kubeconfig = control_plane.as_account(NAMESPACE, ACCOUNT).await?;
        Ok(Self { control_plane, kubeconfig })
    }

    /// Runs an operator: the present one without a program.
    async fn operator(&self, program: Option<PathBuf>) -> Result<Operator> {
        let kubeconfig = self.kubeconfig.clone();
        Operator::start(&self.control_plane, &OperatorOptions { kubeconfig, program, ..Default::default() }).await
    }

    async fn apply(&self, namespace: &str, object: &str) -> Result<()> {
        self.control_plane.kubectl_stdin(["apply", "-n", namespace, "-f", "-"], object).await.map(drop)
    }

    async fn kubectl(&self, words: &str) -> Result<String> {
        self.control_plane.kubectl(words.split(' ')).await
    }

    async fn says(&self, namespace: &str, object: &str, jsonpath: &str, value: &str) -> Result<()> {
        self.control_plane.expect(namespace, object, jsonpath, value).await
    }

    /// What the operator stored since a mark.
    fn writes(&self, mark: Mark) -> Result<Vec<AuditEvent>> {
        let user = audit::account(NAMESPACE, ACCOUNT);
        let mut events = self.control_plane.audit_since(mark)?;
        events.retain(|event| event.user == user && event.is_write_of_objects());
        Ok(events)
    }

    /// Waits until the operator has nothing more to do.
    async fn quiet(&self) -> Result<()> {
        let user = audit::account(NAMESPACE, ACCOUNT);
        let is_its = |event: &AuditEvent| event.user == user && event.is_write_of_objects();
        self.control_plane.is_still(QUIET, PATIENCE, is_its).await
    }

    /// Everything that the operator may write, by `resource/namespace/name`.
    async fn objects(&self) -> Result<BTreeMap<String, Value>> {
        let list: Value = serde_json::from_str(&self.kubectl(&format!("get {KINDS} -A -o json")).await?)?;
        let objects = list["items"].as_array().context("no list")?.iter().map(|object| {
            let (kind, meta) = (object["kind"].as_str().unwrap_or_default().to_lowercase(), &object["metadata"]);
            let plural = kind.strip_suffix('y').map_or_else(|| format!("{kind}s"), |stem| format!("{stem}ies"));
            let text = |name: &str| meta[name].as_str().unwrap_or_default().to_owned();
            let mut object = object.clone();
            object["metadata"].as_object_mut().unwrap().remove("resourceVersion");
            (format!("{plural}/{}/{}", text("namespace"), text("name")), object)
        });
        Ok(objects.collect())
    }

    async fn pods(&self) -> Result<BTreeSet<String>> {
        let mut pods = BTreeSet::new();
        for namespace in ["dev", "prod"] {
            let text = self.kubectl(&format!("get pods -n {namespace} -o jsonpath={{.items[*].metadata.uid}}")).await?;
            pods.extend(text.split(' ').map(ToOwned::to_owned));
        }
        Ok(pods)
    }
}

/// Everything that an operator builds: adopted workloads of two kinds, a service that began on the road, a default that one
/// does without, a workload that is about to leave, and a rollout that waits for somebody.
async fn build(cluster: &Cluster) -> Result<()> {
    cluster.control_plane.golden_path(&path("1", "50m")).await?;
    for (namespace, kind, name) in [
        ("dev", "Deployment", "shop"),
        ("prod", "Deployment", "shop"),
        ("prod", "StatefulSet", "ledger"),
        ("prod", "Deployment", "leaver"),
    ] {
        cluster.apply(namespace, &workload(kind, name, "example.com/a:1")).await?;
        cluster.apply(namespace, &service(name, adopted(kind, name), json!({"deletionPolicy": "Undo"}))).await?;
        cluster.says(namespace, &format!("psvc/{name}"), "{.status.goldenPath.version}", "1").await?;
    }
    let overrides = json!({"overrides": [{"default": "token", "reason": "talks to the API"}]});
    cluster.apply("prod", &service("shop", adopted("Deployment", "shop"), overrides)).await?;
    let templates = json!([
        {"name": "api", "template": {"image": "example.com/cart:1", "port": 8080}},
        {"name": "sweeper", "template": {"image": "example.com/sweeper:1", "schedule": "0 0 1 1 *"}},
    ]);
    cluster.apply("prod", &service("cart", templates, json!({}))).await?;
    wait::until("prod/shop to do without a default", PATIENCE, async || {
        let found = cluster.kubectl("get deployments -n prod -l skip.goldenpath.dev/token -o name").await?;
        Ok((found.trim() == "deployment.apps/shop").then_some(()))
    })
    .await?;
    for (namespace, name) in [("dev", "shop"), ("prod", "shop"), ("prod", "leaver")] {
        cluster.apply(namespace, &workload("Deployment", name, "example.com/a:2")).await?;
    }
    cluster.apply("prod", &workload("StatefulSet", "ledger", "example.com/a:2")).await?;
    let requests = r#"{.status.defaults[?(@.name=="requests")].state}"#;
    for (name, states) in [("shop", "Applied"), ("ledger", "Applied"), ("cart", "Applied Applied")] {
        cluster.says("prod", &format!("psvc/{name}"), requests, states).await?;
    }
    cluster.kubectl("delete psvc leaver -n prod").await?;
    let revision = r"{.metadata.labels.goldenpath\.dev/revision}";
    cluster.says("prod", "deployment/leaver", revision, "road-release").await?;

    cluster.control_plane.golden_path(&path("2", "60m")).await?;
    cluster.says("dev", "psvc/shop", "{.status.goldenPath.version}", "2").await?;
    cluster.apply("dev", &workload("Deployment", "shop", "example.com/a:3")).await?;
    cluster.says("dev", "gp/road", "{.status.rollout.phase}", "AwaitingApproval").await?;
    pruned(cluster).await
}

/// What a change replaced stands beside the new for some seconds, and goes with a later look: that is asked for here.
async fn pruned(cluster: &Cluster) -> Result<()> {
    let revision = r"jsonpath={range .items[*]}{.metadata.labels.goldenpath\.dev/revision} {end}";
    wait::until("one policy a revision, and feedback by one", PATIENCE, async || {
        let fills = ["get", "mutatingadmissionpolicies", "-l", "goldenpath.dev/path", "-o", revision];
        let fills = cluster.control_plane.kubectl(fills).await?;
        let all: Vec<&str> = fills.split_whitespace().collect();
        let feedback = cluster.kubectl("get validatingadmissionpolicies -l goldenpath.dev/path -o name").await?;
        if all.len() == all.iter().collect::<BTreeSet<_>>().len() && feedback.lines().count() == 1 {
            return Ok(Some(()));
        }
        let look = jiff::Timestamp::now().as_millisecond();
        cluster.kubectl(&format!("annotate gp road example.com/look={look} --overwrite")).await?;
        anyhow::bail!("{fills} {feedback}")
    })
    .await
}

/// The present operator with the present chart; it has looked at everything when this returns.
async fn upgrade(cluster: &Cluster) -> Result<Operator> {
    cluster.control_plane.helm_chart("upgrade", &folder(), &without_paths()?, &[]).await?.success()?;
    goldenpath_e2e::install::crds_served(&cluster.control_plane).await?;
    let operator = cluster.operator(None).await?;
    looked_at_everything(&operator).await?;
    cluster.quiet().await?;
    Ok(operator)
}

/// Waits for a pass over each object.
async fn looked_at_everything(operator: &Operator) -> Result<()> {
    wait::until("a pass over each object", PATIENCE, async || {
        let metrics = operator.metrics().await?;
        let passes = |kind: &str| -> u64 {
            let series = format!("goldenpath_reconcile_total{{kind=\"{kind}\",outcome=\"ok\"}} ");
            metrics.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok()).unwrap_or(0)
        };
        let seen = (passes("GoldenPath"), passes("PlatformService"));
        ensure!(seen.0 >= 1 && seen.1 >= 4, "{seen:?}");
        Ok(Some(()))
    })
    .await
}

/// A write is needless when it changes nothing, comes twice, or comes though the output of the compiler is the same.
fn judge(
    what: &str,
    writes: &[AuditEvent],
    before: &BTreeMap<String, Value>,
    after: &BTreeMap<String, Value>,
) -> Result<()> {
    let written_by = before.iter().filter(|(key, _)| key.contains("admissionpolicies/"));
    let compilers: BTreeSet<&str> = written_by
        .filter_map(|(_, policy)| policy["metadata"]["annotations"]["goldenpath.dev/compiler"].as_str())
        .collect();
    ensure!(!compilers.is_empty(), "the older operator has left no policy");
    let same_compiler = compilers.iter().all(|version| *version == COMPILER_VERSION.to_string());
    let mut seen = BTreeSet::new();
    for write in writes {
        let key = format!("{}/{}/{}", write.resource, write.namespace, write.name);
        let what = format!("{} of {key} {}", write.verb, write.subresource);
        ensure!(!WORKLOADS.contains(&write.resource.as_str()), "{what}: an upgrade writes no workload");
        ensure!(
            !(same_compiler && key.contains("admissionpolic")),
            "{what}: compilers {compilers:?} are the present one"
        );
        // a policy that is new is proved with a copy, which comes and goes
        if !same_compiler && write.name.ends_with(PROOF_SUFFIX) {
            continue;
        }
        let uris = || writes.iter().filter(|w| w.name == write.name).map(|w| w.uri.as_str()).collect::<Vec<_>>();
        // the adoption in a path's status has a writer of its own, which merges
        let is_applied = write.uri.contains("force=true");
        let is_first = seen.insert((write.verb.clone(), key.clone(), write.subresource.clone(), is_applied));
        ensure!(is_first, "{what}: a second time: {:?}, {} became {}", uris(), before[&key], after[&key]);
        ensure!(before.get(&key) != after.get(&key), "{what}: nothing has changed by it");
    }
    println!("{what}: compilers {compilers:?} -> {COMPILER_VERSION}, {} writes", writes.len());
    Ok(())
}

/// No generation of a workload differs; each is printed.
fn same_generations(what: &str, before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> Result<()> {
    let is_workload = |key: &&String| {
        WORKLOADS.iter().any(|plural| key.starts_with(&format!("{plural}/"))) && !key.contains(NAMESPACE)
    };
    let keys: Vec<&String> = before.keys().filter(is_workload).collect();
    ensure!(keys.len() >= 6, "{:?}", before.keys());
    for key in keys {
        let generation = |objects: &BTreeMap<String, Value>| objects[key]["metadata"]["generation"].clone();
        println!("{what}: {key}: generation {} before, {} after", generation(before), generation(after));
        ensure!(generation(before) == generation(after), "{key}: {} {}", before[key], after[key]);
    }
    Ok(())
}

/// `helm rollback` while a wave waits: the older operator reads what the present one has stored, and then that one is back.
async fn there_and_back(
    cluster: &Cluster,
    previous: &Previous,
    mut operator: Operator,
    before: BTreeMap<String, Value>,
) -> Result<Operator> {
    operator.terminate().await?;
    let mark = cluster.control_plane.audit_mark()?;
    cluster.control_plane.helm(["rollback", RELEASE, "1", "-n", NAMESPACE]).await?;
    let mut older = cluster.operator(Some(previous.program.clone())).await?;
    looked_at_everything(&older).await?;
    cluster.quiet().await?;
    older.terminate().await?;
    let rolled_back = cluster.objects().await?;
    same_generations("rollback", &before, &rolled_back)?;
    judge("rollback", &cluster.writes(mark)?, &before, &rolled_back)?;

    let mark = cluster.control_plane.audit_mark()?;
    let operator = upgrade(cluster).await?;
    let after = cluster.objects().await?;
    same_generations("upgrade again", &rolled_back, &after)?;
    // what the older one could not take for ready comes right in more than one look, and its own policies may go by now
    let is_older = |name: &str| {
        rolled_back.iter().filter(|(key, _)| key.ends_with(&format!("/{name}"))).any(|(_, policy)| {
            let compiler = policy["metadata"]["annotations"]["goldenpath.dev/compiler"].as_str();
            compiler.is_some_and(|compiler| compiler != COMPILER_VERSION.to_string())
        })
    };
    let writes = cluster.writes(mark)?;
    println!("upgrade again: {} writes", writes.len());
    for write in &writes {
        let is_needed = write.subresource == "status" || (write.verb == "delete" && is_older(&write.name));
        ensure!(is_needed, "{write:?}");
    }
    cluster.says("dev", "gp/road", "{.status.conditions[?(@.type==\"Ready\")].reason}", "Ready").await?;
    Ok(operator)
}

#[tokio::test]
async fn an_upgrade_changes_no_workload_and_writes_nothing_that_stands() -> Result<()> {
    let previous = Previous::find()?;
    let cluster = Cluster::with(&previous).await?;
    let mut older = cluster.operator(Some(previous.program.clone())).await?;
    ensure!(older.metrics().await?.contains(&previous.commit), "the operator is not of {}", previous.commit);
    build(&cluster).await?;
    cluster.quiet().await?;
    older.terminate().await?;

    let (before, pods, mark) = (cluster.objects().await?, cluster.pods().await?, cluster.control_plane.audit_mark()?);
    let operator = upgrade(&cluster).await?;
    let after = cluster.objects().await?;
    same_generations("upgrade", &before, &after)?;
    judge("upgrade", &cluster.writes(mark)?, &before, &after)?;
    ensure!(pods.len() == 5 && pods == cluster.pods().await?, "pods restarted: {pods:?}");
    let operator = there_and_back(&cluster, &previous, operator, after).await?;
    ensure!(pods == cluster.pods().await?, "pods restarted: {pods:?}");
    // an older one that takes a path for not ready forgets who has rolled out: the wave waits for that once more
    cluster.apply("dev", &workload("Deployment", "shop", "example.com/a:4")).await?;
    cluster.says("dev", "gp/road", "{.status.rollout.phase}", "AwaitingApproval").await?;

    // and it works: what waited goes on, what left has left, what is new is adopted
    let revision = cluster.kubectl("get gp road -o jsonpath={.status.currentRevision}").await?;
    let promote = json!({"spec": {"rollout": {"promote": {"revision": revision, "wave": "everybody"}}}}).to_string();
    cluster.control_plane.kubectl(["patch", "gp", "road", "--type=merge", "-p", &promote]).await?;
    for name in ["shop", "ledger", "cart"] {
        cluster.says("prod", &format!("psvc/{name}"), "{.status.goldenPath.version}", "2").await?;
    }
    cluster.apply("prod", &workload("Deployment", "leaver", "example.com/a:3")).await?;
    cluster.says("prod", "deployment/leaver", r"{.metadata.labels.goldenpath\.dev/path}", "").await?;
    let cpu = "{.spec.template.spec.containers[0].resources.requests.cpu}";
    cluster.says("prod", "deployment/leaver", cpu, "").await?;
    cluster.apply("prod", &workload("Deployment", "shop", "example.com/a:4")).await?;
    cluster.says("prod", "deployment/shop", cpu, "60m").await?;
    drop(operator);
    Ok(())
}
