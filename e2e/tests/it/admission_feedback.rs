//! What the API server says by itself while a workload is being written, where a path asks for it.

mod agreement;
mod kinds;
mod life;
mod paths;
mod refusals;
mod warnings;

use std::time::Duration;

use anyhow::ensure;
use goldenpath::api::WorkloadKind;
use goldenpath_e2e::{ControlPlane, Operator, Options, concurrency, wait};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

const TIMEOUT: Duration = Duration::from_mins(2);
/// Two checks, and one default that has none.
const DEFAULTS: &str = r#"
  - name: requests
    podTemplate: {spec: {containers: [{name: "*", resources: {requests: {memory: 64Mi}}}]}}
    check: variables.template.spec.containers.all(c, c.?resources.?requests.?memory.hasValue())
    hint: Set resources.requests.memory on every container.
    reason: A pod without is the first to be evicted.
  - name: links
    podTemplate: {spec: {enableServiceLinks: false}}
  - name: grace
    check: variables.template.spec.terminationGracePeriodSeconds <= 60
    hint: Set terminationGracePeriodSeconds to 60 or less.
"#;
/// What is said of the first check, behind what the API server puts before it.
const REQUESTS: &str = "default requests: Set resources.requests.memory on every container; \
                        why: A pod without is the first to be evicted";
const GRACE: &str = "default grace: Set terminationGracePeriodSeconds to 60 or less";
/// What a warning adds as long as nobody has adopted the workload.
const FILLS: &str = "the path fills by itself, once a PlatformService names it: requests";
const HELP: &str = "docs: https://docs.example.com/web; ask platform at #paved-road";

/// A control plane of its own, since a kind can be the default of one path alone; its stories take turns.
struct Road {
    control_plane: ControlPlane,
    operator: Operator,
}

/// The turn of one story, and a namespace that its path selects: nothing of earlier stories is left, or in force.
async fn turn() -> (MutexGuard<'static, Road>, String) {
    static ROAD: OnceCell<Result<Mutex<Road>, String>> = OnceCell::const_new();
    let start = async || {
        let control_plane = ControlPlane::start(Options::default()).await?;
        let kubeconfig = control_plane.install_goldenpath().await?;
        let operator = control_plane.start_operator(kubeconfig).await?;
        Ok(Mutex::new(Road { control_plane, operator }))
    };
    let mut road = concurrency::shared(&ROAD, start).await.unwrap().lock().await;
    if !road.operator.is_alive() {
        road.restarts_the_operator().await;
    }
    road.control_plane.kubectl(["delete", "goldenpaths", "--all"]).await.unwrap();
    road.has_no_feedback().await;
    let namespace = road.control_plane.namespace_with("told", &[("feedback", "on")]).await.unwrap();
    road.is_silent(&namespace).await;
    (road, namespace)
}

/// How a command ended, and what it said beside its output.
#[derive(Debug)]
struct Said {
    succeeded: bool,
    /// Standard error, a line each
    lines: Vec<String>,
}

impl Said {
    fn nothing(&self) -> bool {
        self.succeeded && self.lines.is_empty()
    }

    /// The warnings, from behind the names of policy and binding.
    fn warnings(&self) -> Vec<&str> {
        let ours = "Warning: Validation failed for ValidatingAdmissionPolicy 'goldenpath-";
        self.lines.iter().filter_map(|line| line.strip_prefix(ours)?.split("': ").nth(1)).collect()
    }

    fn warns_of(&self, words: &str) -> bool {
        self.warnings().iter().any(|warning| warning.contains(words))
    }

    /// The refusal, from behind the names of policy and binding.
    fn refusal(&self) -> Option<&str> {
        self.lines.iter().find_map(|line| line.split("denied request: ").nth(1))
    }
}

impl Road {
    async fn restarts_the_operator(&mut self) {
        let kubeconfig = self.control_plane.install_goldenpath().await.unwrap();
        self.operator = self.control_plane.start_operator(kubeconfig).await.unwrap();
    }

    /// Puts the path `web` with [`DEFAULTS`] in force, for a new workload of its first kind in `namespace` too.
    async fn path(&self, level: &str, kinds: &[WorkloadKind], namespace: &str) {
        self.control_plane.golden_path(&path(level, kinds, DEFAULTS, "")).await.unwrap();
        self.speaks(kinds[0], namespace).await;
    }

    /// Waits until something is said about a workload without requests: a policy takes about a second to be in force.
    async fn speaks(&self, kind: WorkloadKind, namespace: &str) {
        let probe = workload(kind, "not-there");
        wait::until("feedback to be in force", TIMEOUT, async || {
            let said = self.writes(&["create", "--dry-run=server", "-n", namespace], &probe).await;
            let text = said.lines.join("\n");
            ensure!(text.contains("default requests"), "{text}");
            Ok(Some(()))
        })
        .await
        .unwrap();
    }

    /// Waits until nothing is said about workloads of any kind: a deleted policy acts for a second.
    async fn is_silent(&self, namespace: &str) {
        for kind in WorkloadKind::ALL {
            wait::until("silence", TIMEOUT, async || {
                let create = ["create", "--dry-run=server", "-n", namespace];
                let said = self.writes(&create, &workload(kind, "not-there")).await;
                ensure!(said.nothing(), "{said:?}");
                Ok(Some(()))
            })
            .await
            .unwrap();
        }
    }

    /// Waits until there is no feedback policy and no binding of one, of whatever path.
    async fn has_no_feedback(&self) {
        wait::until("the feedback to be gone", TIMEOUT, async || {
            let left = self.feedback().await;
            ensure!(left.is_empty(), "{left:?}");
            Ok(Some(()))
        })
        .await
        .unwrap();
    }

    /// Names of the feedback policies and of their bindings.
    async fn feedback(&self) -> Vec<String> {
        let kinds = "validatingadmissionpolicies,validatingadmissionpolicybindings";
        let query = "jsonpath={range .items[*]}{.metadata.name}{\"\\n\"}{end}";
        let text = self.control_plane.kubectl(["get", kinds, "-l", "goldenpath.dev/path", "-o", query]).await.unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// The live policies.
    async fn policies(&self) -> Vec<Value> {
        let get = ["get", "validatingadmissionpolicies", "-l", "goldenpath.dev/path", "-o", "json"];
        let list: Value = serde_json::from_str(&self.control_plane.kubectl(get).await.unwrap()).unwrap();
        list["items"].as_array().unwrap().clone()
    }

    /// Runs kubectl with an object as its input.
    async fn writes(&self, words: &[&str], object: &Value) -> Said {
        let words = words.iter().copied().chain(["-f", "-"]);
        self.said(words, &object.to_string()).await
    }

    /// Runs kubectl.
    async fn does(&self, words: &[&str]) -> Said {
        self.said(words.iter().copied(), "").await
    }

    async fn said(&self, words: impl Iterator<Item = &str>, input: &str) -> Said {
        let output = self.control_plane.kubectl_output(words, input).await.unwrap();
        Said { succeeded: output.status.success(), lines: output.stderr.lines().map(str::to_owned).collect() }
    }

    /// Waits for the condition Ready of path `web` to have a reason; the answer is its message.
    async fn ready(&self, reason: &str) -> String {
        wait::until(&format!("GoldenPath web to be {reason}"), TIMEOUT, async || {
            let text = self.control_plane.kubectl(["get", "goldenpath", "web", "-o", "json"]).await?;
            let live: Value = serde_json::from_str(&text)?;
            let ready = &live["status"]["conditions"][0];
            ensure!(ready["observedGeneration"] == live["metadata"]["generation"], "{ready}");
            ensure!(ready["reason"] == *reason, "{ready}");
            Ok(ready["message"].as_str().map(str::to_owned))
        })
        .await
        .unwrap()
    }
}

/// The path `web`: YAML, with `more` in its `admission`.
fn path(level: &str, kinds: &[WorkloadKind], defaults: &str, more: &str) -> String {
    let kinds: Vec<String> = kinds.iter().map(ToString::to_string).collect();
    format!(
        "apiVersion: goldenpath.dev/v1alpha1
kind: GoldenPath
metadata: {{name: web}}
spec:
  defaultFor: [{}]
  owner: {{team: platform, contact: '#paved-road', docsURL: 'https://docs.example.com/web'}}
  admission: {{level: '{level}', namespaceSelector: {{matchLabels: {{feedback: 'on'}}}}{more}}}
  defaults: {defaults}",
        kinds.join(", ")
    )
}

/// A workload that satisfies none of [`DEFAULTS`], and has no pods.
fn workload(kind: WorkloadKind, name: &str) -> Value {
    let labels = json!({"app": name});
    let selector = json!({"matchLabels": labels});
    let pod = json!({
        "terminationGracePeriodSeconds": 300,
        "nodeSelector": {"no": "node"},
        "containers": [{"name": "app", "image": "example.com/app:1"}],
    });
    let mut template = json!({"metadata": {"labels": labels}, "spec": pod});
    let spec = match kind {
        WorkloadKind::Deployment => json!({"replicas": 0, "selector": selector, "template": template}),
        WorkloadKind::StatefulSet => {
            json!({"replicas": 0, "serviceName": name, "selector": selector, "template": template})
        }
        WorkloadKind::DaemonSet => json!({"selector": selector, "template": template}),
        WorkloadKind::CronJob => {
            template["spec"]["restartPolicy"] = json!("OnFailure");
            json!({"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": template}}})
        }
    };
    json!({"apiVersion": kind.api_version(), "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// The pod spec of a workload.
fn pod(workload: &mut Value) -> &mut Value {
    let kind: WorkloadKind = serde_json::from_value(workload["kind"].clone()).unwrap();
    let template = kind.template_path().iter().fold(workload, |at, name| &mut at[*name]);
    &mut template["spec"]
}

/// The same workload with requests.
fn with_requests(workload: &Value) -> Value {
    let mut workload = workload.clone();
    pod(&mut workload)["containers"][0]["resources"] = json!({"requests": {"memory": "64Mi"}});
    workload
}

/// The same workload with a short grace period.
fn with_grace(workload: &Value) -> Value {
    let mut workload = workload.clone();
    pod(&mut workload)["terminationGracePeriodSeconds"] = json!(30);
    workload
}
