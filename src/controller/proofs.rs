//! The proofs of what Deprecations match, before a policy of them is put in force: which are under way, and what came of them.
//!
//! A proof takes about a second, since a new policy does, and no pass waits for it but one whose stage needs it. It begins as
//! soon as an entry is announced, so a stage finds it done; and the status keeps it, so a restart does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::ResourceExt;
use tokio::time::Instant;

use super::context::Context;
use super::prove_match::prove;
use super::revisions::NotReady;
use crate::api::{Deprecation, DeprecationMatch, Reason};
use crate::plan::consumers::{Matcher, Served};
use crate::plan::deprecation::stage::content;
use crate::plan::deprecation::{Level, Step, level};
use crate::policy::{COMPILER_VERSION, Targets, is_to_prove, unproved};

/// A proof that failed is tried again after this: objects and API servers change.
const AGAIN: Duration = Duration::from_mins(5);
/// So long a stage waits for a proof without a word.
const PATIENCE: Duration = Duration::from_secs(15);
/// After an error of the way to the API server.
const PAUSE: Duration = Duration::from_secs(5);

/// What is known of the proof of an entry as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Unknown,
    /// It is under way, for so long.
    Running(Duration),
    /// It succeeded.
    Proved,
    /// It failed, with these words.
    Failed(String),
}

/// The proofs of all entries.
#[derive(Default)]
pub struct Proofs(Mutex<HashMap<(String, String), Proof>>);

struct Proof {
    content: String,
    since: Instant,
    runs: bool,
    /// What came of the last proof of the content that has ended, if one has.
    outcome: Option<Result<(), String>>,
}

impl Proofs {
    /// What is known of an entry as it is.
    pub fn state(&self, deprecation: &str, entry: &DeprecationMatch) -> State {
        let all = self.lock();
        let known = all.get(&key(deprecation, entry)).filter(|proof| proof.content == content(entry));
        let Some(Proof { since, runs, outcome, .. }) = known else { return State::Unknown };
        match outcome {
            None => State::Running(since.elapsed()),
            Some(Ok(())) => State::Proved,
            Some(Err(_)) if !runs && since.elapsed() >= AGAIN => State::Unknown,
            // what was wrong is wrong until it is shown to be right
            Some(Err(wrong)) => State::Failed(wrong.clone()),
        }
    }

    /// Whether any proof of a Deprecation is under way, of an entry as it is or was.
    pub fn is_running(&self, deprecation: &str) -> bool {
        self.lock().iter().any(|((of, _), proof)| of == deprecation && proof.runs)
    }

    /// A proof begins, unless one of the entry runs: of what it said before, perhaps.
    fn begin(&self, deprecation: &str, entry: &DeprecationMatch) -> bool {
        let mut all = self.lock();
        let key = key(deprecation, entry);
        if all.get(&key).is_some_and(|proof| proof.runs) {
            return false;
        }
        let content = content(entry);
        let outcome = all.remove(&key).filter(|proof| proof.content == content).and_then(|proof| proof.outcome);
        all.insert(key, Proof { content, since: Instant::now(), runs: true, outcome });
        true
    }

    /// A proof has ended; without an outcome it is as if it had never been.
    fn end(&self, deprecation: &str, entry: &DeprecationMatch, outcome: Option<Result<(), String>>) {
        let mut all = self.lock();
        match all.get_mut(&key(deprecation, entry)) {
            Some(proof) if outcome.is_some() => (proof.runs, proof.outcome) = (false, outcome),
            _ => drop(all.remove(&key(deprecation, entry))),
        }
    }

    /// Forgets a Deprecation that is gone.
    pub fn forget(&self, deprecation: &str) {
        self.lock().retain(|(of, _), proof| of != deprecation || proof.runs);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), Proof>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(deprecation: &str, entry: &DeprecationMatch) -> (String, String) {
    (deprecation.to_owned(), entry.name.clone())
}

/// What a pass is told of the proofs of its entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Entries of which no new policy may be put in force, and why.
    pub unproved: Vec<(String, NotReady)>,
    /// The stage asks for policies of which a proof has just begun.
    pub waits: bool,
}

impl Answer {
    /// Why an entry is not enforced.
    pub fn of(&self, entry: &str) -> Option<&NotReady> {
        self.unproved.iter().find(|(name, _)| name == entry).map(|(_, why)| why)
    }

    /// What is wrong with entries, now or when their stage comes.
    pub fn failed(&self) -> Option<String> {
        let failed = self.unproved.iter().filter(|(_, why)| why.reason == Reason::ProofFailed);
        let texts: Vec<&str> = failed.map(|(_, why)| why.message.as_str()).collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }
}

/// Has every entry proved that something is, or will be, refused by, and notes in the step what is proved. `is_counted` says
/// that the objects are known that it is best proved with.
pub fn ask(
    deprecation: &Deprecation,
    step: &mut Step,
    targets: &Targets,
    is_counted: bool,
    context: &Arc<Context>,
) -> Answer {
    let (name, timeline) = (deprecation.name_any(), &deprecation.spec.timeline);
    let is_needed = level(timeline, step.stage) > Level::Silent;
    let will_be =
        timeline.warn_at.is_some() || timeline.block_create_at.is_some() || timeline.block_update_at.is_some();
    let mut answer = Answer::default();
    for entry in deprecation.spec.matches.iter().filter(|entry| is_to_prove(entry)) {
        let Some(announced) = step.matches.iter_mut().find(|announced| announced.name == entry.name) else { continue };
        let served = targets.get(&entry.name).map(Vec::as_slice).unwrap_or_default();
        if announced.proved_by == Some(COMPILER_VERSION.into()) || served.is_empty() {
            continue;
        }
        if Matcher::compile(entry).is_err() {
            continue; // nothing is made of it, and that is told by who makes nothing of it
        }
        let mut state = context.deprecations.proofs.state(&name, entry);
        if state == State::Unknown && (is_needed || (will_be && is_counted)) {
            begin(deprecation, entry, served, context);
            state = context.deprecations.proofs.state(&name, entry);
        }
        let why = match state {
            State::Proved => {
                announced.proved_by = Some(COMPILER_VERSION.into());
                continue;
            }
            State::Failed(wrong) => NotReady { reason: Reason::ProofFailed, message: unproved(entry, &wrong) },
            State::Unknown => {
                answer.waits |= is_needed; // for the end of the proof of what the entry said before
                waits(entry)
            }
            State::Running(for_) => {
                answer.waits |= is_needed && for_ < PATIENCE;
                waits(entry)
            }
        };
        answer.unproved.push((entry.name.clone(), why));
    }
    answer
}

fn waits(entry: &DeprecationMatch) -> NotReady {
    let message = format!("matches[{}] is being tried on the API server, which has not answered yet", entry.name);
    NotReady { reason: Reason::Waiting, message }
}

/// Proves an entry beside the passes, and has the Deprecation looked at when it is done.
fn begin(deprecation: &Deprecation, entry: &DeprecationMatch, served: &[Served], context: &Arc<Context>) {
    let name = deprecation.name_any();
    if !context.deprecations.proofs.begin(&name, entry) {
        return;
    }
    let (deprecation, entry, served, context) = (deprecation.clone(), entry.clone(), served.to_vec(), context.clone());
    tokio::spawn(async move {
        let outcome = match prove(&deprecation, &entry, &served, &context).await {
            Ok(wrong) => Some(wrong.map_or(Ok(()), Err)),
            Err(error) => {
                tracing::warn!(deprecation = name, entry = entry.name, %error, "an entry could not be proved; it is tried again");
                tokio::time::sleep(PAUSE).await;
                None
            }
        };
        context.deprecations.proofs.end(&name, &entry, outcome);
        context.deprecations.wake(&name);
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(expression: &str) -> DeprecationMatch {
        serde_json::from_value(json!({"name": "class", "resourceRules": [], "expression": expression})).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_proof_stands_until_the_entry_changes_and_a_failed_one_is_tried_again() {
        let (proofs, first, second) = (Proofs::default(), entry("true"), entry("false"));
        assert_eq!(proofs.state("ing", &first), State::Unknown);
        assert!(proofs.begin("ing", &first) && proofs.is_running("ing"));
        assert!(!proofs.begin("ing", &second), "two copies would be each other's leftovers");
        assert_eq!(proofs.state("ing", &first), State::Running(Duration::ZERO));
        proofs.end("ing", &first, Some(Ok(())));
        assert_eq!((proofs.state("ing", &first), proofs.state("ing", &second)), (State::Proved, State::Unknown));
        assert!(proofs.begin("ing", &second));
        proofs.end("ing", &second, Some(Err("no".to_owned())));
        assert_eq!(proofs.state("ing", &second), State::Failed("no".to_owned()));
        tokio::time::advance(AGAIN).await;
        assert_eq!(proofs.state("ing", &second), State::Unknown);
        proofs.begin("ing", &second);
        assert_eq!(proofs.state("ing", &second), State::Failed("no".to_owned()), "until it is shown to be right");
        proofs.end("ing", &second, None);
        assert!(proofs.state("ing", &second) == State::Unknown && !proofs.is_running("ing"), "an error says nothing");
        proofs.begin("ing", &first);
        proofs.end("ing", &first, Some(Ok(())));
        proofs.forget("ing");
        assert_eq!(proofs.state("ing", &first), State::Unknown);
    }

    #[test]
    fn what_failed_is_told_and_what_is_under_way_is_not() {
        let why = |reason, message: &str| NotReady { reason, message: message.to_owned() };
        let unproved = vec![
            ("a".to_owned(), why(Reason::Waiting, "wait")),
            ("b".to_owned(), why(Reason::ProofFailed, "b is wrong")),
        ];
        let answer = Answer { unproved, waits: false };
        assert_eq!(answer.failed().as_deref(), Some("b is wrong"));
        assert!(answer.of("a").is_some() && answer.of("c").is_none());
        assert_eq!(Answer::default().failed(), None);
    }
}
