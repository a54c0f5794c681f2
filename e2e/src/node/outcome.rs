//! What a change of a path and of a Deprecation ends in, so that two of them can be compared.

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};

use crate::ControlPlane;

/// All kinds that the operator writes, and in whose status it says something.
const KINDS: &str = "goldenpaths,deprecations,platformservices,deployments,controllerrevisions,\
                     mutatingadmissionpolicies,mutatingadmissionpolicybindings,validatingadmissionpolicies,\
                     validatingadmissionpolicybindings";
/// Fields that tell of objects, versions and times, and not of what was asked for.
const VOLATILE: [&str; 9] = [
    "history", // of weeks: what the first look of a week saw
    "resourceVersion",
    "uid",
    "generation",
    "observedGeneration",
    "managedFields",
    "provedBy",
    "creationTimestamp",
    "kubectl.kubernetes.io/last-applied-configuration",
];

/// What the revision is called that everybody has left.
pub const LEFT: &str = "<old>";

/// Everything that bears the name of a run, as lines of a text: `path = value`, without versions and times, and with names of
/// the run that fit any other.
///
/// # Errors
/// When it cannot be read.
pub async fn outcome(plane: &ControlPlane, run: &str, revisions: &[(String, &str)]) -> Result<Vec<String>> {
    let text = plane.kubectl(["get", KINDS, "-A", "-o", "json"]).await?;
    let list: Value = serde_json::from_str(&text)?;
    let mut lines = Vec::new();
    for object in list["items"].as_array().context("a list without items")? {
        let of = |name: &str| object["metadata"][name].as_str().unwrap_or_default();
        if !of("name").contains(run) && !of("namespace").contains(run) {
            continue;
        }
        // a policy that nobody is under any more goes some time after the last one has left it
        let revision = object.pointer("/metadata/labels/goldenpath.dev~1revision").and_then(Value::as_str);
        let is_left =
            revision.is_some_and(|revision| revisions.iter().any(|(old, what)| old == revision && *what == LEFT));
        if is_left && of("namespace").is_empty() {
            continue;
        }
        let name = [of("namespace"), object["kind"].as_str().unwrap_or_default(), of("name")].join("/");
        // and those that take values out know the values of all that are there
        let knows_all = ["-release-", "-switch-"].iter().any(|of_all| name.contains(of_all));
        let mut object = object.clone();
        if knows_all && let Some(fields) = object.as_object_mut() {
            fields.remove("spec");
        }
        // what kubelets and controllers say of pods is not ours
        if object["kind"] == "Deployment"
            && let Some(fields) = object.as_object_mut()
        {
            fields.remove("status");
        }
        flatten(&object, &name, &mut lines);
    }
    for line in &mut lines {
        for (revision, called) in revisions {
            *line = line.replace(revision.as_str(), called);
        }
        *line = without_hashes(&line.replace(run, "run"));
    }
    lines.sort();
    Ok(lines)
}

/// Names are hashed in names, and in what is announced.
fn without_hashes(line: &str) -> String {
    let is_hash =
        |word: &str| matches!(word.len(), 8 | 16) && word.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let words = line.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
    let word = |word: &str| {
        let bare = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        if is_hash(bare) { word.replacen(bare, "<hash>", 1) } else { word.to_owned() }
    };
    words.map(word).collect()
}

fn flatten(value: &Value, path: &str, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) => each(fields, path, into),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                flatten(item, &format!("{path}[{index}]"), into);
            }
        }
        Value::String(text) if text.parse::<jiff::Timestamp>().is_ok() => into.push(format!("{path} = a time")),
        other => into.push(format!("{path} = {other}")),
    }
}

fn each(fields: &Map<String, Value>, path: &str, into: &mut Vec<String>) {
    for (name, value) in fields.iter().filter(|(name, _)| !VOLATILE.contains(&name.as_str())) {
        flatten(value, &format!("{path}.{name}"), into);
    }
}

/// Whether two are the same.
///
/// # Errors
/// When they are not: with the lines that one of them lacks.
pub fn same(undisturbed: &[String], disturbed: &[String]) -> Result<()> {
    let lacks = |sign: &str, of: &[String], other: &[String]| -> Vec<String> {
        of.iter().filter(|line| !other.contains(line)).map(|line| format!("{sign} {line}")).collect()
    };
    let differ = [lacks("-", undisturbed, disturbed), lacks("+", disturbed, undisturbed)].concat();
    ensure!(!undisturbed.is_empty(), "there is nothing to compare");
    ensure!(differ.is_empty(), "faults have changed the outcome:\n{}", differ.join("\n"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_versions_make_no_difference_and_values_do() {
        let lines = |value: &str, time: &str| {
            let text = format!(
                r#"{{"metadata": {{"uid": "{time}", "labels": {{"a": "{value}"}}}}, "status": {{"since": "{time}"}}}}"#
            );
            let mut lines = Vec::new();
            flatten(&serde_json::from_str(&text).unwrap(), "x", &mut lines);
            lines
        };
        let (one, later) = (lines("1", "2026-11-27T00:00:00Z"), lines("1", "2026-11-27T00:01:00Z"));
        assert!(same(&one, &later).is_ok() && one.len() == 2, "{one:?}");
        let other = same(&one, &lines("2", "2026-11-27T00:00:00Z")).unwrap_err().to_string();
        assert!(
            other.contains("- x.metadata.labels.a = \"1\"") && other.contains("+ x.metadata.labels.a = \"2\""),
            "{other}"
        );
        assert!(same(&[], &[]).is_err());
        assert_eq!(
            without_hashes("/goldenpath-depr-run-warn-9882f696.name = \"4f4660490f256408\""),
            "/goldenpath-depr-run-warn-<hash>.name = \"<hash>\""
        );
    }
}
