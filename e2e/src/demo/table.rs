//! The fleet at a glance: what stands in each workload's pod template, and whose it is.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use goldenpath::api::WorkloadKind;
use goldenpath::plan::leaf::{Leaf, Place};
use goldenpath::plan::ownership::Ownership;
use serde_json::Value;

use super::cluster::TEAMS;
use super::terminal::colours;
use crate::ControlPlane;

/// The fields that the shipped paths fill, and where they lie.
const FIELDS: [(&str, Place, &[&str]); 4] = [
    ("requests", Place::Containers, &["resources", "requests"]),
    ("seccomp", Place::Pod, &["securityContext", "seccompProfile"]),
    ("dropped", Place::Containers, &["securityContext", "capabilities", "drop"]),
    ("spread", Place::Pod, &["topologySpreadConstraints"]),
];

/// Whose a field of a workload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    /// Nobody has set it, in one container at least
    Open,
    /// It stands there and belongs to no field manager
    Road,
    /// The team has set it
    Team,
}

/// A table of all workloads of the demo, by team, as they are now.
///
/// # Errors
/// When the cluster does not answer.
pub(super) async fn fleet(cluster: &ControlPlane) -> Result<String> {
    let services = services(cluster).await?;
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if !colours() {
        table.force_no_tty();
    }
    let fields = FIELDS.iter().map(|(name, ..)| name.to_uppercase());
    let head = ["TEAM", "KIND", "WORKLOAD"].map(str::to_owned).into_iter().chain(fields);
    table.set_header(head.chain(["STATE", "SCORE", "ROLLOUTS"].map(str::to_owned)).collect::<Vec<_>>());
    for team in TEAMS {
        let revisions = items(cluster, team, "controllerrevisions").await?;
        for kind in WorkloadKind::ALL {
            for object in items(cluster, team, &kind.to_string()).await? {
                table.add_row(row(team, kind, &object, &services, &rollouts(&object, &revisions)));
            }
        }
    }
    Ok(table.to_string())
}

async fn items(cluster: &ControlPlane, namespace: &str, kind: &str) -> Result<Vec<Value>> {
    let query = ["get", kind, "-n", namespace, "-o", "json", "--show-managed-fields"];
    let mut list: Value = serde_json::from_str(&cluster.kubectl(query).await?)?;
    serde_json::from_value(list["items"].take()).context("a list without items")
}

/// State and score by namespace, kind and name of a workload.
type Services = BTreeMap<(String, String, String), [String; 2]>;

async fn services(cluster: &ControlPlane) -> Result<Services> {
    let mut found = BTreeMap::new();
    let known = cluster.kubectl(["api-resources", "--api-group=goldenpath.dev", "-o", "name"]).await?;
    if known.is_empty() {
        return Ok(found);
    }
    for team in TEAMS {
        for service in items(cluster, team, "platformservices").await? {
            let status = |name: &str| service["status"]["workloads"].as_array()?.iter().find(|w| w["name"] == *name);
            for workload in service["spec"]["workloads"].as_array().into_iter().flatten() {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let reference = &workload["ref"];
                let status = workload["name"].as_str().and_then(status).unwrap_or(&Value::Null);
                let key = (team.to_owned(), text(&reference["kind"]), text(&reference["name"]));
                found.insert(key, [text(&status["state"]), text(&status["score"])]);
            }
        }
    }
    Ok(found)
}

/// How many rollouts a workload has had: the number of its last one. CronJobs have none.
fn rollouts(object: &Value, revisions: &[Value]) -> String {
    let annotation = object.pointer("/metadata/annotations/deployment.kubernetes.io~1revision").and_then(Value::as_str);
    let own = |revision: &&Value| revision["metadata"]["ownerReferences"][0]["uid"] == object["metadata"]["uid"];
    let last = revisions.iter().filter(own).filter_map(|revision| revision["revision"].as_i64()).max();
    annotation.map(str::to_owned).or(last.map(|last| last.to_string())).unwrap_or_else(|| "-".to_owned())
}

fn row(team: &str, kind: WorkloadKind, object: &Value, services: &Services, rollouts: &str) -> Vec<Cell> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let name = text("/metadata/name");
    let service = services.get(&(team.to_owned(), kind.to_string(), name.clone()));
    let [state, score] = service.cloned().unwrap_or_else(|| ["-".to_owned(), "-".to_owned()]);
    let mut row = vec![Cell::new(team), Cell::new(kind), Cell::new(name)];
    row.extend(FIELDS.iter().map(|(_, place, path)| field(whose(kind, object, *place, path))));
    let color = if state == "Adopted" { Color::Green } else { Color::Reset };
    row.extend([Cell::new(state).fg(color), Cell::new(score), Cell::new(rollouts)]);
    row
}

fn field(whose: Whose) -> Cell {
    match whose {
        Whose::Open => Cell::new("-").fg(Color::DarkGrey),
        Whose::Road => Cell::new("path").fg(Color::Green).add_attribute(Attribute::Bold),
        Whose::Team => Cell::new("team"),
    }
}

/// The least of all containers: a field that one of them lacks is open.
fn whose(kind: WorkloadKind, object: &Value, place: Place, path: &[&str]) -> Whose {
    let leaf = Leaf { place, path: path.iter().map(|&name| name.to_owned()).collect(), entry: None };
    let ownership = Ownership::of(kind, object);
    let spec = kind.template_path().iter().chain(&["spec"]).fold(object, |at, name| &at[*name]);
    let of = |root: &Value, container: Option<&str>| match leaf.get(root) {
        None => Whose::Open,
        Some(_) if ownership.owners(&leaf, container).next().is_some() => Whose::Team,
        Some(_) => Whose::Road,
    };
    match place.list() {
        None => of(spec, None),
        Some(list) => {
            let containers = spec[list].as_array().into_iter().flatten();
            containers.map(|container| of(container, container["name"].as_str())).min().unwrap_or(Whose::Open)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_is_as_open_as_in_the_container_that_has_least_of_it() {
        let owned = json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {
            "k:{\"name\":\"a\"}": {"f:resources": {"f:requests": {"f:cpu": {}}}}}}}}});
        let mut object = json!({
            "metadata": {"managedFields": [{"manager": "kubectl", "operation": "Apply", "fieldsV1": owned}]},
            "spec": {"template": {"spec": {"containers": [
                {"name": "a", "resources": {"requests": {"cpu": "1"}}}, {"name": "b"}]}}},
        });
        let requests = |object: &Value| whose(WorkloadKind::Deployment, object, Place::Containers, FIELDS[0].2);
        assert_eq!(requests(&object), Whose::Open);
        object["spec"]["template"]["spec"]["containers"][1]["resources"] = json!({"requests": {"cpu": "50m"}});
        assert_eq!(requests(&object), Whose::Road);
        object["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap().pop();
        assert_eq!(requests(&object), Whose::Team);
    }
}
