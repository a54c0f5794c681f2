//! Admission feedback on the API server: proved, put in force, replaced, removed, beside the policies that fill.

use serde_json::json;

use super::context::Context;
use super::errors::Error;
use super::policies::{
    Feedback, IN_FORCE, Installed, Kind, OVERLAP, api, dry_run, installed, newer, prune, put_in_force, unbound,
};
use super::revisions::NotReady;
use crate::api::{AdmissionLevel, GoldenPath, Reason, brief};
use crate::plan::feedback::{check_admission, failing};
use crate::plan::probe::{self, FeedbackProbe, feedback_probes, to_prove};
use crate::plan::revision::Revision;
use crate::policy::{Proof, feedback};

type Policy = <Feedback as Kind>::Policy;
type Binding = <Feedback as Kind>::Binding;

/// What became of a path's admission feedback.
pub struct Outcome {
    /// Why it is not as the path asks for.
    pub not_ready: Option<NotReady>,
    /// Whether old policies have to wait.
    pub waiting: bool,
}

/// Brings a path's admission feedback into the state that the path asks for.
pub async fn establish(path: &GoldenPath, revision: &Revision, context: &Context) -> Result<Outcome, Error> {
    let spec = &path.spec;
    if spec.admission_level() == AdmissionLevel::Off {
        let waiting = withdraw(&revision.path, context).await?;
        return Ok(Outcome { not_ready: None, waiting });
    }
    if let Err(invalid) = check_admission(spec) {
        let waiting = withdraw(&revision.path, context).await?;
        return Ok(Outcome { not_ready: Some(invalid_admission(invalid.to_string())), waiting });
    }
    let serialisation = |source| Error::Serialisation { what: format!("the feedback of {}", revision.path), source };
    let compiled = feedback(spec, revision, &context.operator).map_err(serialisation)?;
    let before = installed::<Feedback>(&revision.path, context).await?;
    let stopped = newer(&before.policies).or_else(|| unbound(path, &before));
    let missing = compiled.iter().any(|feedback| !before.has(feedback.name()));
    let not_ready = match stopped {
        None if missing => match prove(path, revision, context).await? {
            None => make(&compiled, path, &before, context).await?,
            refused => refused,
        },
        None => make(&compiled, path, &before, context).await?,
        stopped => stopped,
    };
    if not_ready.is_some() {
        // what was in force stays: a typo in a path is no reason to let everything pass
        return Ok(Outcome { not_ready, waiting: false });
    }
    let wanted: Vec<&str> = compiled.iter().map(crate::policy::Feedback::name).collect();
    let waiting = prune(&wanted, &before, OVERLAP, context).await?;
    Ok(Outcome { not_ready: None, waiting })
}

/// Removes all feedback of a path. The answer is whether something has to wait.
pub async fn withdraw(path: &str, context: &Context) -> Result<bool, Error> {
    let left = installed::<Feedback>(path, context).await?;
    prune(&[], &left, OVERLAP, context).await
}

fn invalid_admission(message: String) -> NotReady {
    NotReady { reason: Reason::InvalidAdmission, message }
}

/// Puts policies in force. The selector of namespaces is the one part that no proof has tried: it stands in the binding,
/// which is made first, so that nothing is left when the API server refuses it.
async fn make(
    compiled: &[crate::policy::Feedback],
    path: &GoldenPath,
    before: &Installed<Feedback>,
    context: &Context,
) -> Result<Option<NotReady>, Error> {
    for feedback in compiled {
        if let Err(error) = put_in_force(&feedback.policy, &feedback.binding, path, before, context).await {
            let refusal = error.refusal().ok_or(error)?;
            let message = format!("admission: the API server refuses it: {}", words_of(&refusal));
            return Ok(Some(invalid_admission(message)));
        }
    }
    Ok(None)
}

/// Proves the checks of a path: with a loud copy in force for probes in our own namespace, the API server must say of every
/// probe what our own engine says of it, within its limits on what an expression may cost.
async fn prove(path: &GoldenPath, revision: &Revision, context: &Context) -> Result<Option<NotReady>, Error> {
    let what = || format!("the proof of the feedback of {}", revision.path);
    let serialisation = |source| Error::Serialisation { what: what(), source };
    let proof = Proof::of(&path.spec, revision, &context.operator).map_err(serialisation)?;
    let home = &context.operator.namespace;
    let namespace = context.fleet.table().namespace(home).ok_or_else(|| Error::NamespaceNotSeen(home.clone()))?;
    let mut questions = Vec::new();
    for probe in feedback_probes(&path.spec.default_for) {
        // without the label of a proof, which an earlier copy may still look for: a deleted policy acts for a second
        let mut bare = match dry_run(probe.kind, &probe.object, context).await? {
            Ok(bare) => bare,
            Err(message) => {
                let message = format!("the API server refuses {}, which the proof needs: {message}", probe.what);
                return Ok(Some(NotReady { reason: Reason::ProofFailed, message }));
            }
        };
        let object = to_prove(&probe.object, &revision.name);
        bare["metadata"]["labels"] = object["metadata"]["labels"].clone();
        let expected = match failing(probe.kind, &bare, &namespace, revision) {
            Ok(failing) => proof.answer(&format!("{} {}", probe.kind, probe::NAME), &failing),
            Err(error) => {
                let message = format!("{error}; it was asked about {}", probe.what);
                return Ok(Some(NotReady { reason: Reason::InvalidCheck, message }));
            }
        };
        questions.push(Question { probe: FeedbackProbe { object, ..probe }, expected });
    }
    let (policies, bindings) = (api::<Policy>(context), api::<Binding>(context));
    let tried = try_probes(&proof, &questions, context).await;
    // the copy goes in any case, and first the binding: a policy without one acts on nothing
    context.requests.delete(&bindings, proof.feedback.name()).await?;
    context.requests.delete(&policies, proof.feedback.name()).await?;
    tried
}

/// Asks about every probe until the answer is the expected one. The copy refuses each of them, so an answer that lets one
/// pass only says that it is not in force yet.
async fn try_probes(proof: &Proof, questions: &[Question], context: &Context) -> Result<Option<NotReady>, Error> {
    match context.requests.create(&api(context), &proof.feedback.policy).await {
        Err(error) => {
            let refusal = error.refusal().ok_or(error)?;
            let message = format!("admission: the API server refuses the checks: {}", words_of(&refusal));
            return Ok(Some(NotReady { reason: Reason::ProofFailed, message }));
        }
        Ok(()) => context.requests.create(&api(context), &proof.feedback.binding).await?,
    }
    let started = tokio::time::Instant::now();
    for Question { probe, expected } in questions {
        loop {
            let answer = match dry_run(probe.kind, &probe.object, context).await? {
                Ok(_) => "nothing".to_owned(),
                // the API server cuts spaces at the end, where no check is left to tell of
                Err(answer) if answer.ends_with(expected.trim_end()) => break,
                Err(answer) => answer,
            };
            // what the copy itself says will not change
            if answer.contains(proof.feedback.name()) || started.elapsed() > IN_FORCE {
                return Ok(Some(wrong(proof, &probe.what, &answer, expected)));
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    }
    Ok(None)
}

/// A probe, and how the API server's answer has to end.
struct Question {
    probe: FeedbackProbe,
    expected: String,
}

/// What an API server says against an object, without its name, which is ours: `... is invalid: <what>`.
fn words_of(refusal: &str) -> String {
    let words = refusal.split_once(" is invalid: ").map_or(refusal, |(_, words)| words);
    words.chars().take(400).collect()
}

/// What the answer to a probe means, when it is not the expected one.
fn wrong(proof: &Proof, what: &str, answer: &str, expected: &str) -> NotReady {
    // the name of the copy says nothing to the author of a check
    let said = answer.split("denied request: ").last().unwrap_or_default();
    let fix = "ask for less, or set admission.level: \"Off\"";
    if let Some(default) = proof.culprit(said) {
        let error = said.split("resulted in error: ").last().unwrap_or_default();
        let message = format!("defaults[{default}].check: the API server cannot evaluate it on {what}: {error}; {fix}");
        return NotReady { reason: Reason::InvalidCheck, message };
    }
    if said.contains("cost budget") {
        let message =
            format!("admission: all checks together cost too much on {what}: the API server says {said}; {fix}");
        return NotReady { reason: Reason::InvalidCheck, message };
    }
    let (said, expected) = (brief(&json!(said)), brief(&json!(expected)));
    let message = format!("admission: of {what} the API server says {said}, and should say {expected}");
    NotReady { reason: Reason::ProofFailed, message }
}
