//! Both engines say the same: every workload of the corpus, made anew where its path refuses what is off it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use goldenpath::api::{GoldenPath, WorkloadKind};
use goldenpath::plan::feedback::failing;
use goldenpath::plan::revision::Revision;
use goldenpath::policy::Proof;
use goldenpath_e2e::evidence::shipped_paths;
use goldenpath_e2e::{corpus, road, story};
use kube::Client;
use kube::api::{DynamicObject, PostParams};
use serde_json::{Value, json};

use super::{turn, workload};

/// Requests at a time.
const AT_A_TIME: usize = 8;

/// A path with what its policies would say.
struct Speaking {
    revision: Revision,
    proof: Proof,
}

impl Speaking {
    fn of(path: &GoldenPath) -> Self {
        let revision = Revision::draft(path).unwrap();
        let proof = Proof::of(&path.spec, &revision, &road::operator()).unwrap();
        Self { revision, proof }
    }
}

#[tokio::test]
async fn the_api_server_refuses_what_the_pure_function_finds_and_says_it_in_the_same_words() {
    let (road, selected) = turn().await;
    let unselected = road.control_plane.namespace("untold").await.unwrap();
    let mut speaking = BTreeMap::new();
    for mut path in shipped_paths().unwrap() {
        let selector = json!({"matchLabels": {"feedback": "on"}});
        path.spec.admission = serde_json::from_value(json!({"level": "Deny", "namespaceSelector": selector})).unwrap();
        road.control_plane.golden_path(&json!(path).to_string()).await.unwrap();
        for kind in path.spec.default_for.clone() {
            road.speaks(kind, &selected).await;
            speaking.insert(kind, Speaking::of(&path));
        }
    }
    let files = corpus().unwrap();
    println!("{} files of the corpus", files.len());
    let mut workloads: Vec<(WorkloadKind, Value)> =
        WorkloadKind::ALL.into_iter().map(|kind| (kind, workload(kind, "known"))).collect();
    let documents = files.into_iter().flat_map(|file| file.documents);
    workloads.extend(
        documents.filter_map(|document| Some((serde_json::from_value(document["kind"].clone()).ok()?, document))),
    );

    let client = road.control_plane.client().await.unwrap();
    let asked = workloads
        .iter()
        .map(|(kind, document)| said_alike(&client, *kind, document, &speaking[kind], [&selected, &unselected]));
    let outcomes: Vec<Result<Option<usize>>> = futures::stream::iter(asked).buffer_unordered(AT_A_TIME).collect().await;
    let wrong: Vec<String> = outcomes.iter().filter_map(|o| o.as_ref().err().map(|e| format!("{e:#}"))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let failing: Vec<usize> = outcomes.iter().flatten().copied().flatten().collect();
    println!(
        "{} workloads: {} refused, for {} checks in all; {} are refused without us, too",
        workloads.len(),
        failing.iter().filter(|checks| **checks > 0).count(),
        failing.iter().sum::<usize>(),
        workloads.len() - failing.len()
    );
    assert!(failing.iter().sum::<usize>() > failing.len(), "there is something to compare");
}

/// How many checks do not hold; nothing when the workload is refused without us, too.
async fn said_alike(
    client: &Client,
    kind: WorkloadKind,
    document: &Value,
    path: &Speaking,
    [selected, unselected]: [&str; 2],
) -> Result<Option<usize>> {
    let create = async |namespace: &str| {
        let mut object: DynamicObject = serde_json::from_value(document.clone())?;
        object.metadata.namespace = Some(namespace.to_owned());
        // nothing is stored, so one free name does for all
        object.metadata.name = Some("tried".to_owned());
        let params = PostParams { dry_run: true, field_manager: Some("team".to_owned()) };
        anyhow::Ok(story::workloads(client, kind, namespace).create(&params, &object).await)
    };
    let what = || format!("{kind} {}", document["metadata"]["name"]);
    let bare = match create(unselected).await? {
        Ok(bare) => json!(bare),
        Err(kube::Error::Api(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let expected = failing(kind, &bare, &json!({"metadata": {"name": selected}}), &path.revision);
    let expected = expected.map_err(|error| anyhow::anyhow!("{}: {error}", what()))?;
    match create(selected).await? {
        Ok(_) => ensure!(expected.is_empty(), "{} passes with {expected:?}", what()),
        Err(kube::Error::Api(status)) => {
            let said = status.message.split("denied request: ").nth(1).with_context(|| status.message.clone())?;
            // what the path would fill is only said in a warning, behind the rest
            let words = path.proof.answer(&format!("{kind} tried"), &expected);
            ensure!(!expected.is_empty() && words.starts_with(said), "{}: {said}\nnot: {words}", what());
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Some(expected.len()))
}
