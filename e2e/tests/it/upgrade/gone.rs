//! The end of an installation, by the very commands of docs/uninstall.md: nothing is left, nothing hangs, and nobody's workload
//! notices.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use goldenpath::api::labels;
use goldenpath_e2e::installed::NAMESPACE;
use goldenpath_e2e::{Operator, programs};
use serde_json::Value;

use super::cluster::{Cluster, Objects};
use super::same_generations;

/// Definitions with all their objects, and a namespace: seconds, as long as nothing hangs.
const IN_TIME: Duration = Duration::from_mins(3);
/// Annotations that stay, since those of a Deployment count as a change of it.
const STAY: [&str; 3] = [labels::FILL, labels::APPLIED, labels::SKIP];

/// The commands of the first example of the page.
fn commands() -> Result<Vec<String>> {
    let page = std::fs::read_to_string(programs::repository().join("docs/uninstall.md"))?;
    let block = page.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).context("no commands")?;
    Ok(block.lines().map(str::to_owned).collect())
}

/// Runs commands in the folder of the control plane, where the record of the release is written.
async fn run(cluster: &Cluster, commands: &[String]) -> Result<String> {
    let program = programs::sibling("goldenpath")?;
    let bin = program.parent().context("a program in no folder")?.display().to_string();
    let begin = format!("cd {}\nPATH={bin}:$PATH", cluster.control_plane.folder().display());
    let said = cluster.control_plane.shell(&format!("{begin}\n{}", commands.join("\n"))).await?.success()?;
    println!("$ {}\n{said}", commands.join("\n$ "));
    Ok(said)
}

/// Every object of every kind that can be listed but ours, Events, and definitions.
async fn everything(cluster: &Cluster) -> Result<Objects> {
    let kinds = cluster.kubectl("api-resources --verbs=list -o name").await?;
    let is_asked = |kind: &&str| {
        !kind.ends_with(".goldenpath.dev")
            && !kind.starts_with("events")
            && !kind.starts_with("customresourcedefinitions")
    };
    let kinds: Vec<&str> = kinds.lines().filter(is_asked).collect();
    let list = cluster.kubectl(&format!("get {} -A -o json", kinds.join(","))).await?;
    let list: Value = serde_json::from_str(&list)?;
    let objects = list["items"].as_array().context("no list")?.iter().map(|object| {
        let meta = |name: &str| object["metadata"][name].as_str().unwrap_or_default();
        let kind = object["kind"].as_str().unwrap_or_default();
        (format!("{kind} {}/{}", meta("namespace"), meta("name")), object.clone())
    });
    Ok(objects.collect())
}

/// What of ours is on objects, without what the page says stays: annotations, and revisions.
fn left(objects: &Objects) -> BTreeMap<&str, String> {
    let left = objects.iter().filter(|(key, _)| !key.starts_with("ControllerRevision ")).filter_map(|(key, object)| {
        let mut object = object.clone();
        let meta = object["metadata"].as_object_mut()?;
        meta.remove("managedFields");
        if let Some(annotations) = meta.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.retain(|name, _| {
                !STAY.contains(&name.as_str()) && name != "kubectl.kubernetes.io/last-applied-configuration"
            });
        }
        let text = object.to_string();
        let is_policy =
            key.contains("AdmissionPolicy") && object["metadata"]["name"].as_str()?.starts_with("goldenpath");
        (is_policy || text.contains("goldenpath.dev/")).then_some((key.as_str(), text))
    });
    left.collect()
}

pub async fn is_uninstalled(cluster: &Cluster, mut operator: Operator) -> Result<()> {
    cluster.quiet().await?;
    let (before, pods) = (cluster.objects().await?, cluster.pods().await?);
    let carries = everything(cluster).await?;
    let carries: Vec<&str> = left(&carries).into_keys().map(|key| key.split(' ').next().unwrap_or(key)).collect();
    // what there is to take off: of a path, of a Deprecation, of feedback, of companions, and of workloads that were made
    for kind in [
        "MutatingAdmissionPolicy",
        "ValidatingAdmissionPolicy",
        "PodDisruptionBudget",
        "CronJob",
        "StatefulSet",
        "Service",
    ] {
        ensure!(carries.contains(&kind), "no {kind} in {carries:?}");
    }
    let commands = commands()?;
    let (release, definitions) = commands.split_at(3);
    ensure!(release[2] == "goldenpath release" && definitions.len() == 2, "{commands:?}");

    // the pods of the chart end with it
    operator.terminate().await?;
    run(cluster, release).await?;
    let released = everything(cluster).await?;
    ensure!(left(&released).is_empty(), "{:#?}", left(&released));
    same_generations("release", &before, &cluster.objects().await?)?;
    ensure!(pods == cluster.pods().await?, "pods restarted");

    let started = Instant::now();
    tokio::time::timeout(IN_TIME, run(cluster, definitions)).await.context("definitions and namespace do not go")??;
    println!("uninstall: definitions and namespace are gone after {:?}", started.elapsed());
    let gone = everything(cluster).await?;
    ensure!(left(&gone).is_empty(), "{:#?}", left(&gone));
    let ours: Vec<&String> = gone.keys().filter(|key| key.contains(&format!(" {NAMESPACE}/"))).collect();
    ensure!(ours.is_empty(), "{ours:?}");
    let definitions = cluster.kubectl("get crds -o name").await?;
    ensure!(!definitions.contains("goldenpath.dev"), "{definitions}");
    // nobody's garbage: what was made, and what was made beside it, is as it was
    for (key, object) in &released {
        let (meta, is_a_teams) =
            (&object["metadata"], [" dev/", " prod/"].iter().any(|namespace| key.contains(namespace)));
        let identity = |object: &Value| (object["metadata"]["uid"].clone(), object["metadata"]["generation"].clone());
        let is_still_there = gone.get(key).is_some_and(|now| identity(now) == identity(object));
        ensure!(!is_a_teams || is_still_there, "{key} was {meta}, and is {:?}", gone.get(key));
    }
    ensure!(pods == cluster.pods().await?, "pods restarted");
    Ok(())
}
