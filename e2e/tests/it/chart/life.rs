//! A release from `helm install` to `helm uninstall`, and what people do to its paths meanwhile.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use goldenpath::api::{GoldenPath, WorkloadKind};
use goldenpath::rbac::{PATHS_ACCOUNT, PATHS_RULES, SHIPPED_PATHS_RULES};
use goldenpath_e2e::audit::account;
use goldenpath_e2e::chart::{RELEASE, copy, folder};
use goldenpath_e2e::installed::{ACCOUNT, NAMESPACE};
use goldenpath_e2e::rights::{Granted, missing, unused};
use goldenpath_e2e::{ControlPlane, Operator, Options, concurrency, install};
use kube::ResourceExt;
use serde_json::{Value, json};

use super::shipped;
use super::variants::are_valid_to_the_letter;

/// The time in which a release is ready, by the issue that asked for the chart.
const READY: Duration = Duration::from_secs(10);

/// The paths of a version of the chart: one that is the default for Deployments, and two more.
fn paths(version: &str) -> Vec<GoldenPath> {
    let mut web = shipped("web-service", version, &["enableServiceLinks", "automountServiceAccountToken"]);
    web.spec.default_for = vec![WorkloadKind::Deployment];
    vec![web, shipped("worker", version, &["enableServiceLinks"]), shipped("cron", version, &["enableServiceLinks"])]
}

struct Release {
    control_plane: ControlPlane,
    first: PathBuf,
    second: PathBuf,
}

impl Release {
    async fn new() -> Result<Self> {
        concurrency::among_few().await; // it is timed
        let control_plane = ControlPlane::start(Options::default()).await?;
        let root = control_plane.folder().to_owned();
        let (first, second) = (copy(&root, "first", &paths("1"))?, copy(&root, "second", &paths("2"))?);
        let label = "pod-security.kubernetes.io/enforce: restricted, pod-security.kubernetes.io/warn: restricted";
        let namespace =
            format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}, labels: {{{label}}}}}}}");
        control_plane.apply(&namespace).await?;
        Ok(Self { control_plane, first, second })
    }

    async fn kubectl(&self, words: &str) -> Result<String> {
        self.control_plane.kubectl(words.split(' ')).await
    }

    async fn helm(&self, verb: &str, chart: &Path, values: &Value) -> Result<String> {
        self.control_plane.helm_chart(verb, chart, values, &["--wait"]).await?.success()
    }

    async fn path(&self, name: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.kubectl(&format!("get goldenpath {name} -o json")).await?)?)
    }

    async fn version(&self, name: &str) -> Result<String> {
        Ok(self.path(name).await?["spec"]["version"].as_str().unwrap_or_default().to_owned())
    }

    /// Runs the Job of the release as it stands, which must say this, a line a path.
    async fn brings(&self, lines: [&str; 3]) -> Result<()> {
        let said = self.control_plane.run_paths_job().await?;
        let paths = ["cron", "web-service", "worker"];
        let expected: String = paths.iter().zip(lines).map(|(path, line)| format!("{path}: {line}\n")).collect();
        ensure!(said == expected, "{said}");
        Ok(())
    }
}

const EDITED: &str = "kept, because somebody has edited it";
const FOREIGN: &str = "kept, because it did not come from this chart";
const UPDATED: &str = "brought up to date";

#[tokio::test]
async fn a_release_lives_from_install_to_uninstall() -> Result<()> {
    let release = Release::new().await?;
    let mark = release.control_plane.audit_mark()?;
    let operator = installs(&release).await?;
    restricted(&release).await?;
    are_valid_to_the_letter(&release.control_plane).await?;
    notes_can_be_pasted(&release).await?;
    upgrades(&release).await?;
    rolls_back(&release).await?;
    belongs_to_others(&release).await?;
    let user = account(NAMESPACE, PATHS_ACCOUNT);
    let granted: [Granted; 2] = [(PATHS_RULES, None), (SHIPPED_PATHS_RULES, None)];
    let events = release.control_plane.audit_since(mark)?;
    let (missing, unused) = (missing(&events, &user, &granted), unused(&events, &user, &granted));
    ensure!(missing.is_empty() && unused.is_empty(), "missing {missing:?}, unused {unused:?}");
    drop(operator);
    uninstalls(&release).await
}

async fn installs(release: &Release) -> Result<Operator> {
    let started = Instant::now();
    let answer = release.helm("install", &release.first, &json!({})).await?;
    ensure!(answer.contains("STATUS: deployed") && !answer.contains("NOTHING IS FILLED"), "{answer}");
    release.kubectl(&format!("rollout status -n {NAMESPACE} deployment/goldenpath --timeout=30s")).await?;
    install::crds_served(&release.control_plane).await?;
    release.brings(["created"; 3]).await?;
    let kubeconfig = release.control_plane.as_account(NAMESPACE, ACCOUNT).await?;
    let operator = release.control_plane.start_operator(kubeconfig).await?;
    let took = started.elapsed();
    println!("chart: from helm install to an operator that is ready: {took:?}");
    ensure!(took < READY, "{took:?}");
    // what the harness runs is what the pod would run
    let args = "jsonpath={.spec.template.spec.containers[0].args}";
    let args = release.kubectl(&format!("get deployment -n {NAMESPACE} goldenpath -o {args}")).await?;
    ensure!(args == r#"["run"]"#, "{args}");
    for name in ["cron", "web-service", "worker"] {
        release.kubectl(&format!("wait --for=condition=Ready goldenpath/{name} --timeout=2m")).await?;
    }
    Ok(operator)
}

/// The namespace enforces the profile: the chart's pods are there, and a lesser one is refused.
async fn restricted(release: &Release) -> Result<()> {
    let pods = release.kubectl(&format!("get pods -n {NAMESPACE} -o jsonpath={{.items[*].status.phase}}")).await?;
    let running = pods.split(' ').filter(|phase| *phase == "Running").count();
    ensure!(pods.split(' ').count() == 3 && running == 2, "two replicas and the Job of the paths: {pods}");
    let run = format!("run lesser -n {NAMESPACE} --image=example.com/lesser:1");
    let refused = release.control_plane.kubectl_output(run.split(' '), "").await?;
    ensure!(refused.stderr.contains("violates PodSecurity \"restricted:latest\""), "{}", refused.stderr);
    Ok(())
}

/// Every command of NOTES.txt, as a person pastes them.
async fn notes_can_be_pasted(release: &Release) -> Result<()> {
    let notes = release.control_plane.helm(["get", "notes", RELEASE, "-n", NAMESPACE]).await?;
    let commands: Vec<&str> = notes.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    ensure!(commands.iter().filter(|line| line.starts_with("kubectl ")).count() >= 6, "{notes}");
    let said = release.control_plane.shell(&commands.join("\n")).await?.success()?;
    println!("chart: the commands of the notes say\n{said}");
    let state = "{.status.goldenPath.name} {.status.conditions[?(@.type==\"Ready\")].status}";
    release.control_plane.expect("default", "platformservice/hello", state, "web-service True").await
}

/// One path is edited so that a field of it changes, one so that a default goes, one is left as it is.
async fn upgrades(release: &Release) -> Result<()> {
    let edit = "patch goldenpath web-service --field-manager=kubectl-edit --type=json";
    let patch = r#"[{"op":"remove","path":"/spec/defaults/1"}]"#;
    release.kubectl(&format!("{edit} -p {patch}")).await?;
    let edit = "patch goldenpath cron --field-manager=kubectl-edit --type=merge";
    release.kubectl(&format!("{edit} -p {{\"spec\":{{\"version\":\"ours\"}}}}")).await?;
    let before = (release.path("web-service").await?, release.path("cron").await?);

    release.helm("upgrade", &release.second, &json!({})).await?;
    release.brings([EDITED, EDITED, UPDATED]).await?;
    ensure!(release.version("worker").await? == "2", "{}", release.path("worker").await?);
    let after = (release.path("web-service").await?, release.path("cron").await?);
    for (before, after) in [(&before.0, &after.0), (&before.1, &after.1)] {
        ensure!(before["spec"] == after["spec"], "{before} became {after}");
        ensure!(before["metadata"]["generation"] == after["metadata"]["generation"], "{after}");
    }
    // the same chart again is the same Job, which has done its work
    let jobs = format!("get jobs -n {NAMESPACE} -o name");
    let job = release.kubectl(&jobs).await?;
    release.helm("upgrade", &release.second, &json!({})).await?;
    ensure!(release.kubectl(&jobs).await? == job && job.lines().count() == 1, "{job}");
    release.brings([EDITED, EDITED, "up to date"]).await
}

/// A rollback renders nothing: it applies what was rendered before anybody had edited anything.
async fn rolls_back(release: &Release) -> Result<()> {
    release.control_plane.helm(["rollback", RELEASE, "1", "-n", NAMESPACE, "--wait"]).await?;
    release.brings([EDITED, EDITED, UPDATED]).await?;
    ensure!((release.version("worker").await?, release.version("cron").await?) == ("1".into(), "ours".into()));
    // who wants the shipped one back applies it from where it lies, and from then on it follows the chart
    let shipped = format!("get configmap -n {NAMESPACE} goldenpath-paths -o jsonpath={{.data.cron\\.yaml}}");
    let shipped = release.kubectl(&shipped).await?;
    let force = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    release.control_plane.kubectl_stdin(force, &shipped).await?;
    release.helm("upgrade", &release.second, &json!({})).await?;
    release.brings([UPDATED, EDITED, UPDATED]).await?;
    ensure!(release.version("cron").await? == "2", "{}", release.path("cron").await?);
    Ok(())
}

/// A path that a person deletes and makes anew is theirs; one that is switched off stays as it is, and so do definitions.
async fn belongs_to_others(release: &Release) -> Result<()> {
    release.kubectl("delete goldenpath cron").await?;
    let own = shipped("cron", "ours", &["enableServiceLinks"]);
    release.control_plane.apply(&serde_json::to_string(&own)?).await?;
    release.brings([FOREIGN, EDITED, "up to date"]).await?;
    let off = json!({"crds": {"install": false}, "paths": {"worker": {"install": false}}});
    let definitions = async || release.kubectl("get crds -o jsonpath={.items[*].metadata['name','uid']}").await;
    let before = definitions().await?;
    let all = goldenpath::api::crds::all();
    ensure!(all.iter().all(|crd| before.contains(&crd.name_any())), "{before}");
    release.helm("upgrade", &release.first, &off).await?;
    let of_release = release.control_plane.helm(["get", "manifest", RELEASE, "-n", NAMESPACE]).await?;
    ensure!(!of_release.contains("kind: CustomResourceDefinition"), "the release still has definitions");
    ensure!(definitions().await? == before, "{before} became {}", definitions().await?);
    let said = release.control_plane.run_paths_job().await?;
    ensure!(said == format!("cron: {FOREIGN}\nweb-service: {EDITED}\n"), "{said}");
    ensure!((release.version("worker").await?, release.version("cron").await?) == ("2".into(), "ours".into()));
    Ok(())
}

/// Definitions, paths and policies stay, so what was filled goes on being filled; the same chart can come back.
async fn uninstalls(release: &Release) -> Result<()> {
    let kept = "get crds,goldenpaths,platformservices,mutatingadmissionpolicybindings -o name";
    let before = release.kubectl(kept).await?;
    ensure!(before.lines().count() > 8, "{before}");
    // it holds no Lease here, and its pods tell
    let refused = release.control_plane.goldenpath(["release"]).await?;
    let runs = format!("an operator runs (pod {NAMESPACE}/goldenpath-");
    ensure!(refused.stderr.contains(&runs), "{} {}", refused.stdout, refused.stderr);
    release.control_plane.helm(["uninstall", RELEASE, "-n", NAMESPACE, "--wait"]).await?;
    ensure!(release.kubectl(kept).await? == before, "{}", release.kubectl(kept).await?);
    let gone = "get clusterroles,clusterrolebindings -l app.kubernetes.io/part-of=goldenpath -o name";
    let left = release.kubectl(gone).await?;
    ensure!(left.is_empty(), "{left}");
    let all = "deployments,services,serviceaccounts,roles,rolebindings,configmaps,jobs";
    let query = format!("get {all} -n {NAMESPACE} -l app.kubernetes.io/part-of=goldenpath -o name");
    let left = release.kubectl(&query).await?;
    ensure!(left.is_empty(), "{left}");

    is_released(release).await?;

    let chart = folder().to_string_lossy().into_owned();
    let other = ["install", "other", &chart, "-n", "default"];
    let refused = release.control_plane.helm_output(other).await?;
    ensure!(refused.stderr.contains("exists and cannot be imported into the current release"), "{}", refused.stderr);
    release.helm("install", &release.second, &json!({})).await?;
    release.brings([FOREIGN, EDITED, "up to date"]).await
}

const LABELS: &str = r"jsonpath={.metadata.generation} {.metadata.labels.goldenpath\.dev/service}";
const POLICIES: &str = "get mutatingadmissionpolicies,mutatingadmissionpolicybindings -l goldenpath.dev/path -o name";

/// The chart has gone, its policies act on; `goldenpath release` takes them off, and every label.
async fn is_released(release: &Release) -> Result<()> {
    let hello = async || release.control_plane.kubectl(["get", "deployment", "hello", "-o", LABELS]).await;
    let pods = async || release.kubectl("get pods -n default -o jsonpath={.items[*].metadata.uid}").await;
    let goldenpath = async |args: &[&str]| {
        let said = release.control_plane.goldenpath(["release"].iter().chain(args)).await?.success()?;
        println!("$ goldenpath release {}\n{said}", args.join(" "));
        anyhow::Ok(said)
    };
    let (before, pods_before) = (hello().await?, pods().await?);
    ensure!(before.ends_with(" hello") && !pods_before.is_empty(), "{before}");
    let policies = release.kubectl(POLICIES).await?;
    let tried = goldenpath(&["--dry-run"]).await?;
    ensure!(tried.contains("service=hello") && tried.contains("Nothing was changed."), "{tried}");
    for policy in policies.lines().filter_map(|line| line.rsplit('/').next()) {
        ensure!(tried.contains(policy), "{policy} is not in {tried}");
    }
    ensure!(
        (hello().await?, release.kubectl(POLICIES).await?) == (before.clone(), policies),
        "a dry run has changed something"
    );

    let record = release.control_plane.folder().join("record.jsonl");
    let record = record.to_string_lossy();
    goldenpath(&["--record", &record]).await?;
    let generation = before.trim_end_matches("hello").to_owned();
    ensure!((hello().await?, pods().await?) == (generation.clone(), pods_before), "{}", hello().await?);
    ensure!(release.kubectl(POLICIES).await?.is_empty());
    let everything = release.kubectl("get deployments,pdb -A -o jsonpath={.items[*].metadata.labels}").await?;
    ensure!(!everything.contains("goldenpath.dev/"), "{everything}");
    let again = goldenpath(&[]).await?;
    ensure!(again.starts_with("Nothing to take off"), "{again}");

    goldenpath(&["--undo", &record]).await?;
    ensure!(hello().await? == before, "{}", hello().await?);
    // a release once more, whose record may not be written over the first
    let refused = release.control_plane.goldenpath(["release", "--record", &record]).await?;
    ensure!(refused.stderr.contains("name another file with --record"), "{}", refused.stderr);
    ensure!(hello().await? == before, "refused, and done all the same");
    Ok(())
}
