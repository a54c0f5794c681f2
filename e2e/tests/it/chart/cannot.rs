//! What the operator's account cannot do: the table of docs/security.md, row by row, asked of the API server.

use anyhow::{Context, Result, ensure};
use goldenpath_e2e::installed::{ACCOUNT, NAMESPACE};
use goldenpath_e2e::{ControlPlane, programs};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};

const HEADING: &str = "## What the operator cannot do";

/// Verbs, resources and the namespace; an empty namespace is every one.
type Row = (Vec<String>, Vec<String>, String);

fn rows() -> Result<Vec<Row>> {
    let page = std::fs::read_to_string(programs::repository().join("docs/security.md"))?;
    let (_, section) = page.split_once(HEADING).context("docs/security.md has no such heading")?;
    let section = section.split("\n## ").next().unwrap_or_default();
    let words = |cell: &str| cell.split(',').map(|word| word.trim().trim_matches('`').to_owned()).collect();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")).map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let &[verbs, resources, place, ..] = &cells[..] else { anyhow::bail!("{line} has no three cells") };
        let namespace = if place == "anywhere" { "" } else { place.trim_start_matches("in ").trim_matches('`') };
        Ok((words(verbs), words(resources), namespace.to_owned()))
    });
    rows.collect()
}

/// `resource[.group][/subresource]`, as `kubectl auth can-i` takes it.
async fn can(client: &Client, verb: &str, resource: &str, namespace: &str) -> Result<bool> {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
    let some = |text: &str| Some(text.to_owned());
    let attributes = ResourceAttributes {
        verb: some(verb),
        resource: some(resource),
        subresource: some(subresource),
        group: some(group),
        namespace: some(namespace),
        ..ResourceAttributes::default()
    };
    let spec =
        SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..SelfSubjectAccessReviewSpec::default() };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let answer = Api::all(client.clone()).create(&PostParams::default(), &review).await?;
    Ok(answer.status.context("no answer")?.allowed)
}

#[tokio::test]
async fn the_operator_cannot_do_what_the_page_says_it_cannot() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    control_plane.install_goldenpath().await?;
    let kubeconfig = control_plane.as_account(NAMESPACE, ACCOUNT).await?;
    let client = control_plane.client_for(&kubeconfig).await?;
    ensure!(can(&client, "patch", "deployments.apps", "").await?, "the question itself is wrong");
    ensure!(can(&client, "update", "leases.coordination.k8s.io", NAMESPACE).await?, "the question itself is wrong");
    let (mut allowed, mut asked) = (Vec::new(), 0);
    for (verbs, resources, namespace) in rows()? {
        for (verb, resource) in verbs.iter().flat_map(|verb| resources.iter().map(move |resource| (verb, resource))) {
            asked += 1;
            if can(&client, verb, resource, &namespace).await? {
                allowed.push(format!("{verb} {resource} in {namespace:?}"));
            }
        }
    }
    println!("security: the API server denies {asked} of {asked} questions of docs/security.md");
    ensure!(asked > 60 && allowed.is_empty(), "{asked} asked, allowed: {allowed:#?}");
    Ok(())
}
