//! The record of a release, one object a line, and the table of what it takes off.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use k8s_openapi::jiff::Timestamp;

use super::cluster::{Policy, ReleaseError};
use crate::plan::release::Marks;

/// Where the record goes when nobody says it: a file that no release of before has.
pub fn default_path(now: Timestamp) -> PathBuf {
    format!("goldenpath-release-{}.jsonl", now.strftime("%Y%m%dT%H%M%SZ")).into()
}

/// Writes the record, on the disk before anything is taken off. A file that is there may be the only record of a release.
pub fn write(path: &Path, marked: &[Marks]) -> Result<(), ReleaseError> {
    let failed = |source| ReleaseError::Record { path: path.display().to_string(), source };
    let mut text = Vec::new();
    for marks in marked {
        serde_json::to_writer(&mut text, marks).map_err(|source| failed(source.into()))?;
        text.push(b'\n');
    }
    let mut file = std::fs::File::create_new(path).map_err(failed)?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)
}

/// Reads a record.
pub fn read(path: &Path) -> Result<Vec<Marks>, ReleaseError> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| ReleaseError::Record { path: shown.clone(), source })?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty());
    let parse = |(number, line)| {
        serde_json::from_str(line).map_err(|source| ReleaseError::NoRecord {
            path: shown.clone(),
            line: number + 1,
            source,
        })
    };
    lines.map(parse).collect()
}

/// A line for each object, in columns.
pub fn table(policies: &[Policy], marked: &[Marks], last: &str) -> String {
    let row = |cells: [&str; 4]| cells.map(ToOwned::to_owned);
    let policies = policies.iter().map(|policy| row([policy.kind, "-", &policy.name, "the object"]));
    let marked = marked.iter().map(|m| row([&m.kind, &m.namespace, &m.name, &m.shown()]));
    let rows: Vec<_> =
        std::iter::once(row(["KIND", "NAMESPACE", "NAME", last])).chain(policies).chain(marked).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let widths = [width(0), width(1), width(2)];
    rows.iter().fold(String::new(), |mut text, [kind, namespace, name, what]| {
        let [a, b, c] = widths;
        let _ = writeln!(text, "{kind:a$}   {namespace:b$}   {name:c$}   {what}"); // writing to a String cannot fail
        text
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn marks() -> Marks {
        let line = json!({"apiVersion": "apps/v1", "kind": "Deployment", "resource": "deployments", "namespace": "prod",
            "name": "shop", "uid": "u1", "labels": {"goldenpath.dev/service": "shop"}});
        serde_json::from_value(line).unwrap()
    }

    #[test]
    fn a_record_is_never_written_over_and_a_wrong_line_is_named() {
        let folder = std::env::temp_dir().join(format!("goldenpath-release-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("record.jsonl");
        write(&path, &[marks(), marks()]).unwrap();
        assert_eq!(read(&path).unwrap(), [marks(), marks()]);
        assert!(write(&path, &[]).is_err());
        std::fs::write(&path, "{\"kind\": \"Deployment\"}\n").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("line 1 of") && error.contains("record.jsonl"), "{error}");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_table_stands_in_columns() {
        let policies = [Policy { kind: "MutatingAdmissionPolicy", name: "goldenpath-web".to_owned() }];
        let text = table(&policies, &[marks()], "TAKES OFF");
        let expected = "\
KIND                      NAMESPACE   NAME             TAKES OFF
MutatingAdmissionPolicy   -           goldenpath-web   the object
Deployment                prod        shop             service=shop
";
        assert_eq!(text, expected);
    }
}
