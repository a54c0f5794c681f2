//! The cluster of the story: replicas of two versions that are elected, and everything that they write.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use goldenpath_e2e::audit::{self, AuditEvent, Mark};
use goldenpath_e2e::chart::{RELEASE, folder, without_paths, without_paths_of};
use goldenpath_e2e::installed::{ACCOUNT, NAMESPACE};
use goldenpath_e2e::programs::Previous;
use goldenpath_e2e::space::PATIENCE;
use goldenpath_e2e::{ControlPlane, Operator, OperatorOptions, Options, replicas, wait};
use serde_json::Value;

/// The operator is done when it has written nothing for so long.
const QUIET: Duration = Duration::from_secs(5);
/// Everything that the operator may write, without Events and Leases.
const KINDS: &str = "deployments,statefulsets,daemonsets,cronjobs,services,poddisruptionbudgets,controllerrevisions,\
                     platformservices,goldenpaths,deprecations,mutatingadmissionpolicies,\
                     mutatingadmissionpolicybindings,validatingadmissionpolicies,validatingadmissionpolicybindings";

/// Every object by `resource/namespace/name`.
pub type Objects = BTreeMap<String, Value>;

/// A cluster with two namespaces, `dev` and `prod`.
pub struct Cluster {
    pub control_plane: ControlPlane,
    kubeconfig: PathBuf,
}

impl Cluster {
    /// With the older chart, which brings no path.
    pub async fn with(previous: &Previous) -> Result<Self> {
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
            control_plane.kubectl(["get", "goldenpaths,platformservices,deprecations", "-A"]).await.map(Some)
        })
        .await?;
        let kubeconfig = control_plane.as_account(NAMESPACE, ACCOUNT).await?;
        Ok(Self { control_plane, kubeconfig })
    }

    fn options(&self, name: &str, previous: Option<&Previous>) -> OperatorOptions {
        let program = previous.map(|previous| previous.program.clone());
        OperatorOptions { program, ..replicas::options(&self.kubeconfig, NAMESPACE, name) }
    }

    /// Starts a replica, the present one without an older release, and waits until it is ready.
    pub async fn replica(&self, name: &str, previous: Option<&Previous>) -> Result<Operator> {
        Operator::start(&self.control_plane, &self.options(name, previous)).await
    }

    pub async fn apply(&self, namespace: &str, object: &str) -> Result<()> {
        self.control_plane.kubectl_stdin(["apply", "-n", namespace, "-f", "-"], object).await.map(drop)
    }

    pub async fn kubectl(&self, words: &str) -> Result<String> {
        self.control_plane.kubectl(words.split(' ')).await
    }

    pub async fn says(&self, namespace: &str, object: &str, jsonpath: &str, value: &str) -> Result<()> {
        self.control_plane.expect(namespace, object, jsonpath, value).await
    }

    /// What the replicas stored since a mark, whichever it was.
    pub fn writes(&self, mark: Mark) -> Result<Vec<AuditEvent>> {
        let writes = replicas::writes(&self.control_plane, mark)?.into_iter();
        Ok(writes.map(|(_, event)| event).filter(AuditEvent::is_write_of_objects).collect())
    }

    /// Waits until the operator has nothing more to do.
    pub async fn quiet(&self) -> Result<()> {
        let user = audit::account(NAMESPACE, ACCOUNT);
        let is_its = |event: &AuditEvent| event.user == user && event.is_write_of_objects();
        self.control_plane.is_still(QUIET, PATIENCE, is_its).await
    }

    /// Everything that the operator may write.
    pub async fn objects(&self) -> Result<Objects> {
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

    pub async fn pods(&self) -> Result<BTreeSet<String>> {
        let mut pods = BTreeSet::new();
        for namespace in ["dev", "prod"] {
            let text = self.kubectl(&format!("get pods -n {namespace} -o jsonpath={{.items[*].metadata.uid}}")).await?;
            pods.extend(text.split(' ').map(ToOwned::to_owned));
        }
        Ok(pods)
    }

    /// `helm upgrade` to the present chart, and what a rolling update does: the next replica starts before the older one ends.
    /// Here it even starts before the definitions are there, waits for them, and goes on by itself.
    pub async fn upgrade(&self, older: Operator, name: &str) -> Result<Operator> {
        let words = "definitions: the definitions are older than this operator and lack ";
        let next = Operator::start_unready(&self.control_plane, &self.options(name, None), words).await?;
        println!("{name} waits: {}", next.is_unready(words).await?);
        self.control_plane.helm_chart("upgrade", &folder(), &without_paths()?, &[]).await?.success()?;
        next.ready().await?;
        self.hands_over(older, next).await
    }

    /// `helm rollback` to the older chart: the present replica goes on with the definitions of the older one, until that one is
    /// ready.
    pub async fn roll_back(&self, present: Operator, name: &str, previous: &Previous) -> Result<Operator> {
        self.control_plane.helm(["rollback", RELEASE, "1", "-n", NAMESPACE]).await?;
        let next = self.replica(name, Some(previous)).await?;
        self.hands_over(present, next).await
    }

    /// One ends and the other one leads; it has looked at everything when this returns, and is done.
    async fn hands_over(&self, mut leader: Operator, next: Operator) -> Result<Operator> {
        ensure!(leader.leads().await? && !next.leads().await?, "{}", next.log());
        let (status, _) = leader.terminate().await?;
        ensure!(status.success(), "SIGTERM: {status}; {}", leader.log());
        wait::until("a pass over each object", PATIENCE, async || {
            let metrics = next.metrics().await?;
            let passes = ["GoldenPath", "PlatformService", "Deprecation"].map(|kind| -> u64 {
                let series = format!("goldenpath_reconcile_total{{kind=\"{kind}\",outcome=\"ok\"}} ");
                metrics.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok()).unwrap_or(0)
            });
            ensure!(passes[0] >= 1 && passes[1] >= 4 && passes[2] >= 1, "{passes:?}");
            Ok(Some(()))
        })
        .await?;
        ensure!(next.leads().await?, "{}", next.log());
        self.quiet().await?;
        Ok(next)
    }
}
