//! The copy with which an entry of `matches` is proved: before anything is refused, the API server has to say of objects that
//! are there what the count says of them.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::matches::matches;
use crate::api::{DeprecationMatch, labels};
use crate::plan::revision::hex;
use crate::policy::cel_text::literal;
use crate::policy::compile::{COMPILER_VERSION, Operator, PROOF_SUFFIX, at_home};
use crate::policy::feedback::Feedback;

/// An object that a proof asks about.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What it is called in a message, such as ingress/shop/checkout.
    pub what: String,
    /// The object, as far as the entry looks at it.
    pub object: Value,
    /// What the count says of it.
    pub is_old: bool,
}

/// What the copy says of a probe when all is well.
const PROVED: &str = "proved";
const DENIED: &str = "denied request: ";
/// So much of what the API server says, and of an expression, is told.
const MAX_WORDS: usize = 200;

/// What an entry is proved with: a policy in the operator's own namespace that refuses every probe. The objects stand in it,
/// since nobody but their owners could send them.
pub struct Proof<'a> {
    /// The policy and its binding.
    pub feedback: Feedback,
    /// The value of label [`labels::PROOF`] of the probes that it is asked about.
    pub probe: String,
    samples: &'a [Sample],
}

/// What an answer to a probe means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The API server says what we say.
    Proved,
    /// It does not, and this is how, and what to do.
    Wrong(String),
    /// The copy is not in force yet.
    NotAsked,
}

/// Whether there is anything of an entry to prove: one that takes all objects of a resource is taken by every API server.
#[must_use]
pub fn is_to_prove(entry: &DeprecationMatch) -> bool {
    entry.expression.is_some() || !entry.images.is_empty() || !entry.written_as.is_empty()
}

/// The problem of an entry that could not be proved, in a message for its author.
#[must_use]
pub fn unproved(entry: &DeprecationMatch, wrong: &str) -> String {
    let said = entry.expression.as_deref().map(|expression| format!(".expression {:?}", shortened(expression)));
    let (name, said) = (&entry.name, said.unwrap_or_default());
    format!("matches[{name}]{said} was tried on the API server before anything is made of it: {wrong}")
}

impl<'a> Proof<'a> {
    /// The proof of an entry of a Deprecation of this name.
    pub fn of(
        name: &str,
        entry: &DeprecationMatch,
        samples: &'a [Sample],
        operator: &Operator,
    ) -> Result<Self, serde_json::Error> {
        let asked = samples.iter().enumerate().map(|(n, sample)| {
            let says = matches(entry, &literal(&sample.object));
            json!({"expression": format!("({says}) == {}", sample.is_old), "message": n.to_string()})
        });
        // without any object it is proved that the API server takes the text
        let taken = json!({"expression": format!("true || ({})", matches(entry, "object"))});
        let validations: Vec<Value> = asked.chain([taken, json!({"expression": "false", "message": PROVED})]).collect();
        let content = json!([COMPILER_VERSION, validations]).to_string();
        let probe = hex(&Sha256::digest(content.as_bytes())[..4]);
        let copy = format!("goldenpath-depr-{name}-{}-{probe}{PROOF_SUFFIX}", entry.name);
        let metadata = json!({
            "name": copy,
            "labels": {labels::DEPRECATION: name, labels::MATCH: entry.name},
            "annotations": {labels::COMPILER: COMPILER_VERSION.to_string()},
        });
        let rule = json!({
            "apiGroups": ["apps"],
            "apiVersions": ["v1"],
            "operations": ["CREATE"],
            "resources": ["deployments"],
        });
        let policy = json!({
            "failurePolicy": "Fail",
            "matchConstraints": {
                "namespaceSelector": {},
                "objectSelector": {"matchLabels": {labels::PROOF: probe}},
                "resourceRules": [rule],
            },
            "validations": validations,
        });
        let here = json!({"matchExpressions": [at_home(operator)]});
        let binding =
            json!({"policyName": copy, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": here}});
        let feedback = Feedback {
            policy: serde_json::from_value(json!({"metadata": metadata, "spec": policy}))?,
            binding: serde_json::from_value(json!({"metadata": metadata, "spec": binding}))?,
        };
        Ok(Self { feedback, probe, samples })
    }

    /// What the refusal of a probe means.
    #[must_use]
    pub fn verdict(&self, refusal: &str) -> Verdict {
        if !refusal.contains(self.feedback.name()) {
            return Verdict::NotAsked;
        }
        let said = refusal.split_once(DENIED).map_or(refusal, |(_, said)| said).trim();
        if said == PROVED {
            return Verdict::Proved;
        }
        let Some(sample) = said.parse().ok().and_then(|n: usize| self.samples.get(n)) else {
            let error = shortened(said.rsplit("resulted in error: ").next().unwrap_or(said));
            return Verdict::Wrong(format!("it cannot evaluate it: {error}; ask with has() first, and for less"));
        };
        let (ours, theirs) = if sample.is_old { ("old", "it is not") } else { ("not old", "it is") };
        Verdict::Wrong(format!(
            "{} is counted as {ours}, and the API server says that {theirs}; say it in plainer words",
            sample.what
        ))
    }
}

/// What the API server says against the copy itself, before anything can be asked.
#[must_use]
pub fn refused(refusal: &str) -> String {
    let words = refusal.split_once(" is invalid: ").map_or(refusal, |(_, words)| words);
    format!("it refuses it: {}; write it in what CEL of this API server knows", shortened(words))
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(MAX_WORDS).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> DeprecationMatch {
        serde_json::from_value(json!({
            "name": "class", "resourceRules": [], "expression": "object.spec.class == 'it' // a comment"}))
        .unwrap()
    }

    #[test]
    fn what_the_api_server_says_of_a_probe_is_understood() {
        let (entry, object) = (entry(), json!({"spec": {"class": "a'"}}));
        let sample = |what: &str, is_old| Sample { what: what.into(), object: object.clone(), is_old };
        let samples = [sample("ingress/shop/a", true), sample("ingress/shop/b", false)];
        let operator = Operator { username: "system:serviceaccount:home:goldenpath".into(), namespace: "home".into() };
        let proof = Proof::of("ing", &entry, &samples, &operator).unwrap();
        let answer = |said: &str| {
            let by = format!("ValidatingAdmissionPolicy '{}' with binding 'x'", proof.feedback.name());
            match proof.verdict(&format!("deployments.apps \"p\" is forbidden: {by} denied request: {said}")) {
                Verdict::Wrong(wrong) => wrong,
                other => format!("{other:?}"),
            }
        };
        assert_eq!(answer("proved"), "Proved");
        let not = "ingress/shop/a is counted as old, and the API server says that it is not; say it in plainer words";
        assert_eq!(answer("0"), not);
        let so = "ingress/shop/b is counted as not old, and the API server says that it is; say it in plainer words";
        assert_eq!(answer("1"), so);
        let costly = "expression '..' resulted in error: operation cancelled: actual cost limit exceeded";
        let cannot = "it cannot evaluate it: operation cancelled: actual cost limit exceeded; ask with has() first, and \
                      for less";
        assert_eq!(answer(costly), cannot);
        assert_eq!(proof.verdict("exceeded quota"), Verdict::NotAsked);
        let spec = proof.feedback.policy.spec.as_ref().unwrap();
        assert_eq!(spec.failure_policy.as_deref(), Some("Fail"));
        let first = &spec.validations.as_ref().unwrap()[0].expression;
        let asked =
            "([dyn({'spec': dyn({'class': dyn('a\\'')})})].all(object, object.spec.class == 'it' // a comment\n";
        assert_eq!(first, &format!("{asked})) == true"));
    }

    #[test]
    fn a_proof_that_fails_names_entry_expression_answer_and_fix() {
        let expected = "matches[class].expression \"object.spec.class == 'it' // a comment\" was tried on the API server \
                        before anything is made of it: it refuses it: spec.validations[0].expression: compilation failed; \
                        write it in what CEL of this API server knows";
        let refusal = "ValidatingAdmissionPolicy \"x\" is invalid: spec.validations[0].expression: compilation failed";
        assert_eq!(unproved(&entry(), &refused(refusal)), expected);
        let long = DeprecationMatch { expression: Some("é".repeat(500)), ..entry() };
        assert!(unproved(&long, "no").len() < 600);
    }

    #[test]
    fn an_entry_that_takes_everything_needs_no_proof() {
        assert!(is_to_prove(&entry()));
        assert!(is_to_prove(&DeprecationMatch { images: vec!["java8*".into()], expression: None, ..entry() }));
        assert!(is_to_prove(&DeprecationMatch { written_as: vec!["v1".into()], expression: None, ..entry() }));
        assert!(!is_to_prove(&DeprecationMatch { expression: None, ..entry() }));
    }
}
