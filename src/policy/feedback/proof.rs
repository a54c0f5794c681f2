//! The copy with which admission feedback is proved.

use serde_json::json;

use super::words::Words;
use super::{Compiler, Feedback, Question, binding_spec, hash};
use crate::api::{GoldenPathSpec, labels};
use crate::plan::feedback::checked;
use crate::plan::revision::Revision;
use crate::policy::compile::{Operator, PROOF_SUFFIX, at_home};

/// What a path's feedback is proved with: a policy that refuses every probe, and tells which checks do not hold for it.
pub struct Proof {
    /// In force in the operator's namespace, for probes alone.
    pub feedback: Feedback,
    words: Words,
    names: Vec<String>,
}

impl Proof {
    /// The proof of what [`feedback`] compiles, for somebody whom no exemption means. Checks are asked twice, as if the object had been there before: that costs
    /// what an update costs.
    pub fn of(spec: &GoldenPathSpec, revision: &Revision, operator: &Operator) -> Result<Self, serde_json::Error> {
        let compiler =
            Compiler { spec, revision, operator, words: Words::of(revision), before: "object", exemptions: &[] };
        // an error is not absorbed by a conditional, as it would be by `||`
        let can_be_told =
            |prefix: &str, n: usize| json!({"expression": format!("variables.{prefix}{n} ? true : true")});
        let mut validations = compiler.each(|n| can_be_told("fails", n));
        validations.extend(compiler.each(|n| can_be_told("held", n)));
        validations.push(json!({"expression": "false", "messageExpression": compiler.words.warning_cel()}));
        // a question that has to know both, whether a check holds and whether it did; told is what fails
        let mut policy = compiler.policy_spec(Question::Refuses, &json!("Fail"), &validations);
        policy["variables"] = json!(compiler.variables(Question::Refuses, Question::Fails));
        policy["matchConstraints"]["objectSelector"] = json!({"matchLabels": {labels::PROOF: revision.name}});
        let name = format!("goldenpath-{}-feedback-{}{PROOF_SUFFIX}", revision.name, hash(&policy));
        let here = json!({"matchExpressions": [at_home(operator)]});
        let names = checked(revision).map(|rule| rule.name.clone()).collect();
        let feedback = compiler.named(&name, &policy, &binding_spec("Deny", &here))?;
        Ok(Self { feedback, words: compiler.words, names })
    }

    /// How the API server's answer to a probe ends: with what the policies would say of `subject` when these checks fail.
    #[must_use]
    pub fn answer(&self, subject: &str, failing: &[usize]) -> String {
        self.words.warning(subject, failing)
    }

    /// The default whose check the API server could not evaluate, by its answer.
    #[must_use]
    pub fn culprit(&self, answer: &str) -> Option<&str> {
        let asked = |n: usize| ["fails", "held"].iter().any(|p| answer.contains(&format!("'variables.{p}{n} ? ")));
        self.names.iter().enumerate().find(|(n, _)| asked(*n)).map(|(_, name)| name.as_str())
    }
}
