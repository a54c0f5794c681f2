//! What the API server does for a Deprecation: its policies, put in force and taken back.

use std::collections::BTreeSet;

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy as Policy, ValidatingAdmissionPolicyBinding as Binding,
};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::context::Context;
use super::errors::Error;
use super::policies::{Feedback, Installed, api, labelled_with, newer, prune, put_in_force, unbound};
use super::proofs::Answer;
use super::revisions::NotReady;
use crate::api::{Deprecation, DeprecationMatch, Reason, labels};
use crate::plan::consumers::Matcher;
use crate::plan::deprecation::{Step, level};
use crate::policy::{self, PROOF_SUFFIX, Targets};

/// How long the old policies of an entry stay beside the new ones: a policy takes about a second to be in force. Not longer,
/// since who was just exempted is refused by the old ones.
pub const OVERLAP: SignedDuration = SignedDuration::from_secs(2);

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Enforcement {
    /// Why the API server does not do what the stage says.
    pub not_ready: Option<NotReady>,
    /// Something old has to stay for a while beside what replaces it.
    pub waiting: bool,
}

/// Puts in force what a stage asks for, and takes back what it does not ask for any more.
///
/// Each entry of `matches` goes its own way: one that the API server refuses, or whose policy somebody stopped, must not
/// keep an exemption from the others. With `invalid`, what our own parser does not take goes into no policy, and what that
/// entry refused before stays.
pub async fn enforce(
    deprecation: &Deprecation,
    step: &Step,
    targets: &Targets,
    invalid: bool,
    proofs: &Answer,
    now: Timestamp,
    context: &Context,
) -> Result<Enforcement, Error> {
    let name = deprecation.name_any();
    let unusable = |entry: &&DeprecationMatch| invalid && Matcher::compile(entry).is_err();
    let unusable: BTreeSet<&str> = deprecation.spec.matches.iter().filter(unusable).map(|e| e.name.as_str()).collect();
    let mut usable = targets.clone();
    usable.retain(|entry, _| !unusable.contains(entry.as_str()));
    let serialisation = |source| Error::Serialisation { what: format!("Deprecation {name}"), source };
    let wanted = policy::deprecation(&name, &deprecation.spec, step, &usable, &context.operator, now);
    let wanted = wanted.map_err(serialisation)?;
    let mut before = labelled_with::<Feedback>(labels::DEPRECATION, &name, context).await?;
    if context.deprecations.proofs.is_running(&name) {
        // the copy of a proof goes with it; what was left of one that was broken off is nobody's
        before.policies.retain(|policy| !policy.name_any().ends_with(PROOF_SUFFIX));
        before.bindings.retain(|binding| !binding.name_any().ends_with(PROOF_SUFFIX));
    }
    let lower = is_lower(deprecation, step);
    let mut outcome = Enforcement::default();
    for entry in entries(&wanted, &before) {
        let part = Part {
            wanted: wanted.iter().filter(|feedback| entry_of(&feedback.policy) == entry).collect(),
            before: of_entry(&before, &entry),
            lower,
            keeps: unusable.contains(entry.as_str()),
            unproved: proofs.of(&entry),
        };
        let it = part.enforce(deprecation, context).await?;
        outcome.not_ready = outcome.not_ready.or(it.not_ready);
        outcome.waiting |= it.waiting;
    }
    Ok(outcome)
}

/// The entry of `matches` that a policy or a binding is about.
fn entry_of<K: ResourceExt>(object: &K) -> String {
    object.labels().get(labels::MATCH).cloned().unwrap_or_default()
}

fn entries(wanted: &[policy::Feedback], before: &Installed<Feedback>) -> BTreeSet<String> {
    let wanted = wanted.iter().map(|feedback| entry_of(&feedback.policy));
    wanted.chain(before.policies.iter().map(entry_of)).chain(before.bindings.iter().map(entry_of)).collect()
}

fn of_entry(before: &Installed<Feedback>, entry: &str) -> Installed<Feedback> {
    Installed {
        policies: before.policies.iter().filter(|policy| entry_of(*policy) == entry).cloned().collect(),
        bindings: before.bindings.iter().filter(|binding| entry_of(*binding) == entry).cloned().collect(),
    }
}

/// What is to be there for one entry of `matches`, and what is.
struct Part<'a> {
    wanted: Vec<&'a policy::Feedback>,
    before: Installed<Feedback>,
    /// Less is refused than before: who is not refused any more must not wait for what warns of it.
    lower: bool,
    /// What is there stays, since nobody knows what should be.
    keeps: bool,
    /// Why nothing new may be put in force.
    unproved: Option<&'a NotReady>,
}

impl Part<'_> {
    async fn enforce(&self, deprecation: &Deprecation, context: &Context) -> Result<Enforcement, Error> {
        if let Some(newer) = newer(&self.before.policies) {
            return Ok(not_ready(newer));
        }
        if self.lower {
            // a policy without a binding was stopped by somebody, and stays to say so until it is resumed
            Self::take_back(self.bound(), context).await?;
        }
        if let Some(stopped) = unbound(deprecation, &self.before) {
            return Ok(not_ready(stopped));
        }
        if self.keeps {
            return Ok(Enforcement::default());
        }
        let missing = || self.wanted.iter().filter(|feedback| !self.before.has(feedback.name()));
        if let Some(unproved) = self.unproved.filter(|_| missing().next().is_some()) {
            return Ok(not_ready(unproved.clone()));
        }
        // all of them before one is bound: what was in force stays whole where one is refused
        for feedback in missing() {
            let tried = context.requests.try_create(&api::<Policy>(context), &feedback.policy).await;
            if let Some(refused) = refused(tried, feedback)? {
                return Ok(refused);
            }
        }
        for feedback in &self.wanted {
            let put =
                put_in_force::<Feedback, _>(&feedback.policy, &feedback.binding, deprecation, &self.before, context);
            if let Some(refused) = refused(put.await, feedback)? {
                return Ok(refused);
            }
        }
        let wanted: Vec<&str> = self.wanted.iter().map(|feedback| feedback.name()).collect();
        let waiting = prune(&wanted, &self.before, OVERLAP, context).await?;
        Ok(Enforcement { not_ready: None, waiting })
    }

    fn is_wanted(&self, name: &str) -> bool {
        self.wanted.iter().any(|feedback| feedback.name() == name)
    }

    /// Names of what is in force and not wanted.
    fn bound(&self) -> BTreeSet<String> {
        let bindings = self.before.bindings.iter().map(ResourceExt::name_any);
        bindings.filter(|name| !self.is_wanted(name)).collect()
    }

    async fn take_back(names: BTreeSet<String>, context: &Context) -> Result<(), Error> {
        for name in names {
            delete(&name, context).await?;
            tracing::info!(policy = name, "removed a policy that nothing needs");
        }
        Ok(())
    }
}

/// What the API server says against a policy or its binding.
fn refused(answer: Result<(), Error>, feedback: &policy::Feedback) -> Result<Option<Enforcement>, Error> {
    let Err(error) = answer else { return Ok(None) };
    let words = error.refusal().ok_or(error)?;
    let (entry, name) = (entry_of(&feedback.policy), feedback.name());
    let message = format!("matches[{entry}]: the API server refuses policy {name}: {words}");
    Ok(Some(not_ready(NotReady { reason: Reason::ApiServerRefused, message })))
}

fn not_ready(not_ready: NotReady) -> Enforcement {
    Enforcement { not_ready: Some(not_ready), waiting: false }
}

/// Whether less is refused than at the last look.
pub fn is_lower(deprecation: &Deprecation, step: &Step) -> bool {
    let timeline = &deprecation.spec.timeline;
    let before = deprecation.status.as_ref().map(|status| status.stage).unwrap_or_default();
    level(timeline, step.stage) < level(timeline, before)
}

async fn delete(name: &str, context: &Context) -> Result<(), Error> {
    // the policy first: one without a binding would look as if a person had stopped it
    context.requests.delete(&api::<Policy>(context), name).await?;
    context.requests.delete(&api::<Binding>(context), name).await
}

/// Takes everything back.
pub async fn withdraw(name: &str, context: &Context) -> Result<(), Error> {
    let left = labelled_with::<Feedback>(labels::DEPRECATION, name, context).await?;
    prune(&[], &left, OVERLAP, context).await.map(drop)
}
