//! Definitions (CRDs) that are missing, or older than the operator.

use anyhow::{Context, Result, ensure};
use goldenpath_e2e::audit::account;
use goldenpath_e2e::chart::{folder, without_paths};
use goldenpath_e2e::installed::{ACCOUNT, NAMESPACE};
use goldenpath_e2e::{ControlPlane, Operator, OperatorOptions, programs};
use serde_json::{Value, json};

/// A chart of this version on a cluster with older definitions, and without one of them, since somebody keeps definitions out of
/// charts. Ends with an operator that runs, after somebody did what it says.
pub async fn waits_for_them(control_plane: &ControlPlane) -> Result<Operator> {
    let mut values = without_paths()?;
    values["crds"] = json!({"install": false});
    control_plane.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}}}}}")).await?;
    control_plane.helm_chart("install", &folder(), &values, &[]).await?.success()?;
    let kubeconfig = control_plane.as_account(NAMESPACE, ACCOUNT).await?;
    let (mark, options) = (control_plane.audit_mark()?, OperatorOptions { kubeconfig, ..OperatorOptions::default() });
    let absent = "definitions: the API server does not serve Deprecation; apply crds/ of version ";
    let operator = Operator::start_unready(control_plane, &options, absent).await?;
    println!("definitions | {}", operator.is_unready(absent).await?);
    // an alert that nobody leads asks for it, and would be silent about a series that is not there
    let metrics = operator.metrics().await?;
    ensure!(metrics.lines().any(|line| line == "goldenpath_leader 0"), "{metrics}");

    let text = std::fs::read_to_string(programs::repository().join("crds/goldenpath.dev_deprecations.yaml"))?;
    let mut older: Value = serde_saphyr::from_str(&text)?;
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    let spec = older.pointer_mut(spec).and_then(Value::as_object_mut).context("no fields")?;
    spec.remove("maxExemptPercent").context("no such field")?;
    control_plane.apply(&older.to_string()).await?;
    let lacks = "definitions: the definitions are older than this operator and lack Deprecation.spec.maxExemptPercent, \
                 GoldenPath.spec.admission, ";
    let line = operator.is_unready(lacks).await?;
    println!("definitions | {line}");
    ensure!(operator.log().contains(&line["definitions: ".len()..]), "{}", operator.log());
    let by_it = account(NAMESPACE, ACCOUNT);
    let writes = || -> Result<Vec<_>> {
        let events = control_plane.audit_since(mark)?.into_iter();
        Ok(events.filter(|event| event.user == by_it && event.is_write_of_objects()).collect())
    };
    ensure!(writes()?.is_empty(), "{:#?}", writes()?);

    let (_, command) = line.rsplit_once(": ").context("no command")?;
    let command = command.replace("crds/", &programs::repository().join("crds/").to_string_lossy());
    control_plane.shell(&command).await?.success()?;
    operator.ready().await?;
    ensure!(operator.leads().await?, "{}", operator.metrics().await?);
    Ok(operator)
}
