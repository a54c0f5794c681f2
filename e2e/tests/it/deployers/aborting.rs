//! A rollout that restarts workloads is stopped: nobody restarts any more.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use goldenpath::api::labels;
use goldenpath_e2e::audit::account;
use goldenpath_e2e::installed::{ACCOUNT, NAMESPACE};
use goldenpath_e2e::{ControlPlane, wait};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::unique;

const MANY: usize = 80;
/// So many have been asked to restart when the rollout is stopped.
const SOME: usize = 5;
/// How long the word may take.
const WORD: SignedDuration = SignedDuration::from_secs(1);
const PATIENCE: Duration = Duration::from_mins(2);
/// On a machine that runs every other test beside this one the word may be late; not each time.
const ROUNDS: usize = 3;

fn path(name: &str, version: &str, more: &Value) -> String {
    let mut spec = json!({
        "version": version,
        "defaults": [{"name": "token", "podTemplate": {"spec": {"automountServiceAccountToken": false}}}],
    });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"apiVersion": "goldenpath.dev/v1alpha1", "kind": "GoldenPath", "metadata": {"name": name}, "spec": spec})
        .to_string()
}

/// A second version with a value that asks for a restart, in one wave that waits for a person.
fn hasty() -> Value {
    let requests = json!({"spec": {"containers": [{"name": "*", "resources": {"requests": {"cpu": "1m"}}}]}});
    json!({
        "defaults": [{"name": "requests", "timing": "Immediate", "podTemplate": requests}],
        "rollout": {"waves": [{"name": "everybody", "approval": "Required"}]},
    })
}

fn list(items: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

struct Story {
    control_plane: &'static ControlPlane,
    namespace: String,
    path: String,
}

impl Story {
    /// Many services on the first version.
    async fn begin() -> Result<Self> {
        let control_plane = ControlPlane::with_goldenpath().await?;
        let (path_name, namespace) = (unique(control_plane).await?, control_plane.namespace("restarts").await?);
        let revision = control_plane.golden_path(&path(&path_name, "1", &json!({}))).await?;
        let story = Self { control_plane, namespace, path: path_name };
        let name = |n: usize| format!("web-{n}");
        let deployment = |n: usize| {
            let labels = json!({"app": name(n)});
            let pod = json!({"containers": [{"name": "app", "image": "example.com/web:1"}]});
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name(n)},
                "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
            })
        };
        let service = |n: usize| {
            let workloads = json!([{"name": "app", "ref": {"kind": "Deployment", "name": name(n)}}]);
            json!({
                "apiVersion": "goldenpath.dev/v1alpha1", "kind": "PlatformService", "metadata": {"name": name(n)},
                "spec": {"goldenPathRef": {"name": story.path}, "workloads": workloads},
            })
        };
        let all: Vec<Value> = (0..MANY).map(deployment).collect();
        story.kubectl("create -f -", &list(&all)).await?;
        story.kubectl("wait deployments --all --for=condition=Available --timeout=2m", "").await?;
        let all: Vec<Value> = (0..MANY).map(service).collect();
        story.kubectl("create -f -", &list(&all)).await?;
        let labelled = format!("get deployments -o name -l {}={revision}", labels::REVISION);
        wait::until("everybody to be adopted", PATIENCE, async || {
            let count = story.kubectl(&labelled, "").await?.lines().count();
            ensure!(count == MANY, "{count} are");
            Ok(Some(()))
        })
        .await?;
        Ok(story)
    }

    async fn kubectl(&self, words: &str, input: &str) -> Result<String> {
        let words = words.split(' ').chain(["-n", &self.namespace]);
        self.control_plane.kubectl_stdin(words, input).await
    }

    async fn orders(&self, rollout: &Value) -> Result<()> {
        let patch = json!({"spec": {"rollout": rollout}}).to_string();
        self.control_plane.kubectl(["patch", "gp", &self.path, "--type=merge", "-p", &patch]).await.map(drop)
    }

    /// Patches of the operator by workload, in their order: the first gives the label, the second asks for a restart.
    fn patches(&self, mark: goldenpath_e2e::audit::Mark) -> Result<BTreeMap<String, Vec<Timestamp>>> {
        let user = account(NAMESPACE, ACCOUNT);
        let mut patches = BTreeMap::<String, Vec<Timestamp>>::new();
        for event in self.control_plane.audit_since(mark)? {
            if event.user == user
                && event.namespace == self.namespace
                && event.resource == "deployments"
                && event.is_write()
            {
                patches.entry(event.name).or_default().push(event.time);
            }
        }
        Ok(patches)
    }

    /// Workloads that were asked to restart, by their generation.
    async fn restarted(&self) -> Result<Vec<String>> {
        let query = "get deployments -o jsonpath={range.items[*]}{.metadata.name}={.metadata.generation},{end}";
        let text = self.kubectl(query, "").await?;
        let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
        Ok(pairs.filter(|(_, generation)| *generation != "1").map(|(name, _)| name.to_owned()).collect())
    }

    /// How many restarted, and how many of them were asked to when the word was more than a second old.
    async fn stops(&self) -> Result<(usize, Vec<String>)> {
        let revision = self.control_plane.golden_path(&path(&self.path, "2", &hasty())).await?;
        let mark = self.control_plane.audit_mark()?;
        self.orders(&json!({"promote": {"revision": revision, "wave": "everybody"}})).await?;
        wait::until("some to be asked to restart", PATIENCE, async || {
            let asked = self.patches(mark)?.values().filter(|patches| patches.len() > 1).count();
            ensure!(asked >= SOME, "{asked} are");
            Ok(Some(()))
        })
        .await?;
        self.orders(&json!({"abort": {"revision": revision, "reason": "pods take a minute longer to start"}})).await?;
        let word = Timestamp::now();
        let back = format!("get deployments -o name -l {}={revision}", labels::REVISION);
        wait::until("nobody to follow the second version", PATIENCE, async || {
            let left = self.kubectl(&back, "").await?.lines().count();
            ensure!(left == 0, "{left} do");
            Ok(Some(()))
        })
        .await?;
        let restarted = self.restarted().await?;
        let patches = self.patches(mark)?;
        let late = |name: &&String| {
            patches.get(*name).and_then(|patches| patches.get(1)).is_none_or(|asked| asked.duration_since(word) > WORD)
        };
        let late = restarted.iter().filter(late).cloned().collect();
        Ok((restarted.len(), late))
    }
}

#[tokio::test]
async fn an_abort_stops_restarts_within_a_second() -> Result<()> {
    let mut outcomes = Vec::new();
    for _ in 0..ROUNDS {
        let story = Story::begin().await?;
        let (restarted, late) = story.stops().await?;
        println!("{restarted} of {MANY} were asked to restart, {} of them a second after the word", late.len());
        if (SOME..MANY).contains(&restarted) && late.is_empty() {
            return Ok(());
        }
        outcomes.push((restarted, late));
    }
    anyhow::bail!("in each round somebody restarted late, or everybody had: {outcomes:?}")
}
