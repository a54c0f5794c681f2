//! Where the demo plays: a control plane of its own, or the user's cluster, which is left as it was found.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use goldenpath::api::crds;
use kube::ResourceExt;

use super::terminal::{print, say};
use crate::ControlPlane;
use crate::Options;
use crate::installed::NAMESPACE;

/// Namespaces of the teams.
pub(super) const TEAMS: [&str; 4] = ["payments", "storefront", "logistics", "data"];
/// What marks the demo's namespaces, so that a later run knows what an interrupted one has left.
const MARK: &str = "app.kubernetes.io/managed-by=goldenpath-demo";

/// A cluster that the demo may write to.
pub(super) struct Cluster {
    pub(super) control_plane: ControlPlane,
    /// Whether it is the user's own
    pub(super) foreign: bool,
}

impl Cluster {
    /// Starts a control plane, or attaches to the cluster of a kubeconfig.
    ///
    /// # Errors
    /// When it does not start, cannot be reached, is too old, or holds anything that the demo would disturb.
    pub(super) async fn open(kubeconfig: Option<&Path>) -> Result<Self> {
        let Some(kubeconfig) = kubeconfig else {
            say(
                "Starting a real Kubernetes control plane on 127.0.0.1 (etcd, API server, controllers, simulated nodes) ...",
            );
            let control_plane = ControlPlane::start(Options::default()).await?;
            return Ok(Self { control_plane, foreign: false });
        };
        let cluster = Self { control_plane: ControlPlane::attach(kubeconfig)?, foreign: true };
        say(&format!(
            "This runs on the cluster at {}, in namespaces of its own, and cleans up at the end.",
            cluster.control_plane.ready().server
        ));
        cluster.is_new_enough().await?;
        if !cluster.get("namespaces", &["-l", MARK]).await?.is_empty() {
            cluster.nobody_plays().await?;
            print("An earlier demo was cut off here: removing what it has left.");
            cluster.clean().await?;
        }
        cluster.is_free().await?;
        Ok(cluster)
    }

    async fn is_new_enough(&self) -> Result<()> {
        let admission = self.control_plane.kubectl(["get", "--raw", "/apis/admissionregistration.k8s.io/v1"]).await;
        let served = admission.context("the cluster cannot be used")?.contains("\"mutatingadmissionpolicies\"");
        ensure!(
            served,
            "this cluster does not serve MutatingAdmissionPolicy v1, which comes with Kubernetes 1.36: nothing could be \
             filled on it. `make demo` without KUBECONFIG brings a control plane of its own"
        );
        Ok(())
    }

    /// Two at a time would take away each other's namespaces.
    async fn nobody_plays(&self) -> Result<()> {
        let columns = "jsonpath={.items[*].metadata.annotations.demo-process}";
        let players = self.control_plane.kubectl(["get", "namespaces", "-l", MARK, "-o", columns]).await?;
        let here = host();
        for player in players.split_whitespace() {
            let (on, process) = player.rsplit_once('/').unwrap_or_default();
            let alive = on != here || Path::new("/proc").join(process).exists();
            ensure!(
                !alive,
                "another demo plays on this cluster, process {process} of {on}: end it first. If it is not there any \
                 more: kubectl annotate namespaces -l {MARK} demo-process-"
            );
        }
        Ok(())
    }

    /// Says who plays, for whoever starts a second demo on the same cluster.
    ///
    /// # Errors
    /// When the namespaces cannot be annotated.
    pub(super) async fn sign(&self) -> Result<()> {
        let process = format!("demo-process={}/{}", host(), std::process::id());
        self.control_plane.kubectl(["annotate", "namespaces", "-l", MARK, &process]).await.map(drop)
    }

    /// What is there already is somebody's, and the end of the demo would delete it.
    async fn is_free(&self) -> Result<()> {
        let definitions =
            self.get("customresourcedefinitions", &["--field-selector=metadata.name=goldenpaths.goldenpath.dev"]);
        ensure!(
            definitions.await?.is_empty(),
            "Goldenpath is installed on this cluster, and the demo would take it away at its end: try it on another one"
        );
        for namespace in TEAMS.iter().chain([&NAMESPACE]) {
            let found = self.get("namespaces", &[&format!("--field-selector=metadata.name={namespace}")]).await?;
            ensure!(
                found.is_empty(),
                "this cluster has a namespace {namespace} already, and the demo touches none that it has not made"
            );
        }
        Ok(())
    }

    async fn get(&self, what: &str, flags: &[&str]) -> Result<String> {
        self.control_plane.kubectl(["get", what, "-o", "name"].iter().chain(flags)).await
    }

    /// Labels a namespace as the demo's own.
    ///
    /// # Errors
    /// When it cannot be created.
    pub(super) async fn create_namespace(&self, name: &str) -> Result<()> {
        self.control_plane.kubectl(["create", "namespace", name]).await?;
        self.control_plane.kubectl(["label", "namespace", name, MARK]).await.map(drop)
    }

    /// Ends the demo. On the user's cluster nothing of it is left, on its own one there is nothing to leave.
    ///
    /// # Errors
    /// When something cannot be deleted; the next run tries again.
    pub(super) async fn close(&self) -> Result<()> {
        if !self.foreign {
            return Ok(());
        }
        say("Cleaning up the cluster; this takes a few seconds ...");
        self.clean().await.context("something is left on the cluster; the same command cleans it up")
    }

    /// The namespaces go last: they are the mark by which a later run knows that something is left.
    async fn clean(&self) -> Result<()> {
        let delete = async |words: &str| {
            let words = format!("delete --ignore-not-found --timeout=2m {words}");
            self.control_plane.kubectl(words.split(' ')).await
        };
        let policies = "mutatingadmissionpolicybindings,mutatingadmissionpolicies";
        delete(&format!("{policies} -l goldenpath.dev/path")).await?;
        let _ = self
            .control_plane
            .helm(["uninstall", crate::chart::RELEASE, "-n", NAMESPACE, "--ignore-not-found"])
            .await?;
        let definitions: Vec<String> = crds::all().iter().map(ResourceExt::name_any).collect();
        delete(&format!("customresourcedefinitions {}", definitions.join(" "))).await?;
        delete(&format!("namespaces -l {MARK}")).await?;
        Ok(())
    }
}

/// Name of this machine.
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
