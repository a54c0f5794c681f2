//! What the API server makes of compiled Deprecations, with no operator anywhere: which requests it warns of, which it
//! refuses, and with which words.

mod agreement;
mod fixes;
mod kinds;
mod latency;
mod passing;
mod proofs;
mod stages;
mod times;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::ensure;
use goldenpath::api::{DeprecationSpec, DeprecationStage};
use goldenpath::plan::consumers::resolve::Served;
use goldenpath::plan::deprecation::Step;
use goldenpath::policy::{Feedback, Targets, deprecation};
use goldenpath_e2e::{ControlPlane, road, wait};
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

const TIMEOUT: Duration = Duration::from_mins(2);

/// A Deprecation of a namespace's own: its policies are in force nowhere else, whatever other tests do.
struct Old {
    control_plane: &'static ControlPlane,
    client: Client,
    namespace: String,
    spec: DeprecationSpec,
    targets: Targets,
    in_force: Vec<Feedback>,
}

/// How a command ended, and what it said beside its output.
#[derive(Debug)]
struct Said {
    succeeded: bool,
    lines: Vec<String>,
}

impl Said {
    /// Nobody said anything.
    fn is_silent(&self) -> bool {
        self.succeeded && self.lines.is_empty()
    }

    /// The one warning, from behind the names of policy and binding.
    fn warning(&self) -> Option<&str> {
        let ours = |line: &&String| {
            line.starts_with("Warning: Validation failed for ValidatingAdmissionPolicy 'goldenpath-depr-")
        };
        let [line] = self.lines.iter().filter(ours).collect::<Vec<_>>()[..] else { return None };
        line.split_once("': ")
            .and_then(|(_, said)| said.split_once("': ").map_or(Some(said), |(_, said)| Some(said)))
            .filter(|_| self.succeeded)
    }

    /// The refusal, from behind the names of policy and binding.
    fn refusal(&self) -> Option<&str> {
        self.lines.iter().find_map(|line| Some(line.split_once("denied request: ")?.1)).filter(|_| !self.succeeded)
    }
}

impl Old {
    /// `spec` is a Deprecation's, with one match `m` of `resource`, such as `ingresses.v1.networking.k8s.io`.
    async fn new(prefix: &str, resources: &[&str], mut spec: Value) -> Self {
        let control_plane = ControlPlane::shared().await.unwrap();
        let namespace = control_plane.namespace(prefix).await.unwrap();
        let served = |resource: &&str| {
            let mut parts = resource.splitn(3, '.').map(str::to_owned);
            let [plural, version] = [parts.next().unwrap(), parts.next().unwrap()];
            Served { group: parts.next().unwrap_or_default(), version, plural, ..Served::default() }
        };
        let entry = &mut spec["matches"][0];
        entry["name"] = json!("m");
        entry["resourceRules"] = json!([]);
        entry["namespaceSelector"] = json!({"matchLabels": {"kubernetes.io/metadata.name": namespace}});
        Self {
            control_plane,
            client: control_plane.client().await.unwrap(),
            targets: BTreeMap::from([("m".to_owned(), resources.iter().map(served).collect())]),
            spec: serde_json::from_value(spec).unwrap(),
            namespace,
            in_force: Vec::new(),
        }
    }

    /// Puts a stage in force, and nothing else. `probe` is an object that it has something to say about when it is created,
    /// and is not there.
    async fn is_in(&mut self, stage: DeprecationStage, brownouts: &[&str], probe: &Value) {
        self.lifts(probe).await;
        let compiled = self.compiled(&self.namespace, stage, brownouts);
        self.puts(compiled).await;
        assert!(!self.in_force.is_empty());
        wait::until(&format!("{stage:?} to be in force"), TIMEOUT, async || {
            let said = self.dry_run("create", probe).await;
            ensure!(!said.is_silent(), "{said:?}");
            Ok(Some(()))
        })
        .await
        .unwrap();
    }

    /// Waits until a change of an old object that is there is warned of. `changed` is that object, changed, and is not stored.
    ///
    /// Where new ones are refused that is another policy than the one that refuses, and may be in force later.
    async fn warns_of(&self, changed: &Value) {
        wait::until("the warning of what stays", TIMEOUT, async || {
            let said = self.dry_run("replace", changed).await;
            ensure!(said.warning().is_some(), "{said:?}");
            Ok(Some(()))
        })
        .await
        .unwrap();
    }

    /// The policies of a stage, for a Deprecation of this name.
    fn compiled(&self, name: &str, stage: DeprecationStage, brownouts: &[&str]) -> Vec<Feedback> {
        let step = Step {
            stage,
            stages: Vec::new(),
            matches: Vec::new(),
            noticed: vec!["m".to_owned()],
            next: None,
            held: Vec::new(),
            change: None,
            brownouts: brownouts.iter().map(|name| (*name).to_owned()).collect(),
            next_change: None,
        };
        deprecation(name, &self.spec, &step, &self.targets, &road::operator(), Timestamp::now()).unwrap()
    }

    async fn puts(&mut self, compiled: Vec<Feedback>) {
        let params = PostParams::default();
        for Feedback { policy, binding } in &compiled {
            Api::<ValidatingAdmissionPolicy>::all(self.client.clone()).create(&params, policy).await.unwrap();
            Api::<ValidatingAdmissionPolicyBinding>::all(self.client.clone()).create(&params, binding).await.unwrap();
        }
        self.in_force.extend(compiled);
    }

    /// Takes everything away, and waits until the API server has noticed: a deleted policy acts for a second.
    async fn lifts(&mut self, probe: &Value) {
        self.deletes().await;
        wait::until("silence", TIMEOUT, async || {
            let said = self.dry_run("create", probe).await;
            ensure!(said.is_silent(), "{said:?}");
            Ok(Some(()))
        })
        .await
        .unwrap();
    }

    /// Takes everything away.
    async fn ends(mut self) {
        self.deletes().await;
    }

    async fn deletes(&mut self) {
        let params = DeleteParams::default();
        for feedback in std::mem::take(&mut self.in_force) {
            let name = feedback.name();
            Api::<ValidatingAdmissionPolicyBinding>::all(self.client.clone()).delete(name, &params).await.unwrap();
            Api::<ValidatingAdmissionPolicy>::all(self.client.clone()).delete(name, &params).await.unwrap();
        }
    }

    async fn creates(&self, object: &Value) -> Said {
        self.kubectl("create -f -", &object.to_string()).await
    }

    async fn dry_run(&self, verb: &str, object: &Value) -> Said {
        self.kubectl(&format!("{verb} --dry-run=server -f -"), &object.to_string()).await
    }

    /// Words of a command line without quotes.
    async fn does(&self, words: &str) -> Said {
        self.kubectl(words, "").await
    }

    /// A merge patch of an object.
    async fn patches(&self, object: &str, patch: &Value) -> Said {
        let patch = patch.to_string();
        self.said(&["patch", object, "--type=merge", "-p", &patch], "").await
    }

    async fn kubectl(&self, words: &str, input: &str) -> Said {
        self.said(&words.split(' ').collect::<Vec<_>>(), input).await
    }

    async fn said(&self, words: &[&str], input: &str) -> Said {
        let words = ["-n", &self.namespace].into_iter().chain(words.iter().copied());
        let output = self.control_plane.kubectl_output(words, input).await.unwrap();
        Said { succeeded: output.status.success(), lines: output.stderr.lines().map(str::to_owned).collect() }
    }
}

/// Words that a person reads, with what they are expected to be.
macro_rules! says {
    ($said:expr, $how:ident, $expected:expr) => {{
        let said = $said;
        assert_eq!(said.$how(), Some($expected.as_ref()), "{said:?}");
    }};
}
use says;

/// An Ingress of a class.
fn ingress(name: &str, class: &str) -> Value {
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name},
        "spec": {"ingressClassName": class, "defaultBackend": backend},
    })
}
