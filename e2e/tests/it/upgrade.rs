//! An upgrade as a user does it: an operator of an older commit leaves what it has built, `helm upgrade` brings the present
//! chart, and the present operator finds everything in place. At the end all of it is uninstalled, as docs/uninstall.md says.
//!
//! Replicas are elected and overlap, as in a rolling update.

mod cluster;
mod gone;

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use goldenpath::plan::claim;
use goldenpath::policy::{COMPILER_VERSION, PROOF_SUFFIX};
use goldenpath_e2e::audit::AuditEvent;
use goldenpath_e2e::installed::NAMESPACE;
use goldenpath_e2e::programs::Previous;
use goldenpath_e2e::space::PATIENCE;
use goldenpath_e2e::{Operator, concurrency, replicas, wait};
use serde_json::{Value, json};

use cluster::{Cluster, Objects};

const WORKLOADS: [&str; 4] = ["deployments", "statefulsets", "daemonsets", "cronjobs"];

/// The path with a version: pod fields, an object beside each workload, warnings, and three waves, of which the second waits for
/// somebody and soaks long enough for a rolling update.
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
                {"name": "few", "tiers": ["Critical"], "approval": "Required", "minExercised": 1, "soak": "20s"},
                {"name": "everybody", "percent": 100},
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

const DEPRECATION: &str = "stateful";

/// A Deprecation that warns, with one consumer: the workload of a service.
fn deprecation() -> Value {
    json!({
        "apiVersion": "goldenpath.dev/v1alpha1", "kind": "Deprecation", "metadata": {"name": DEPRECATION},
        "spec": {
            "title": "Databases of their own",
            "matches": [{
                "name": "ledger", "resourceRules": [{"apiGroups": ["apps"], "resources": ["statefulsets"]}],
                "expression": "object.metadata.name == 'ledger'",
            }],
            "timeline": {"warnAt": "2026-01-01T00:00:00Z", "blockCreateAt": "2099-01-01T00:00:00Z"},
            "gates": {"replacementStage": "None", "requireObjectiveMet": false, "minReplacementAdopters": 0, "minNotice": "1s"},
        },
    })
}

/// Everything that an operator builds: adopted workloads of two kinds, a service that began on the road, a default that one
/// does without, a workload that is about to leave, a Deprecation that warns, and a rollout that waits for somebody.
async fn build(cluster: &Cluster) -> Result<()> {
    cluster.control_plane.golden_path(&path("1", "50m")).await?;
    for (namespace, kind, name) in [
        ("dev", "Deployment", "shop"),
        ("prod", "Deployment", "shop"),
        ("prod", "StatefulSet", "ledger"),
        ("prod", "Deployment", "leaver"),
    ] {
        cluster.apply(namespace, &workload(kind, name, "example.com/a:1")).await?;
        let tier = if name == "ledger" { "Critical" } else { "Standard" };
        let more = json!({"deletionPolicy": "Undo", "tier": tier});
        cluster.apply(namespace, &service(name, adopted(kind, name), more)).await?;
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

    cluster.control_plane.apply(&deprecation().to_string()).await?;
    let deprecation = format!("deprecation/{DEPRECATION}");
    cluster.says("dev", &deprecation, "{.status.stage} {.status.consumers.remaining}", "Warning 1").await?;
    cluster.says("dev", &deprecation, "{.status.conditions[?(@.type==\"Enforced\")].reason}", "Enforced").await?;

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

/// A write is needless when it changes nothing, comes twice, or comes though the output of the compiler is the same.
fn judge(what: &str, writes: &[AuditEvent], before: &Objects, after: &Objects) -> Result<()> {
    let written_by = before.iter().filter(|(key, _)| key.contains("admissionpolicies/"));
    let compilers: BTreeSet<&str> = written_by
        .filter_map(|(_, policy)| policy["metadata"]["annotations"]["goldenpath.dev/compiler"].as_str())
        .collect();
    ensure!(!compilers.is_empty(), "the older operator has left no policy");
    let same_compiler = compilers.iter().all(|version| *version == COMPILER_VERSION.to_string());
    let mut seen = BTreeSet::new();
    // whoever leads claims it, once a term; an older operator knows no claim
    for write in writes.iter().filter(|write| write.name != claim::NAME) {
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
        println!("{what}: {}", differs(&before[&key], &after[&key]));
    }
    println!("{what}: compilers {compilers:?} -> {COMPILER_VERSION}, {} writes", writes.len());
    Ok(())
}

/// No generation of a workload differs; each is printed.
fn same_generations(what: &str, before: &Objects, after: &Objects) -> Result<()> {
    let is_workload = |key: &&String| {
        WORKLOADS.iter().any(|plural| key.starts_with(&format!("{plural}/"))) && !key.contains(NAMESPACE)
    };
    let keys: Vec<&String> = before.keys().filter(is_workload).collect();
    ensure!(keys.len() >= 6, "{:?}", before.keys());
    for key in keys {
        let generation = |objects: &Objects| objects[key]["metadata"]["generation"].clone();
        println!("{what}: {key}: generation {} before, {} after", generation(before), generation(after));
        ensure!(generation(before) == generation(after), "{key}: {} {}", before[key], after[key]);
    }
    Ok(())
}

/// The fields that are not the same in both.
fn differs(before: &Value, after: &Value) -> String {
    fn below(at: &str, before: &Value, after: &Value, found: &mut Vec<String>) {
        match (before, after) {
            _ if before == after => {}
            (Value::Object(a), Value::Object(b)) => {
                for name in a.keys().chain(b.keys().filter(|name| !a.contains_key(*name))) {
                    let of = |all: &serde_json::Map<String, Value>| all.get(name).cloned().unwrap_or_default();
                    below(&format!("{at}.{name}"), &of(a), &of(b), found);
                }
            }
            _ => found.push(format!("{at}: {before} -> {after}")),
        }
    }
    let mut found = Vec::new();
    let strip = |object: &Value| {
        let mut object = object.clone();
        object["metadata"].as_object_mut().unwrap().remove("managedFields");
        object
    };
    below("", &strip(before), &strip(after), &mut found);
    found.join(", ")
}

/// A stage and all that is counted stand as they are, and the API server goes on to warn.
async fn warns_as_before(cluster: &Cluster, before: &Objects, after: &Objects) -> Result<()> {
    let key = format!("deprecations//{DEPRECATION}");
    for field in ["stage", "stages", "consumers", "matches", "next"] {
        let status = |objects: &Objects| objects[&key]["status"][field].clone();
        ensure!(status(before) == status(after), "{field}: {} became {}", before[&key], after[&key]);
    }
    let policies = |objects: &Objects| {
        let of_it = objects.iter().filter(|(key, object)| {
            key.starts_with("validatingadmissionpolic")
                && object["metadata"]["labels"]["goldenpath.dev/deprecation"] == DEPRECATION
        });
        of_it.map(|(key, object)| (key.clone(), object.clone())).collect::<Objects>()
    };
    ensure!(policies(before).len() == 2 && policies(before) == policies(after), "{:#?}", policies(after));
    let replace = ["apply", "-n", "prod", "--dry-run=server", "-f", "-"];
    let changed = workload("StatefulSet", "ledger", "example.com/a:9");
    let said = cluster.control_plane.kubectl_output(replace, &changed).await?;
    ensure!(said.status.success() && said.stderr.contains("is deprecated: Databases of their own"), "{}", said.stderr);
    Ok(())
}

/// What changed hands, from what was there: no generation, no needless write, no other pods.
struct Judged<'a> {
    cluster: &'a Cluster,
    objects: Objects,
    pods: BTreeSet<String>,
}

impl<'a> Judged<'a> {
    async fn begin(cluster: &'a Cluster) -> Result<Self> {
        Ok(Self { cluster, objects: cluster.objects().await?, pods: cluster.pods().await? })
    }

    /// Of everything since a mark; goes on from there.
    async fn goes_on(self, what: &str, writes: &[AuditEvent]) -> Result<Self> {
        let after = Self::begin(self.cluster).await?;
        same_generations(what, &self.objects, &after.objects)?;
        judge(what, writes, &self.objects, &after.objects)?;
        warns_as_before(self.cluster, &self.objects, &after.objects).await?;
        ensure!(self.pods == after.pods && self.pods.len() == 5, "{what}: pods restarted: {:?}", self.pods);
        Ok(after)
    }
}

/// Services move to the second version, some by the older operator and, after a soak in the middle of which the replicas change,
/// the others by the present one.
async fn a_wave_moves_meanwhile(cluster: &Cluster, older: Operator) -> Result<Operator> {
    let revision = cluster.kubectl("get gp road -o jsonpath={.status.currentRevision}").await?;
    let promote = json!({"spec": {"rollout": {"promote": {"revision": revision, "wave": "few"}}}}).to_string();
    cluster.control_plane.kubectl(["patch", "gp", "road", "--type=merge", "-p", &promote]).await?;
    cluster.says("prod", "psvc/ledger", "{.status.goldenPath.version}", "2").await?;
    cluster.apply("prod", &workload("StatefulSet", "ledger", "example.com/a:3")).await?;
    cluster.says("dev", "gp/road", "{.status.rollout.phase} {.status.rollout.wave}", "Soaking few").await?;

    let (before, mark) = (Judged::begin(cluster).await?, cluster.control_plane.audit_mark()?);
    let operator = cluster.upgrade(older, "present-2").await?;
    for name in ["shop", "cart"] {
        cluster.says("prod", &format!("psvc/{name}"), "{.status.goldenPath.version}", "2").await?;
    }
    cluster.quiet().await?;
    let after = Judged::begin(cluster).await?;
    same_generations("in a wave", &before.objects, &after.objects)?;
    ensure!(before.pods == after.pods, "pods restarted: {:?}", before.pods);
    let mut once = BTreeSet::new();
    for (replica, write) in replicas::writes(&cluster.control_plane, mark)? {
        let is_meant = write.is_write_of_objects() && write.subresource != "status" && write.name != claim::NAME;
        if is_meant {
            println!("in a wave: {replica}: {} of {}/{}", write.verb, write.resource, write.name);
            let what = format!("{} {}/{}", write.verb, write.resource, write.name);
            ensure!(once.insert(what.clone()), "{what}: a second time, by {replica}");
        }
    }
    let is_workload = |what: &&String| WORKLOADS.iter().any(|plural| what.contains(&format!(" {plural}/")));
    let moved: Vec<&String> = once.iter().filter(is_workload).collect();
    let expected = ["patch cronjobs/cart-sweeper", "patch deployments/cart-api", "patch deployments/shop"];
    ensure!(moved == expected, "{moved:?}");
    Ok(operator)
}

#[tokio::test]
async fn an_upgrade_changes_no_workload_and_writes_nothing_that_stands() -> Result<()> {
    concurrency::among_few().await; // a leader that is not served for 3 s ends
    let previous = Previous::find()?;
    let cluster = Cluster::with(&previous).await?;
    let began = cluster.control_plane.audit_mark()?;
    let older = cluster.replica("older-1", Some(&previous)).await?;
    ensure!(older.metrics().await?.contains(&previous.commit), "the operator is not of {}", previous.commit);
    build(&cluster).await?;
    cluster.quiet().await?;

    let (judged, mark) = (Judged::begin(&cluster).await?, cluster.control_plane.audit_mark()?);
    let operator = cluster.upgrade(older, "present-1").await?;
    let judged = judged.goes_on("upgrade", &cluster.writes(mark)?).await?;

    // while a wave waits the older operator reads what the present one has stored
    let mark = cluster.control_plane.audit_mark()?;
    let older = cluster.roll_back(operator, "older-2", &previous).await?;
    judged.goes_on("rollback", &cluster.writes(mark)?).await?;
    cluster.says("dev", "gp/road", "{.status.rollout.phase}", "AwaitingApproval").await?;

    let operator = a_wave_moves_meanwhile(&cluster, older).await?;
    replicas::one_at_a_time(&cluster.control_plane, began)?;
    cluster.says("dev", "gp/road", "{.status.conditions[?(@.type==\"Ready\")].reason}", "Ready").await?;

    // and it works: what left has left, what is new is adopted
    cluster.apply("prod", &workload("Deployment", "leaver", "example.com/a:3")).await?;
    cluster.says("prod", "deployment/leaver", r"{.metadata.labels.goldenpath\.dev/path}", "").await?;
    let cpu = "{.spec.template.spec.containers[0].resources.requests.cpu}";
    cluster.says("prod", "deployment/leaver", cpu, "").await?;
    cluster.apply("prod", &workload("Deployment", "shop", "example.com/a:4")).await?;
    cluster.says("prod", "deployment/shop", cpu, "60m").await?;
    gone::is_uninstalled(&cluster, operator).await
}
