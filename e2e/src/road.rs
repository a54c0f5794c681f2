//! A compiled road in force, for tests of what the API server makes of it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use goldenpath::api::{WorkloadKind, labels};
use goldenpath::plan::leaf::Road;
use goldenpath::plan::probe;
use goldenpath::policy::{self, Compiled, Job, Operator};
use k8s_openapi::api::admissionregistration::v1::{MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use serde_json::Value;

use crate::wait;

/// What the API server would store for a new workload. Unknown fields are refused, not dropped.
///
/// # Errors
/// When it refuses it.
pub async fn dry_run(client: &Client, namespace: &str, workload: &Value) -> Result<Value> {
    let kind: WorkloadKind = serde_json::from_value(workload["kind"].clone())?;
    // kube's PostParams know no fieldValidation
    let uri = format!(
        "/apis/{}/namespaces/{namespace}/{}?dryRun=All&fieldValidation=Strict",
        kind.api_version(),
        kind.plural()
    );
    let request = http::Request::post(uri).header("content-type", "application/json");
    Ok(client.request(request.body(serde_json::to_vec(workload)?)?).await?)
}

/// A road whose literals are written as the API server writes them.
///
/// # Errors
/// When the API server refuses the road's values.
pub async fn canonical(client: &Client, namespace: &str, road: &Road) -> Result<Road> {
    let answer = dry_run(client, namespace, &probe::written_out(road)).await?;
    Ok(probe::read_back(road, &answer))
}

/// Policies of a test in force, until [`InForce::remove`].
pub struct InForce {
    client: Client,
    compiled: Vec<Compiled>,
}

impl InForce {
    /// None yet.
    #[must_use]
    pub fn new(client: &Client) -> Self {
        Self { client: client.clone(), compiled: Vec::new() }
    }

    /// Compiles roads, by the names of their revisions, and waits until the API server acts by them in `namespace`.
    ///
    /// A `loud` policy refuses requests where the original would fail open without a word.
    ///
    /// # Errors
    /// When the API server refuses a policy, or it is not in force in time.
    pub async fn add(&mut self, namespace: &str, revisions: &[(String, Road, Kind)], loud: bool) -> Result<()> {
        let policies: Api<MutatingAdmissionPolicy> = Api::all(self.client.clone());
        let bindings: Api<MutatingAdmissionPolicyBinding> = Api::all(self.client.clone());
        let params = PostParams::default();
        for (revision, road, kind) in revisions {
            let job = if *kind == Kind::Release { Job::Release } else { Job::Fill };
            let mut compiled = policy::compile(revision, revision, road, job, &operator())?;
            if loud && let Some(spec) = &mut compiled.policy.spec {
                spec.failure_policy = Some("Fail".to_owned());
            }
            let made = policies.create(&params, &compiled.policy).await;
            made.with_context(|| format!("create policy {}", compiled.name()))?;
            bindings.create(&params, &compiled.binding).await?;
            self.compiled.push(compiled);
        }
        for (revision, ..) in revisions {
            self.in_force(namespace, revision).await?;
        }
        Ok(())
    }

    /// On CREATE a release policy takes the label, which shows that it acts; a revision must fill something.
    async fn in_force(&self, namespace: &str, revision: &str) -> Result<()> {
        let probe = probe::written_out(&Road::default());
        let labelled = probe::labelled(&probe, &[(labels::REVISION.to_owned(), revision.to_owned())].into());
        let what = format!("{revision} to be in force");
        wait::until(&what, Duration::from_mins(2), async || {
            let seen = dry_run(&self.client, namespace, &labelled).await?;
            let bare = dry_run(&self.client, namespace, &probe).await?;
            let unlabelled = seen["metadata"]["labels"].get(labels::REVISION).is_none();
            ensure!(unlabelled || seen["spec"] != bare["spec"], "nothing is filled");
            Ok(Some(()))
        })
        .await
    }

    /// Deletes the policies.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn remove(self) -> Result<()> {
        let policies: Api<MutatingAdmissionPolicy> = Api::all(self.client.clone());
        let bindings: Api<MutatingAdmissionPolicyBinding> = Api::all(self.client.clone());
        for compiled in &self.compiled {
            bindings.delete(compiled.name(), &DeleteParams::default()).await?;
            policies.delete(compiled.name(), &DeleteParams::default()).await?;
        }
        Ok(())
    }
}

/// What a policy is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Fills.
    Revision,
    /// Takes the road's values and labels out.
    Release,
}

/// The operator that policies of tests are compiled for. It does not run; tests act in its name.
#[must_use]
pub fn operator() -> Operator {
    Operator { username: "goldenpath-test-operator".to_owned(), namespace: labels::DEFAULT_NAMESPACE.to_owned() }
}
