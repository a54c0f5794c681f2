//! The paths of `paths/`, as files: each is one whole manifest, and every default in it can stand before a team.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use goldenpath::api::{GoldenPath, WorkloadKind};
use goldenpath::plan::revision::Revision;
use serde_json::Value;

/// File name and content of every shipped path.
fn shipped() -> Vec<(String, GoldenPath)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("paths");
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |file: std::path::PathBuf| {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        let value: Value = serde_saphyr::from_str(&text).unwrap();
        let path: GoldenPath = serde_json::from_value(value.clone()).unwrap_or_else(|e| panic!("{name}: {e}"));
        // what the type does not know would be pruned without a word
        let known = serde_json::to_value(&path).unwrap();
        assert!(contains(&known["spec"], &value["spec"]), "{name} has a field that a GoldenPath does not have");
        (name, path)
    };
    files.into_iter().map(read).collect()
}

/// Whether all that is in `part` is in `whole`.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(name, value)| whole.get(name).is_some_and(|of| contains(of, value)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(of, value)| contains(of, value))
        }
        (whole, part) => whole == part,
    }
}

#[test]
fn they_are_three_and_claim_every_kind_once() {
    let shipped = shipped();
    let files: Vec<&str> = shipped.iter().map(|(file, _)| file.as_str()).collect();
    assert_eq!(files, ["cron.yaml", "web-service.yaml", "worker.yaml"]);
    for (file, path) in &shipped {
        assert_eq!(path.metadata.name.as_deref(), file.strip_suffix(".yaml"));
    }
    let mut claimed: Vec<WorkloadKind> = shipped.iter().flat_map(|(_, path)| path.spec.default_for.clone()).collect();
    claimed.sort();
    assert_eq!(claimed, WorkloadKind::ALL);
}

#[test]
fn each_makes_a_revision_whose_checks_compile() {
    for (file, path) in shipped() {
        let revision = Revision::draft(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(revision.rules.len(), path.spec.defaults.len());
        for rule in &revision.rules {
            assert!(!matches!(rule.compiled_check(), Some(Err(_))), "{file}: {}", rule.name);
        }
    }
}

#[test]
fn every_default_says_whose_it_is_what_it_is_good_for_what_to_do_and_why() {
    for (file, path) in shipped() {
        let defaults = &path.spec.defaults;
        assert!((12..=16).contains(&defaults.len()), "{file} has {} defaults", defaults.len());
        let names: BTreeSet<&String> = defaults.iter().map(|d| &d.name).collect();
        assert_eq!(names.len(), defaults.len(), "{file}: a name stands twice");
        for default in defaults {
            let whose = format!("{file}: {}", default.name);
            assert!(default.owner.is_some() && default.category.is_some(), "{whose} has no owner or no category");
            for sentence in [&default.hint, &default.reason] {
                let sentence = sentence.as_deref().unwrap_or_default();
                assert!(sentence.ends_with('.') && sentence.contains(' '), "{whose}: {sentence:?} is no sentence");
            }
        }
    }
}
