//! Rendered variants of the chart, as golden files: a change of a template shows what it changes.

use goldenpath_e2e::chart;
use rstest::rstest;

use super::manifest::EVERYTHING;

/// What has a file of its own, which a test compares.
const ELSEWHERE: [&str; 2] = ["kind: CustomResourceDefinition", "kind: PrometheusRule"];

/// As little as can be.
const MINIMAL: &[&str] = &[
    "replicas=1",
    "crds.install=false",
    "paths.webService.install=false",
    "paths.worker.install=false",
    "paths.cron.install=false",
];

#[rstest]
#[case::default("default", &[])]
#[case::everything("everything", EVERYTHING)]
#[case::minimal("minimal", MINIMAL)]
fn a_variant_reads_exactly_so(#[case] name: &str, #[case] values: &[&str]) {
    let flags: Vec<&str> = values.iter().flat_map(|value| ["--set", value]).collect();
    let (manifest, notes) = chart::dry_run(&chart::folder(), &flags).unwrap();
    let documents = manifest.split("\n---\n").filter(|text| !ELSEWHERE.iter().any(|kind| text.contains(kind)));
    // dashboards and shipped paths, likewise
    let documents: Vec<String> = documents
        .map(|text| match text.split_once("\ndata:\n") {
            Some((head, _)) if text.contains("kind: ConfigMap") => format!("{head}\ndata: # of another file\n"),
            _ => text.to_owned(),
        })
        .collect();
    insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!(name, format!("{}\nNOTES:\n{notes}", documents.join("\n---\n")));
    });
}
