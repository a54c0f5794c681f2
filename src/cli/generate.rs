//! Files that are derived from the code, and from `paths/`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::markdown::{replace_between, table};
use crate::api::{GoldenPath, PathDefault, crds};
use crate::chart;
use crate::observability::alerts::{Alert, Clock, RUNBOOK, Recording, alerts, recordings};
use crate::observability::catalogue::{ALL, Metric};
use crate::observability::dashboards;
use crate::plan::shipped::mark;

type Failure = Box<dyn std::error::Error>;

/// Folders with nothing but generated files: what is no longer derived leaves them.
const GENERATED_FOLDERS: [&str; 7] = [
    "crds",
    "charts/goldenpath/paths",
    "charts/goldenpath/templates/generated",
    "charts/goldenpath/alerts",
    "charts/goldenpath/dashboards",
    "manifests/alerts",
    "manifests/dashboards",
];

/// Writes every derived file below `root`.
pub fn write(root: &Path) -> Result<(), Failure> {
    let files = files(root)?;
    for folder in GENERATED_FOLDERS {
        for path in listed(root, folder)? {
            if !files.contains_key(&path) {
                std::fs::remove_file(root.join(path))?;
            }
        }
    }
    for (path, text) in files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(root))?;
        std::fs::write(path, text)?;
    }
    Ok(())
}

/// Every derived file by its path below the root of the repository, with its content.
fn files(root: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let mut files = BTreeMap::new();
    for crd in crds::all() {
        files.insert(format!("crds/{}", crds::file_name(&crd)), crds::yaml(&crd)?);
    }
    let paths = paths(root)?;
    files.insert(SHIPPED_PATHS.to_owned(), shipped_paths(root, &paths)?);
    files.insert(METRICS.to_owned(), metrics(root)?);
    files.insert(RUNBOOK.to_owned(), runbook(root)?);
    files.insert(format!("manifests/{}", chart::ALERTS), chart::alerts()?);
    for dashboard in dashboards::all() {
        files.insert(format!("manifests/dashboards/{}", dashboard.file()), dashboard.json()?);
    }
    let chart = chart::files(&paths)?;
    files.extend(chart.into_iter().map(|(path, text)| (format!("{}/{path}", chart::FOLDER), text)));
    Ok(files)
}

/// The paths of `paths/`, which holds nothing else.
fn paths(root: &Path) -> Result<Vec<GoldenPath>, Failure> {
    let read = |path: String| parse(&path, &std::fs::read_to_string(root.join(&path))?);
    listed(root, "paths")?.into_iter().map(read).collect()
}

fn parse(path: &str, text: &str) -> Result<GoldenPath, Failure> {
    let object: Value = serde_saphyr::from_str(text).map_err(|error| format!("{path}: {error}"))?;
    let parsed: GoldenPath = serde_json::from_value(object.clone()).map_err(|error| format!("{path}: {error}"))?;
    let name = parsed.metadata.name.clone().unwrap_or_default();
    if path != format!("paths/{name}.yaml") {
        return Err(format!("{path} holds GoldenPath {name:?}: name the file after the path").into());
    }
    // the type drops what it does not know, and so would the API server
    if mark(&object["spec"]) != mark(&serde_json::to_value(&parsed.spec)?) {
        return Err(format!("{path} says something that a GoldenPath cannot: is a field misspelt?").into());
    }
    Ok(parsed)
}

/// The files of a folder in order; none when it is not there.
fn listed(root: &Path, folder: &str) -> Result<Vec<String>, Failure> {
    let mut paths = Vec::new();
    if root.join(folder).is_dir() {
        for entry in root.join(folder).read_dir()? {
            paths.push(format!("{folder}/{}", entry?.file_name().to_string_lossy()));
        }
    }
    paths.sort();
    Ok(paths)
}

const METRICS: &str = "docs/metrics.md";

/// The page about metrics, with every metric and a question that it answers.
fn metrics(root: &Path) -> Result<String, Failure> {
    let code = |text: &str| format!("`{text}`");
    let labels = |metric: &Metric| metric.labels.iter().map(|label| code(label)).collect::<Vec<_>>().join(", ");
    let row = |metric: &Metric| {
        vec![
            code(metric.name),
            metric.kind.text().to_owned(),
            metric.unit().to_owned(),
            labels(metric),
            metric.help.to_owned(),
        ]
    };
    let question = |metric: &Metric| vec![metric.example.0.to_owned(), code(metric.example.1)];
    let (rows, questions): (Vec<_>, Vec<_>) = ALL.iter().map(|metric| (row(metric), question(metric))).unzip();
    let text = std::fs::read_to_string(root.join(METRICS))?;
    let text = replace_between(&text, "metrics", &table(&["name", "type", "unit", "labels", "what it counts"], &rows))?;
    Ok(replace_between(&text, "questions", &table(&["question", "PromQL"], &questions))?)
}

/// The page about alerts, with every rule.
fn runbook(root: &Path) -> Result<String, Failure> {
    let alert = |alert: Alert| {
        vec![
            format!("[{}](#{})", alert.name, alert.name.to_lowercase()),
            alert.severity.text().to_owned(),
            alert.wait.unwrap_or_else(|| "at once".to_owned()),
            alert.when.to_owned(),
        ]
    };
    let rows: Vec<Vec<String>> = alerts(Clock::REAL).into_iter().map(alert).collect();
    let recording = |rule: Recording| vec![format!("`{}`", rule.name), rule.holds.to_owned()];
    let recorded: Vec<Vec<String>> = recordings().into_iter().map(recording).collect();
    let text = std::fs::read_to_string(root.join(RUNBOOK))?;
    let text = replace_between(&text, "alerts", &table(&["alert", "severity", "after", "fires when"], &rows))?;
    Ok(replace_between(&text, "recordings", &table(&["series", "what it holds"], &recorded))?)
}

const SHIPPED_PATHS: &str = "docs/shipped-paths.md";

/// The page about the shipped paths with one table a path.
fn shipped_paths(root: &Path, paths: &[GoldenPath]) -> Result<String, Failure> {
    let mut text = std::fs::read_to_string(root.join(SHIPPED_PATHS))?;
    for path in paths {
        text = replace_between(&text, path.metadata.name.as_deref().unwrap_or_default(), &defaults(path))?;
    }
    Ok(text)
}

/// How a default gets to a workload.
#[must_use]
pub fn how(default: &PathDefault) -> &'static str {
    match (&default.pod_template, default.resources.as_slice()) {
        (Some(_), _) => "filled",
        (None, [_, ..]) => "made beside",
        (None, []) => "checked",
    }
}

fn defaults(path: &GoldenPath) -> String {
    let row = |default: &PathDefault| {
        vec![
            format!("`{}`", default.name),
            how(default).to_owned(),
            default.owner.map(|owner| format!("{owner:?}")).unwrap_or_default(),
            default.category.map(|category| format!("{category:?}")).unwrap_or_default(),
            default.weight.to_string(),
            default.reason.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<Vec<String>> = path.spec.defaults.iter().map(row).collect();
    table(&["default", "how", "owner", "category", "weight", "without it"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_derived_lies_in_the_repository() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let files = files(root).unwrap();
        for (path, text) in &files {
            let found = std::fs::read_to_string(root.join(path)).unwrap_or_default();
            assert!(found == *text, "{path} is out of date: run `make generate`");
        }
        for folder in GENERATED_FOLDERS {
            for path in listed(root, folder).unwrap() {
                assert!(files.contains_key(&path), "{path} is derived from nothing: run `make generate`");
            }
        }
    }

    #[test]
    fn the_runbook_has_a_part_for_every_alert_and_for_nothing_else() {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(RUNBOOK)).unwrap();
        let parts: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## Goldenpath")).collect();
        let alerts = alerts(Clock::REAL);
        let names: Vec<&str> = alerts.iter().filter_map(|alert| alert.name.strip_prefix("Goldenpath")).collect();
        assert_eq!(parts, names);
    }

    #[test]
    fn the_chart_ships_what_the_paths_say() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let paths = paths(root).unwrap();
        assert!(!paths.is_empty());
        let files = chart::files(&paths).unwrap();
        for path in paths {
            // long texts are folded on their way
            let name = path.metadata.name.as_deref().unwrap();
            let shipped: GoldenPath = serde_saphyr::from_str(&files[&format!("paths/{name}.yaml")]).unwrap();
            assert_eq!(shipped.spec, path.spec);
        }
    }

    #[test]
    fn a_shipped_path_is_read_strictly() {
        let path = |spec: &str| {
            format!("apiVersion: goldenpath.dev/v1alpha1\nkind: GoldenPath\nmetadata: {{name: cron}}\nspec: {spec}")
        };
        let good = "{stage: Stable, defaults: [{name: links, podTemplate: {spec: {enableServiceLinks: false}}}]}";
        assert!(parse("paths/cron.yaml", &path(good)).is_ok());
        let failed = |name: &str, spec: &str| parse(name, &path(spec)).unwrap_err().to_string();
        assert!(failed("paths/worker.yaml", good).contains("name the file after the path"));
        assert!(failed("paths/cron.yaml", &good.replace("podTemplate", "podTemplat")).contains("is a field misspelt?"));
    }
}
