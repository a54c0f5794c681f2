//! What the API server does for a Deprecation: its policies, put in force and taken back.

use std::collections::BTreeSet;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::context::Context;
use super::errors::Error;
use super::policies::{Feedback, Installed, api, labelled_with, newer, prune, put_in_force, unbound};
use super::revisions::NotReady;
use crate::api::{Deprecation, Reason, labels};
use crate::plan::deprecation::{Step, level};
use crate::policy::{self, Targets};

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Enforcement {
    /// Why the API server does not do what the stage says.
    pub not_ready: Option<NotReady>,
    /// Something old has to stay for a while beside what replaces it.
    pub waiting: bool,
}

/// Puts in force what a stage asks for, and takes back what it does not ask for any more.
pub async fn enforce(
    deprecation: &Deprecation,
    step: &Step,
    targets: &Targets,
    now: Timestamp,
    context: &Context,
) -> Result<Enforcement, Error> {
    let name = deprecation.name_any();
    let serialisation = |source| Error::Serialisation { what: format!("Deprecation {name}"), source };
    let wanted = policy::deprecation(&name, &deprecation.spec, step, targets, &context.operator, now);
    let wanted = wanted.map_err(serialisation)?;
    let mut before = labelled_with::<Feedback>(labels::DEPRECATION, &name, context).await?;
    let not_ready = |not_ready| Enforcement { not_ready: Some(not_ready), waiting: false };
    let names: Vec<&str> = wanted.iter().map(policy::Feedback::name).collect();
    if is_lower(deprecation, step) {
        // who is not refused any more must not wait for what warns of it
        remove_all_but(&names, &mut before, context).await?;
    }
    if let Some(stopped) = newer(&before.policies).or_else(|| unbound(deprecation, &before)) {
        return Ok(not_ready(stopped));
    }
    for feedback in &wanted {
        let put = put_in_force::<Feedback, _>(&feedback.policy, &feedback.binding, deprecation, &before, context).await;
        if let Err(error) = put {
            let Some(words) = error.refusal() else { return Err(error) };
            let message = format!("the API server refuses policy {}: {words}", feedback.name());
            return Ok(not_ready(NotReady { reason: Reason::ApiServerRefused, message }));
        }
    }
    let waiting = prune(&names, &before, now.as_second(), context).await?;
    Ok(Enforcement { not_ready: None, waiting })
}

/// Whether less is refused than at the last look.
pub fn is_lower(deprecation: &Deprecation, step: &Step) -> bool {
    let timeline = &deprecation.spec.timeline;
    let before = deprecation.status.as_ref().map(|status| status.stage).unwrap_or_default();
    level(timeline, step.stage) < level(timeline, before)
}

async fn remove_all_but(names: &[&str], installed: &mut Installed<Feedback>, context: &Context) -> Result<(), Error> {
    let (stay, go): (Vec<_>, Vec<_>) =
        std::mem::take(&mut installed.policies).into_iter().partition(|p| names.contains(&p.name_any().as_str()));
    installed.policies = stay;
    for policy in go {
        delete(&policy.name_any(), context).await?;
    }
    installed.bindings.retain(|binding| names.contains(&binding.name_any().as_str()));
    Ok(())
}

async fn delete(name: &str, context: &Context) -> Result<(), Error> {
    use k8s_openapi::api::admissionregistration::v1::{
        ValidatingAdmissionPolicy as Policy, ValidatingAdmissionPolicyBinding as Binding,
    };
    // the policy first: one without a binding would look as if a person had stopped it
    context.requests.delete(&api::<Policy>(context), name).await?;
    context.requests.delete(&api::<Binding>(context), name).await
}

/// Takes everything back.
pub async fn withdraw(name: &str, context: &Context) -> Result<(), Error> {
    let left = labelled_with::<Feedback>(labels::DEPRECATION, name, context).await?;
    prune(&[], &left, Timestamp::now().as_second(), context).await.map(drop)
}

/// Names of the Deprecations that have policies, whether they still exist or not.
pub async fn left(context: &Context) -> Result<BTreeSet<String>, Error> {
    use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy as Policy;
    let all = context.requests.list(&api::<Policy>(context), labels::DEPRECATION).await?;
    Ok(all.iter().filter_map(|policy| policy.labels().get(labels::DEPRECATION).cloned()).collect())
}
