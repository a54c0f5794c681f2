//! `promtool test rules` over `e2e/alerts/`.

use std::process::Command;

use anyhow::{Result, ensure};
use goldenpath::observability::alerts::{Clock, alerts};
use goldenpath_e2e::programs;
use serde_json::Value;

fn files() -> Result<Vec<std::path::PathBuf>> {
    let folder = std::fs::read_dir(programs::repository().join("e2e/alerts"))?;
    Ok(folder.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?)
}

fn promtool(arguments: &[&str], files: &[std::path::PathBuf]) -> Result<()> {
    let output = Command::new(programs::Prometheus::find()?.tool).args(arguments).args(files).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    println!("promtool {}: {}\n{said}", arguments.join(" "), output.status);
    ensure!(output.status.success(), "{said}");
    Ok(())
}

#[test]
fn promtool_takes_the_rules_and_every_case_holds() -> Result<()> {
    let rules = programs::repository().join("manifests").join(goldenpath::chart::ALERTS);
    promtool(&["check", "rules"], &[rules])?;
    promtool(&["test", "rules"], &files()?)
}

/// By the names of the cases, and by what they expect.
#[test]
fn every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_silent() -> Result<()> {
    let mut cases: Vec<Value> = Vec::new();
    for file in files()? {
        let mut file: Value = serde_saphyr::from_str(&std::fs::read_to_string(file)?)?;
        cases.append(&mut serde_json::from_value(file["tests"].take())?);
    }
    let last = |case: &Value| case["promql_expr_test"].as_array().and_then(|tests| tests.last().cloned());
    let has = |alert: &str, what: &str| {
        let mut of =
            cases.iter().filter(|c| c["name"].as_str().is_some_and(|n| n.starts_with(&format!("{alert} {what}"))));
        of.any(|case| {
            let samples = last(case).map(|mut test| test["exp_samples"].take()).unwrap_or_default();
            let fires = samples.to_string().contains(&format!("alertname=\\\"{alert}\\\""));
            fires == (what == "fires") && (fires || samples == Value::Array(Vec::new()))
        })
    };
    for alert in alerts(Clock::REAL) {
        ensure!(has(alert.name, "fires"), "{} has no case in which it fires", alert.name);
        ensure!(has(alert.name, "is silent"), "{} has no case in which it is silent", alert.name);
    }
    Ok(())
}
