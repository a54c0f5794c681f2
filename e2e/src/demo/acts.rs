//! What the reader is shown, act by act.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::boards;
use super::cluster::{Cluster, TEAMS};
use super::table;
use super::terminal::{helm, kubectl, print, say};
use crate::installed::NAMESPACE;
use crate::migration::History;
use crate::{ControlPlane, Operator, chart, programs, wait};

/// On a real cluster images must be there to be pulled; this one does nothing and is small.
const PAUSE: [&str; 2] = ["registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.10"];
/// What stands in a pod template, of what the acts change.
const FILLED: &str = "custom-columns=NAME:.metadata.name,IMAGE:.spec.template.spec.containers[0].image,\
    REQUESTS:.spec.template.spec.containers[0].resources.requests,LIMITS:.spec.template.spec.containers[0].resources.limits,\
    SECCOMP:.spec.template.spec.securityContext.seccompProfile.type";

/// Plays all acts; unless `once`, it stays until it is dropped.
///
/// # Errors
/// When a step fails or does not end in what is promised.
pub(super) async fn show(cluster: &Cluster, started: Instant, once: bool) -> Result<()> {
    let demo = Demo { cluster, files: files(cluster)? };
    demo.before(started).await?;
    let operator = demo.install().await?;
    let mut history = History::default();
    history.take(&operator).await?;
    demo.adopt().await?;
    history.take(&operator).await?;
    demo.deploy().await?;
    history.take(&operator).await?;
    demo.opt_out().await?;
    history.take(&operator).await?;
    demo.yields().await?;
    demo.after().await?;
    history.take(&operator).await?;
    if once {
        return Ok(());
    }
    let _boards = boards::show(&cluster.control_plane, &operator, &history).await;
    demo.invite()?;
    std::future::pending().await
}

struct Demo<'a> {
    cluster: &'a Cluster,
    /// Folder of the demo's manifests
    files: PathBuf,
}

/// The manifests as they are, or a copy with images that a real cluster can pull.
fn files(cluster: &Cluster) -> Result<PathBuf> {
    let shipped = programs::repository().join("manifests/demo");
    if !cluster.foreign {
        return Ok(shipped);
    }
    let copy = cluster.control_plane.folder().join("demo");
    for folder in ["teams", "gift-cards", "gift-cards/templates"] {
        std::fs::create_dir_all(copy.join(folder))?;
        for entry in std::fs::read_dir(shipped.join(folder))? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                let text = std::fs::read_to_string(entry.path())?;
                std::fs::write(copy.join(folder).join(entry.file_name()), with_pause(&text))?;
            }
        }
    }
    std::fs::copy(shipped.join("services.yaml"), copy.join("services.yaml"))?;
    Ok(copy)
}

/// Puts the pause image, and probes that it passes, in the place of the demo's own.
fn with_pause(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("registry.example.com/") {
        out.push_str(&rest[..at]);
        out.push_str(PAUSE[0]);
        let image = &rest[at..];
        rest = &image[image.find(|c: char| c.is_whitespace() || "\",}".contains(c)).unwrap_or(image.len())..];
    }
    out.push_str(rest);
    out.replace("httpGet: {path: /ready, port: 8080}", "exec: {command: [/pause, -v]}")
}

impl Demo<'_> {
    fn control_plane(&self) -> &ControlPlane {
        &self.cluster.control_plane
    }

    fn file(&self, name: &str) -> String {
        self.files.join(name).to_string_lossy().into_owned()
    }

    /// The image of a team's next release.
    fn image(&self, name: &str) -> String {
        if self.cluster.foreign { PAUSE[1].to_owned() } else { format!("registry.example.com/{name}") }
    }

    async fn before(&self, started: Instant) -> Result<()> {
        say("1. Four teams run what they run. Nobody has prepared anything.");
        kubectl(self.control_plane(), &["apply", "-f", &self.file("teams")]).await?;
        self.cluster.sign().await?;
        helm(self.control_plane(), &["install", "gift-cards", &self.file("gift-cards"), "--namespace", "payments"])
            .await?;
        self.child_of_an_operator().await?;
        for team in TEAMS {
            let wait = ["wait", "--for=condition=Available", "deployments", "--all", "-n", team, "--timeout=3m"];
            self.control_plane().kubectl(wait).await?;
        }
        say("Who has set what: `team` is set by the team, in every container, and `-` is left open.");
        print(&table::fleet(self.control_plane()).await?);
        print(&format!("The first table stands after {:.0} s.", started.elapsed().as_secs_f32()));
        Ok(())
    }

    /// A StatefulSet that belongs to the object of another operator, here a ConfigMap.
    async fn child_of_an_operator(&self) -> Result<()> {
        let uid = ["get", "configmap", "orders-cluster", "-n", "data", "-o", "jsonpath={.metadata.uid}"];
        let uid = self.control_plane().kubectl(uid).await?;
        let image = if self.cluster.foreign { PAUSE[0] } else { "registry.example.com/orders-db:17.2" };
        let child = json!({
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "orders-db", "namespace": "data", "ownerReferences": [{
                "apiVersion": "v1", "kind": "ConfigMap", "name": "orders-cluster", "uid": uid, "controller": true,
            }]},
            "spec": {
                "replicas": 1, "serviceName": "orders-db", "selector": {"matchLabels": {"app": "orders-db"}},
                "template": {
                    "metadata": {"labels": {"app": "orders-db"}},
                    "spec": {"containers": [{"name": "db", "image": image}]},
                },
            },
        });
        self.control_plane().apply(&child.to_string()).await.map(drop)
    }

    async fn install(&self) -> Result<Operator> {
        let (control_plane, chart) = (self.control_plane(), chart::folder().to_string_lossy().into_owned());
        say("2. The platform team installs Goldenpath, and the chart brings three golden paths, to be edited.");
        self.cluster.create_namespace(NAMESPACE).await?;
        helm(control_plane, &["install", chart::RELEASE, &chart, "--namespace", NAMESPACE]).await?;
        if self.cluster.foreign {
            // its pods would wait for an image that is in no registry
            control_plane.kubectl(["scale", "-n", NAMESPACE, "deployment/goldenpath", "--replicas=0"]).await?;
        }
        let operator = control_plane.run_chart_pods().await?;
        print(
            "There is no public image yet: the operator runs beside the cluster, with the rights of the chart's account.",
        );
        kubectl(control_plane, &["wait", "--for=condition=Ready", "goldenpaths", "--all", "--timeout=3m"]).await?;
        kubectl(control_plane, &["get", "goldenpaths"]).await?;
        Ok(operator)
    }

    async fn adopt(&self) -> Result<()> {
        let before = self.rollouts().await?;
        say("3. Two teams name what they run. It is labelled, and nothing restarts.");
        kubectl(self.control_plane(), &["apply", "-f", &self.file("services.yaml")]).await?;
        for team in &TEAMS[..2] {
            let ready = ["wait", "--for=condition=Ready", "psvc", "--all", "-n", team, "--timeout=1m"];
            self.control_plane().kubectl(ready).await?;
        }
        kubectl(self.control_plane(), &["get", "psvc", "-A"]).await?;
        let after = self.rollouts().await?;
        ensure!(after == before, "adopting has started a rollout: {before} became {after}");
        print(&format!("Rollouts so far, of all Deployments together: {before} before, {after} after."));
        Ok(())
    }

    /// How many rollouts the Deployments of all teams have had.
    async fn rollouts(&self) -> Result<usize> {
        let mut sets = 0;
        for team in TEAMS {
            let names = self.control_plane().kubectl(["get", "replicasets", "-n", team, "-o", "name"]).await?;
            sets += names.lines().count();
        }
        Ok(sets)
    }

    async fn deploy(&self) -> Result<()> {
        say(
            "4. The team of checkout deploys its next version, as ever. What it left open comes with that one rollout.",
        );
        self.set_image("payments", "checkout", "checkout:1.1.0").await?;
        self.control_plane().expect("payments", "psvc/checkout", "{.status.adoption.state}", "Adopted").await?;
        kubectl(self.control_plane(), &["get", "psvc", "checkout", "-n", "payments"]).await?;
        kubectl(self.control_plane(), &["get", "deployment", "checkout", "-n", "payments", "-o", FILLED]).await?;
        let selector = ["get", "replicasets", "-n", "payments", "-l", "app=checkout", "-o", "name"];
        let sets = self.control_plane().kubectl(selector).await?.lines().count();
        ensure!(sets == 2, "checkout should have had two rollouts and has had {sets}");
        print("Two ReplicaSets: one before, and one for the team's own deploy. No third one for the defaults.");
        Ok(())
    }

    async fn set_image(&self, namespace: &str, name: &str, image: &str) -> Result<()> {
        let (deployment, image) = (format!("deployment/{name}"), format!("app={}", self.image(image)));
        kubectl(self.control_plane(), &["set", "image", "-n", namespace, &deployment, &image]).await?;
        self.rolled_out(namespace, &deployment).await
    }

    async fn rolled_out(&self, namespace: &str, object: &str) -> Result<()> {
        self.control_plane().kubectl(["rollout", "status", "-n", namespace, object, "--timeout=3m"]).await.map(drop)
    }

    async fn opt_out(&self) -> Result<()> {
        say(
            "5. gift-cards is a Helm release. It is filled by `helm upgrade`, opts out, and is its own again with the next one.",
        );
        self.upgrade("1.7.0").await?;
        kubectl(self.control_plane(), &["get", "deployment", "gift-cards", "-n", "payments", "-o", FILLED]).await?;
        let observe = r#"{"spec":{"mode":"Observe"}}"#;
        kubectl(
            self.control_plane(),
            &["patch", "psvc", "gift-cards", "-n", "payments", "--type=merge", "-p", observe],
        )
        .await?;
        self.has_left().await?;
        self.upgrade("1.8.0").await?;
        kubectl(self.control_plane(), &["get", "deployment", "gift-cards", "-n", "payments", "-o", FILLED]).await?;
        let resources = "jsonpath={.spec.template.spec.containers[0].resources}";
        let left = ["get", "deployment", "gift-cards", "-n", "payments", "-o", resources];
        let left = self.control_plane().kubectl(left).await?;
        ensure!(left == "{}", "gift-cards has left the path and keeps {left}");
        Ok(())
    }

    async fn upgrade(&self, version: &str) -> Result<()> {
        let (chart, mut flags) = (self.file("gift-cards"), vec!["upgrade", "gift-cards"]);
        let image = match (self.cluster.foreign, version) {
            // the same two images in turn: each upgrade is a change
            (true, "1.8.0") => PAUSE[0].to_owned(),
            _ => self.image(&format!("gift-cards:{version}")),
        };
        let image = format!("image={image}");
        flags.extend([chart.as_str(), "--namespace", "payments", "--set", &image]);
        helm(self.control_plane(), &flags).await?;
        self.rolled_out("payments", "deployment/gift-cards").await
    }

    /// The operator moves the label to the release policy; the next template change takes the values out.
    async fn has_left(&self) -> Result<()> {
        wait::until("gift-cards to leave the path", Duration::from_mins(1), async || {
            let label = r"jsonpath={.metadata.labels.goldenpath\.dev/revision}";
            let label = ["get", "deployment", "gift-cards", "-n", "payments", "-o", label];
            let revision = self.control_plane().kubectl(label).await?;
            ensure!(revision.ends_with("-release"), "{revision}");
            Ok(Some(()))
        })
        .await
    }

    async fn yields(&self) -> Result<()> {
        say(
            "6. search is filled, too. Then its team sets a limit below the filled request: accepted, and the path yields.",
        );
        self.set_image("storefront", "search", "search:2.1.0").await?;
        kubectl(self.control_plane(), &["get", "deployment", "search", "-n", "storefront", "-o", FILLED]).await?;
        let limit = ["set", "resources", "-n", "storefront", "deployment/search", "--limits=memory=64Mi"];
        kubectl(self.control_plane(), &limit).await?;
        self.rolled_out("storefront", "deployment/search").await?;
        kubectl(self.control_plane(), &["get", "deployment", "search", "-n", "storefront", "-o", FILLED]).await
    }

    async fn after(&self) -> Result<()> {
        say(
            "7. The fleet now. `path` was filled by the API server and belongs to nobody; `team` is as the teams set it.",
        );
        print(&table::fleet(self.control_plane()).await?);
        print(
            "Not filled, on purpose: the request of ledger, whose limits make it Guaranteed; orders-db, which another \
             operator owns; recommendations, which is only observed; and all that no team has named.",
        );
        self.counted().await?;
        kubectl(self.control_plane(), &["get", "goldenpaths"]).await
    }

    /// The count of the paths is written after the last change has settled.
    async fn counted(&self) -> Result<()> {
        self.control_plane()
            .expect("default", "goldenpath/web-service", "{.status.adoption.workloads.adopted}", "1")
            .await
            .context("the path counts its workloads")
    }

    fn invite(&self) -> Result<()> {
        say("All of this stays up until Ctrl-C. Try, in another terminal:");
        let kubectl = programs::Programs::find(None)?.kubectl;
        let shown = |path: &Path| path.display().to_string();
        let commands = [
            format!("export KUBECONFIG={}", shown(self.control_plane().kubeconfig())),
            format!("alias kubectl={}", shown(&kubectl)),
            "kubectl describe psvc -n payments fraud-check                      # every default: who has it, and why not".into(),
            "kubectl get psvc -A".into(),
            format!(
                "kubectl set image -n payments deployment/invoices app={}    # a team's own deploy",
                self.image("invoices:2.10.0")
            ),
            "kubectl annotate -n payments deployment/checkout 'goldenpath.dev/skip=*'   # break-glass: the values leave at once".into(),
            "kubectl patch psvc -n payments invoices --type=merge -p '{\"spec\":{\"mode\":\"Observe\"}}'   # opt out".into(),
            "kubectl get goldenpath web-service -o yaml                             # adoption by team, as it is counted".into(),
        ];
        for command in commands {
            print(&format!("  {command}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::with_pause;

    #[test]
    fn every_image_of_the_demo_is_replaced_and_its_probe_with_it() {
        let text = "- {name: app, image: \"registry.example.com/web:7.3.0\", ports: []}\n  image: registry.example.com/a:1\n\
                    readinessProbe: {httpGet: {path: /ready, port: 8080}}\n";
        let expected = "- {name: app, image: \"registry.k8s.io/pause:3.9\", ports: []}\n  image: registry.k8s.io/pause:3.9\n\
                        readinessProbe: {exec: {command: [/pause, -v]}}\n";
        assert_eq!(with_pause(text), expected);
    }
}
