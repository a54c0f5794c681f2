//! Rendered variants of the chart: as golden files, where a change of a template shows what it changes, and before the API
//! server, which takes every object to the letter.

use anyhow::{Context, Result, ensure};
use goldenpath_e2e::{ControlPlane, chart};
use serde_json::Value;

use super::manifest::EVERYTHING;
use super::monitoring;

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

/// One path of three, and a receiver that stands in the values.
const SOME: &[&str] = &[
    "paths.webService.install=false",
    "paths.worker.install=false",
    "notify.receivers[0].name=chat",
    "notify.receivers[0].url=https://hooks.example.com/x",
];

/// Every variant by its name, with its values.
const VARIANTS: [(&str, &[&str]); 4] =
    [("default", &[]), ("everything", EVERYTHING), ("minimal", MINIMAL), ("some", SOME)];

fn flags<'a>(values: &[&'a str]) -> Vec<&'a str> {
    values.iter().flat_map(|value| ["--set", value]).collect()
}

#[test]
fn a_variant_reads_exactly_so() {
    for (name, values) in VARIANTS {
        let (manifest, notes) = chart::dry_run(&chart::folder(), &flags(values)).unwrap();
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
}

/// A strict dry run of every variant, on a cluster with the chart in a namespace that is restricted and warns. Nothing is left out:
/// there are the two kinds of the Prometheus operator, too, whose content nobody checks.
pub async fn are_valid_to_the_letter(control_plane: &ControlPlane) -> Result<()> {
    let kinds = [("ServiceMonitor", "servicemonitors"), ("PrometheusRule", "prometheusrules")];
    for (kind, plural) in kinds {
        control_plane.apply(&monitoring(kind, plural).to_string()).await?;
        let served = format!("crd/{plural}.monitoring.coreos.com");
        control_plane.kubectl(["wait", "--for=condition=Established", &served, "--timeout=60s"]).await?;
    }
    for (name, values) in VARIANTS {
        is_valid(control_plane, values).await.with_context(|| format!("variant {name}"))?;
    }
    Ok(())
}

async fn is_valid(control_plane: &ControlPlane, values: &[&str]) -> Result<()> {
    let rendered = chart::template(&chart::folder(), &flags(values))?;
    let strict = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-"];
    let output = control_plane.kubectl_output(strict, &rendered).await?;
    // the namespace warns of pods that the restricted profile would refuse
    ensure!(output.stderr.is_empty(), "{}", output.stderr);
    let answer = output.success()?;
    let objects = serde_saphyr::from_multiple::<Value>(&rendered)?.into_iter().filter(Value::is_object).count();
    ensure!(answer.lines().count() == objects, "{objects} objects: {answer}");
    let count = |kind: &str| answer.lines().filter(|line| line.starts_with(kind)).count();
    let is_set = |value: &str| usize::from(values.contains(&value));
    let paths = 3 - values.iter().filter(|value| value.starts_with("paths.")).count();
    let definitions = goldenpath::api::crds::all().len();
    for (kind, expected) in [
        ("deployment.apps/goldenpath", 1),
        ("customresourcedefinition", definitions * (1 - is_set("crds.install=false"))),
        ("job.batch/goldenpath-paths-", paths.min(1)),
        ("configmap/goldenpath-paths", paths.min(1)),
        ("serviceaccount/goldenpath-paths", paths.min(1)),
        ("servicemonitor.monitoring.coreos.com/goldenpath", is_set("serviceMonitor.enabled=true")),
        ("prometheusrule.monitoring.coreos.com/goldenpath", is_set("prometheusRule.enabled=true")),
    ] {
        ensure!(count(kind) == expected, "{kind} is there {} times, not {expected}: {answer}", count(kind));
    }
    ensure!(rendered.matches("kind: GoldenPath\n    metadata").count() == paths, "{rendered}");
    Ok(())
}
