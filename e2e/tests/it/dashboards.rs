//! Every query of every panel, asked of a real Prometheus that scrapes a real operator over a migration of three months.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use goldenpath::observability::alerts::recordings;
use goldenpath::observability::catalogue;
use goldenpath::observability::dashboards;
use goldenpath_e2e::installed::NAMESPACE;
use goldenpath_e2e::migration::{History, Migration, ONE, TWO, busy};
use goldenpath_e2e::prometheus::Prometheus;
use goldenpath_e2e::{ControlPlane, Options, programs, wait};
use serde_json::Value;

/// Variables of Grafana, as somebody has chosen them.
fn chosen(expr: &str) -> String {
    let variables = [
        ("$cluster", "demo"),
        ("$path", "web-service"),
        ("$team", "data"),
        ("$__rate_interval", "1m"),
        ("$__range", "1h"),
    ];
    variables.iter().fold(expr.to_owned(), |expr, (name, value)| expr.replace(name, value))
}

#[tokio::test]
async fn every_query_of_every_panel_returns_data() -> Result<()> {
    let control_plane = ControlPlane::start(Options::default()).await?;
    let kubeconfig = control_plane.install_goldenpath().await?;
    let operator = control_plane.start_operator(kubeconfig).await?;
    let history = Migration::new(&control_plane, &operator).play().await?;
    let prometheus = history.served(&control_plane, &operator).await?;
    // an operator with nothing to do has no rates
    busy(&control_plane, Duration::from_secs(5)).await?;
    let recorded = recordings().into_iter().map(|rule| ("a rule".to_owned(), rule.name.to_owned()));
    let asked = dashboards::all().into_iter().flat_map(|dashboard| {
        let query = |title: &str, expr: &str| (format!("{} / {title}", dashboard.title), chosen(expr));
        let panels = dashboard.panels();
        panels.flat_map(|panel| panel.queries.iter().map(|q| query(panel.title, &q.expr))).collect::<Vec<_>>()
    });
    let asked: Vec<(String, String)> = asked.chain(recorded).collect();
    let mut answered = 0;
    for (panel, expr) in &asked {
        // a counter that never counted has no series; the same panel asks for the sum, which is zero
        if expr.starts_with("sum by") && (expr.contains("outcome!") || expr.contains("watch_errors")) {
            prometheus.query(expr).await?;
            continue;
        }
        // rates need a few scrapes
        let series = wait::until(&format!("{panel} to show something"), Duration::from_mins(1), async || {
            let series = prometheus.query(expr).await?;
            if series.iter().any(|one| one["value"][1] != "NaN") {
                return Ok(Some(series));
            }
            // what was done more than a minute ago is in no rate any more
            busy(&control_plane, Duration::from_secs(2)).await?;
            Ok(None)
        })
        .await
        .context(expr.clone())?;
        println!("{panel}: {} series, first {}", series.len(), series[0]["value"][1]);
        answered += 1;
    }
    println!("{answered} of {} queries returned data, the others are about failures that did not happen", asked.len());
    equals_a_recount(&control_plane, &prometheus).await?;
    replicas_count_once(&history, &control_plane).await?;
    let text = operator.metrics().await?;
    every_metric_is_there(&text)?;
    check_metrics(&text)
}

/// What two replicas export alike is shown as if there were one: everything but the operator's own work.
async fn replicas_count_once(history: &History, control_plane: &ControlPlane) -> Result<()> {
    let (prometheus, time) = history.of_replicas(control_plane).await?;
    let (mut asked, mut known) = (0, 0);
    for dashboard in dashboards::all().iter().filter(|dashboard| dashboard.uid != "goldenpath-operator") {
        for query in dashboard.panels().flat_map(|panel| &panel.queries) {
            let expr = chosen(&query.expr.replace("$__rate_interval", "3h"));
            let of = async |cluster: &str| {
                let expr = expr.replace("cluster=~\"demo\"", &format!("cluster=~\"{cluster}\""));
                let series = prometheus.query_at(&expr, time).await?;
                let number = |one: &Value| one["value"][1].as_str().and_then(|n| n.parse::<f64>().ok());
                let mut numbers: Vec<f64> = series.iter().filter_map(number).collect();
                numbers.sort_by(f64::total_cmp);
                anyhow::Ok(numbers)
            };
            let (one, two) = (of(ONE).await?, of(TWO).await?);
            let same = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-6 || (a.is_nan() && b.is_nan());
            ensure!(one.len() == two.len() && one.iter().zip(&two).all(same), "{expr}: {one:?} and {two:?}");
            (asked, known) = (asked + 1, known + usize::from(!one.is_empty()));
        }
    }
    println!("two replicas: {asked} queries say the same as of one, {known} of them with data");
    ensure!(known * 10 > asked * 9, "only {known} of {asked} queries have data");
    Ok(())
}

/// Of namespace, image, and whether a controller owns it: what the story's Deprecation matches.
fn count_old(images: &[String]) -> usize {
    let is_old = |line: &&String| line.contains(":1.0.") || line.contains(":1.1.");
    // logistics is exempt, and the child of an operator is not its team's to change
    let counts = |line: &&String| !line.starts_with("logistics ") && !line.ends_with(" true");
    images.iter().filter(is_old).filter(counts).count()
}

/// What a program's manager reads, against what kubectl shows to somebody who counts by hand.
async fn equals_a_recount(control_plane: &ControlPlane, prometheus: &Prometheus) -> Result<()> {
    // after a scrape that was too slow there is nothing to read until the next one
    let asked = async || questions(control_plane, prometheus).await.map(Some);
    for (question, shown, counted) in wait::until("data in the dashboards", Duration::from_mins(1), asked).await? {
        println!("{question} The dashboard says {shown}, a recount by kubectl {counted}");
        ensure!((shown - counted).abs() < 1e-6, "{question} {shown} is not {counted}");
    }
    Ok(())
}

/// Each with what the dashboard says, and what is counted.
async fn questions(control_plane: &ControlPlane, prometheus: &Prometheus) -> Result<[(&'static str, f64, f64); 6]> {
    let list = async |what: &str, jsonpath: &str| {
        let template = format!("jsonpath={{range .items[*]}}{jsonpath}{{\"\\n\"}}{{end}}");
        let text = control_plane.kubectl(["get", what, "-A", "-o", &template]).await?;
        anyhow::Ok(text.lines().map(str::to_owned).collect::<Vec<_>>())
    };
    let kinds = "deployments,statefulsets,daemonsets,cronjobs";
    let all = list(kinds, "{.metadata.namespace} {.metadata.ownerReferences[0].controller}").await?;
    let all: Vec<&str> =
        all.iter().filter(|line| !line.starts_with(NAMESPACE) && !line.ends_with("true")).map(|l| l.trim()).collect();
    let services = list("psvc", "{.metadata.namespace} {.status.adoption.state}").await?;
    let adopted: Vec<&str> = services.iter().filter_map(|line| line.strip_suffix(" Adopted")).collect();
    let of = |team: &str, list: &[&str]| list.iter().filter(|other| **other == team).count();
    let teams: BTreeSet<&str> = all.iter().copied().collect();
    let there = teams.iter().filter(|team| of(team, &all) == of(team, &adopted)).count();
    let observing = list("psvc", "{.spec.mode}").await?.iter().filter(|mode| *mode == "Observe").count();
    let shown = async |panel: &str, query: usize| {
        let dashboards = dashboards::all();
        let program =
            dashboards.iter().find(|dashboard| dashboard.uid == "goldenpath-program").context("no program")?;
        let panel = program.panels().find(|found| found.title == panel).with_context(|| format!("no panel {panel}"))?;
        let expr = panel.queries[query].expr.replace("$cluster", "demo").replace("$path", ".*");
        anyhow::Ok(prometheus.query(&expr).await?)
    };
    let number = async |panel: &str, query: usize| {
        let series = shown(panel, query).await?;
        let value = series.first().and_then(|first| first["value"][1].as_str());
        anyhow::Ok(value.context("no data")?.parse::<f64>()?)
    };
    let images = "{.metadata.namespace} {..containers[*].image} {.metadata.ownerReferences[0].controller}";
    let old = count_old(&list("deployments,statefulsets,cronjobs", images).await?);
    let float = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let modes = shown("Services by mode", 0).await?;
    let observed = modes.iter().find(|series| series["metric"]["mode"] == "Observe").context("nobody observes")?;
    Ok([
        (
            "How many workloads are on the road?",
            number("The road against everything else", 0).await?,
            float(adopted.len()),
        ),
        (
            "Of how many?",
            number("The road against everything else", 0).await? + number("Workloads to go", 0).await?,
            float(all.len()),
        ),
        ("How many teams are all the way there?", number("Teams", 0).await?, float(there)),
        ("Of how many?", number("Teams", 1).await?, float(teams.len())),
        ("How many old images are left?", number("Burn-down", 0).await?, float(old)),
        (
            "How many services are only watched?",
            observed["value"][1].as_str().unwrap_or_default().parse()?,
            float(observing),
        ),
    ])
}

/// The story brings about all that is exported, but for what goes wrong with watches.
fn every_metric_is_there(text: &str) -> Result<()> {
    let exported: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let all = catalogue::ALL.iter().map(|metric| metric.name);
    let missing: Vec<&str> = all.filter(|name| !exported.contains(name)).collect();
    // what did not happen: a failure, an object or an installation of another operator, a receiver of notices
    let did_not_happen = [
        catalogue::FLEET_WATCH_ERRORS.name,
        catalogue::FLEET_SKIPPED.name,
        catalogue::MANAGED_WORKLOADS.name,
        catalogue::NOTIFICATIONS.name,
        catalogue::FORBIDDEN.name,
        catalogue::LED_ELSEWHERE.name,
    ];
    ensure!(missing.iter().all(|name| did_not_happen.contains(name)), "not exported: {missing:?}");
    Ok(())
}

/// `promtool check metrics` says nothing about what the operator exports.
fn check_metrics(text: &str) -> Result<()> {
    let mut tool = Command::new(programs::Prometheus::find()?.tool);
    tool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut tool = tool.spawn()?;
    tool.stdin.take().context("no pipe")?.write_all(text.as_bytes())?;
    let output = tool.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    println!("promtool check metrics: {} {said}", output.status);
    ensure!(output.status.success() && said.trim().is_empty(), "{said}");
    Ok(())
}
