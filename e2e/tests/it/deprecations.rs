//! Deprecations as people live through them: counted, told of, warned of, refused, gone.

mod brake;
mod clock;
mod consumers;
mod corpus;
mod life;
mod notices;

use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use goldenpath_e2e::audit::AuditEvent;
use goldenpath_e2e::installed::{ACCOUNT, NAMESPACE};
use goldenpath_e2e::{ControlPlane, Operator, OperatorOptions, Options, audit, wait};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_mins(2);
/// The operator counts every five seconds at most: after this it would have counted once more.
const COUNTS: Duration = Duration::from_secs(7);

/// A cluster of its own with one operator, since a Deprecation counts everything that there is.
struct Cluster {
    control_plane: ControlPlane,
    operator: Operator,
    args: Vec<OsString>,
    env: Vec<(String, String)>,
}

impl Cluster {
    async fn start() -> Result<Self> {
        Self::start_with(Vec::new(), Vec::new()).await
    }

    /// With further arguments of the operator, and as in the image, where there is no list of certificates to trust.
    async fn start_as_in_the_image(args: Vec<OsString>) -> Result<Self> {
        let nothing = ["SSL_CERT_FILE", "SSL_CERT_DIR"].map(|name| (name.to_owned(), "/nothing".to_owned()));
        Self::start_with(args, nothing.into()).await
    }

    async fn start_with(args: Vec<OsString>, env: Vec<(String, String)>) -> Result<Self> {
        let control_plane = ControlPlane::start(Options::default()).await?;
        let operator = Self::operator(&control_plane, &args, &env).await?;
        Ok(Self { control_plane, operator, args, env })
    }

    async fn operator(control_plane: &ControlPlane, args: &[OsString], env: &[(String, String)]) -> Result<Operator> {
        let kubeconfig = control_plane.install_goldenpath().await?;
        let options =
            OperatorOptions { kubeconfig, args: args.to_vec(), env: env.to_vec(), ..OperatorOptions::default() };
        Operator::start(control_plane, &options).await
    }

    /// Kills the operator.
    async fn dies(&mut self) -> Result<()> {
        self.operator.kill().await
    }

    /// Starts it again.
    async fn comes_back(&mut self) -> Result<()> {
        self.operator = Self::operator(&self.control_plane, &self.args, &self.env).await?;
        Ok(())
    }

    /// Waits until the operator has written everything.
    async fn is_still(&self) -> Result<()> {
        let user = audit::account(NAMESPACE, ACCOUNT);
        let is_its = |event: &AuditEvent| event.user == user && event.is_write_of_objects();
        self.control_plane.is_still(COUNTS, PATIENCE, is_its).await
    }

    /// Starts it again, which must write nothing: it has counted when its metrics say so, and then it has nothing to say.
    async fn comes_back_in_silence(&mut self) -> Result<()> {
        let mark = self.control_plane.audit_mark()?;
        self.comes_back().await?;
        wait::until("the count after a restart", PATIENCE, async || {
            let text = self.operator.metrics().await?;
            ensure!(text.contains("goldenpath_deprecated_objects{deprecation=\"legacy-ingress\""), "not counted yet");
            Ok(Some(()))
        })
        .await?;
        tokio::time::sleep(COUNTS).await; // one more count, if there were one
        let events = self.control_plane.audit_since(mark)?;
        let written = audit::writes(&events, &audit::account(NAMESPACE, ACCOUNT));
        ensure!(written.total() == 0, "a restart wrote {written}");
        Ok(())
    }

    async fn apply(&self, object: &Value) -> Result<()> {
        self.control_plane.apply(&object.to_string()).await.map(drop)
    }

    /// Applies all objects in one go.
    async fn apply_all(&self, objects: &[Value]) -> Result<()> {
        self.apply(&json!({"apiVersion": "v1", "kind": "List", "items": objects})).await
    }

    /// Runs kubectl with words that hold no blanks.
    async fn kubectl(&self, words: &str) -> Result<String> {
        self.control_plane.kubectl(words.split(' ')).await
    }

    /// What kubectl says on standard error while it does something, and whether it succeeds.
    async fn said(&self, words: &[&str], input: &Value) -> Result<(bool, String)> {
        let output = self.control_plane.kubectl_output(words.iter().copied(), &input.to_string()).await?;
        Ok((output.status.success(), output.stderr))
    }

    async fn object(&self, words: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.kubectl(&format!("get {words} -o json")).await?)?)
    }

    /// Waits for something about a Deprecation.
    async fn until(&self, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Result<Value> {
        wait::until(&format!("Deprecation {name}: {what}"), PATIENCE, async || {
            let object = self.object(&format!("depr {name}")).await?;
            ensure!(holds(&object), "{}", object["status"]);
            Ok(Some(object))
        })
        .await
        .with_context(|| format!("the operator says: {}", tail(&self.operator.log())))
    }

    /// Waits for a condition; the answer is its message.
    async fn condition(&self, name: &str, type_: &str, reason: &str) -> Result<String> {
        let object = self
            .until(name, &format!("{type_} is {reason}"), |object| condition(object, type_)["reason"] == reason)
            .await?;
        Ok(condition(&object, type_)["message"].as_str().unwrap_or_default().to_owned())
    }

    /// Waits for counts.
    async fn counts(&self, name: &str, expected: &Value) -> Result<Value> {
        self.until(name, &format!("consumers {expected}"), |object| {
            let consumers = &object["status"]["consumers"];
            expected.as_object().is_some_and(|all| all.iter().all(|(field, n)| consumers[field] == *n))
        })
        .await
    }

    /// Merges into the spec of a Deprecation.
    async fn patch(&self, name: &str, spec: &Value) -> Result<()> {
        let patch = json!({"spec": spec}).to_string();
        self.control_plane.kubectl(["patch", "depr", name, "--type", "merge", "-p", &patch]).await.map(drop)
    }

    /// Lets the operator read ingresses, as a platform team does that reads its status.
    async fn ingresses_can_be_read(&self) -> Result<()> {
        self.apply(&json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "read-ingresses", "labels": {"goldenpath.dev/aggregate-to-reader": "true"}},
            "rules": [{"apiGroups": ["networking.k8s.io"], "resources": ["ingresses"], "verbs": ["list", "watch"]}],
        }))
        .await
    }
}

/// The end of a log.
fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().rev().take(15).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

fn condition<'a>(object: &'a Value, type_: &str) -> &'a Value {
    let all = object["status"]["conditions"].as_array();
    all.and_then(|all| all.iter().find(|condition| condition["type"] == type_)).unwrap_or(&Value::Null)
}

/// A time so many seconds from now.
fn in_seconds(seconds: i64) -> String {
    let now = jiff::Timestamp::now().as_second();
    jiff::Timestamp::from_second(now + seconds).map(|at| at.to_string()).unwrap_or_default()
}

fn ingress(namespace: &str, name: &str, class: Option<&str>) -> Value {
    let backend = json!({"service": {"name": name, "port": {"number": 80}}});
    let mut spec = json!({"defaultBackend": backend});
    if let Some(class) = class {
        spec["ingressClassName"] = json!(class);
    }
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    })
}

/// A Deprecation of an ingress class, which no gate holds but the notice.
fn legacy_ingress(name: &str, more: &Value) -> Value {
    let mut spec = json!({
        "title": "Shared nginx ingress",
        "owner": {"team": "platform", "contact": "#paved-road"},
        "matches": [{
            "name": "class",
            "resourceRules": [{"apiGroups": ["networking.k8s.io"], "resources": ["ingresses"]}],
            "expression": "object.spec.?ingressClassName.orValue('') == 'legacy-nginx'",
        }],
        "replacement": {
            "guideURL": "https://docs.example.com/migrate-ingress",
            "fix": {"type": "MergePatch", "patch": {"spec": {"ingressClassName": "shared-gateway"}}},
        },
        "gates": {"replacementStage": "None", "requireObjectiveMet": false, "minReplacementAdopters": 0, "minNotice": "2s"},
    });
    if let (Some(spec), Some(more)) = (spec.as_object_mut(), more.as_object()) {
        spec.extend(more.clone());
    }
    json!({"apiVersion": "goldenpath.dev/v1alpha1", "kind": "Deprecation", "metadata": {"name": name}, "spec": spec})
}
