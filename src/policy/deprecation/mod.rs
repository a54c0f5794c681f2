//! Deprecations as ValidatingAdmissionPolicies: a warning, a refusal of what becomes old, a refusal of changes of what is,
//! and brownouts, which end by themselves.
//!
//! One policy for each entry of `matches` and each thing that is done about it, since rules, namespaces and the way in which
//! versions are matched differ between entries. `failurePolicy` is always Ignore: an expression that ends in an error says
//! nothing about an object, and refuses nobody.
//!
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/>.

mod fixes;
mod matches;
mod proof;
mod sample;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::cel_text::string;
use super::compile::{COMPILER_VERSION, Operator, not_excluded};
use super::feedback::Feedback;
use super::metadata::CREATES;
use super::requests::{Grant, is_granted, is_within, not_managed};
use crate::api::{Brownout, BrownoutAction, DeprecationMatch, DeprecationSpec, DeprecationStage, ResourceRule, labels};
use crate::plan::consumers::fix::names_identity;
use crate::plan::consumers::resolve::Served;
use crate::plan::deprecation::stage::{notice_over, window};
use crate::plan::deprecation::{Level, Step, level};
use crate::plan::revision::hex;
use words::{When, Words};

pub use proof::{Proof, Sample, Verdict, is_to_prove, refused, unproved};
pub use sample::seen_by;

/// The resources that each entry of `matches` means, by its name, each in the version in which objects are looked at.
pub type Targets = BTreeMap<String, Vec<Served>>;

/// The policies that a Deprecation of this name is enforced with at one moment.
///
/// An entry whose resources are not served has none, and neither has one that `targets` does not name.
pub fn deprecation(
    name: &str,
    spec: &DeprecationSpec,
    step: &Step,
    targets: &Targets,
    operator: &Operator,
    now: Timestamp,
) -> Result<Vec<Feedback>, serde_json::Error> {
    let mut policies = Vec::new();
    for entry in &spec.matches {
        let served = targets.get(&entry.name).map_or(&[][..], Vec::as_slice);
        let compiler = Compiler { name, spec, entry, served, targets, operator, now };
        if compiler.rules().is_empty() {
            continue;
        }
        for doing in compiler.doings(step) {
            policies.push(compiler.build(&doing)?);
        }
    }
    Ok(policies)
}

/// Something that is done about old objects.
struct Doing<'a> {
    /// Part of the name of the policy.
    name: String,
    denies: bool,
    question: Question,
    brownout: Option<&'a Brownout>,
    when: When,
}

/// What is asked about an old object that nobody has exempted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    /// It is created, becomes old, or its content changes.
    Written,
    /// It is created, or becomes old.
    Arrives,
    /// It was old before, and its content changes.
    Stays,
}

struct Compiler<'a> {
    name: &'a str,
    spec: &'a DeprecationSpec,
    entry: &'a DeprecationMatch,
    served: &'a [Served],
    targets: &'a Targets,
    operator: &'a Operator,
    now: Timestamp,
}

impl<'a> Compiler<'a> {
    /// What is done in a stage. An entry for which notice is owed still is warned of, whatever the stage.
    fn doings(&self, step: &Step) -> Vec<Doing<'a>> {
        let timeline = &self.spec.timeline;
        let asked_for = level(timeline, step.stage);
        if !step.noticed.contains(&self.entry.name) {
            let owed = notice_over(self.spec, &step.matches, &self.entry.name);
            let when =
                owed.filter(|_| asked_for > Level::Warn).map_or_else(|| When::ahead(self.spec, self.now), When::Owed);
            return if asked_for == Level::Silent { Vec::new() } else { vec![warns(Question::Written, when)] };
        }
        let gone = step.stage >= DeprecationStage::Removed;
        let since = if gone { When::gone(timeline) } else { When::since(timeline, asked_for, self.now) };
        let mut doings = match asked_for {
            Level::Silent => Vec::new(),
            Level::Warn => vec![warns(Question::Written, if gone { since } else { When::ahead(self.spec, self.now) })],
            Level::DenyCreate => {
                vec![
                    denies("deny", Question::Arrives, since),
                    warns(Question::Stays, When::ahead_of_changes(self.spec, self.now)),
                ]
            }
            Level::DenyUpdate => vec![denies("deny", Question::Written, since)],
        };
        let there = self.spec.brownouts.iter().filter(|brownout| step.brownouts.contains(&brownout.name));
        doings.extend(there.map(|brownout| {
            let question = match brownout.action {
                BrownoutAction::DenyCreate => Question::Arrives,
                BrownoutAction::DenyUpdate => Question::Written,
            };
            let when = When::Brownout { name: brownout.name.clone(), end: window(brownout).1 };
            Doing { brownout: Some(brownout), ..denies(&format!("brownout-{}", brownout.name), question, when) }
        }));
        doings
    }

    fn build(&self, doing: &Doing<'_>) -> Result<Feedback, serde_json::Error> {
        let policy = self.policy_spec(doing);
        let mut selector = json!(self.entry.namespace_selector);
        if selector.is_null() {
            selector = json!({});
        }
        let mut expressions = selector["matchExpressions"].as_array().cloned().unwrap_or_default();
        expressions.push(not_excluded(self.operator));
        selector["matchExpressions"] = json!(expressions);
        let action = if doing.denies { "Deny" } else { "Warn" };
        let mut binding = json!({"validationActions": [action], "matchResources": {"namespaceSelector": selector}});
        let content = json!([COMPILER_VERSION, policy, binding]).to_string();
        let hash = hex(&Sha256::digest(content.as_bytes())[..4]);
        let name = format!("goldenpath-depr-{}-{}-{}-{hash}", self.name, self.entry.name, doing.name);
        binding["policyName"] = json!(name);
        let metadata = json!({
            "name": name,
            "labels": {labels::DEPRECATION: self.name, labels::MATCH: self.entry.name},
            "annotations": {labels::COMPILER: COMPILER_VERSION.to_string()},
        });
        Ok(Feedback {
            policy: serde_json::from_value(json!({"metadata": metadata, "spec": policy}))?,
            binding: serde_json::from_value(json!({"metadata": metadata, "spec": binding}))?,
        })
    }

    fn policy_spec(&self, doing: &Doing<'_>) -> Value {
        let words = Words::of(self.name, self.spec, self.entry, &doing.when, self.printed_patch().is_some());
        json!({
            "failurePolicy": "Ignore",
            "matchConstraints": {
                // what is asked about an API version must see the request as it was sent
                "matchPolicy": if self.entry.written_as.is_empty() { "Equivalent" } else { "Exact" },
                "namespaceSelector": {},
                "objectSelector": {},
                "resourceRules": self.rules(),
            },
            "matchConditions": [{"name": "old", "expression": self.condition()}],
            "variables": self.variables(doing),
            "validations": [{
                "expression": "!variables.met",
                "message": words.at_least(),
                "messageExpression": words.cel(),
                "reason": "Forbidden",
            }],
        })
    }

    /// Creations and updates of the objects themselves, never of their `scale` or `status`.
    fn rules(&self) -> Vec<Value> {
        let mut by_version = BTreeMap::<(&str, &str), Vec<&str>>::new();
        for Served { group, version, plural, .. } in self.served {
            if self.entry.written_as.is_empty() {
                by_version.entry((group, version)).or_default().push(plural);
                continue;
            }
            let split = |written: &'a str| written.split_once('/').unwrap_or(("", written));
            let old = self.entry.written_as.iter().map(|written| split(written));
            for (of, version) in old.filter(|(of, _)| of == group) {
                by_version.entry((of, version)).or_default().push(plural);
            }
        }
        let rule = |((group, version), plurals): ((&str, &str), Vec<&str>)| {
            json!({
                "apiGroups": [group],
                "apiVersions": [version],
                "operations": ["CREATE", "UPDATE"],
                "resources": plurals,
                "scope": "*",
            })
        };
        by_version.into_iter().map(rule).collect()
    }

    /// The object is old, and the request is none of those that nothing is said about: the operator's own, those of the parts
    /// of Kubernetes, which nobody could change, what a controller makes, and what is being deleted.
    ///
    /// One condition: a request about an object that is not old ends at its first part, before anything else is prepared.
    /// With four conditions, and what is old among the variables, fifty policies took 8 ms of a request and not 2.
    fn condition(&self) -> String {
        let mut terms = vec![
            matches::matches(self.entry, "object"),
            format!("request.userInfo.username != {}", string(&self.operator.username)),
            not_the_system(),
            not_managed(),
            "!has(object.metadata.deletionTimestamp)".to_owned(),
        ];
        if self.served.iter().any(|served| served.group == "apiextensions.k8s.io") {
            let ours = string(&format!(".{}", crate::api::GROUP));
            terms.push(format!("!object.metadata.name.endsWith({ours})"));
        }
        terms.join("\n && ")
    }

    fn variables(&self, doing: &Doing<'_>) -> Vec<Value> {
        let was = format!("!({CREATES}) && {}", matches::matches(self.entry, "oldObject"));
        let arrives = "!variables.was";
        let question = match doing.question {
            Question::Written => format!("({arrives} || variables.changes)"),
            Question::Arrives => arrives.to_owned(),
            Question::Stays => "variables.was && variables.changes".to_owned(),
        };
        let exempt: Vec<String> = self.exemptions();
        let window =
            doing.brownout.map(|brownout| format!("({}) && ", is_within(window(brownout)))).unwrap_or_default();
        let exempted = if exempt.is_empty() { "" } else { "!variables.exempt && " };
        let mut variables = vec![("was", was), ("changes", matches::changes(self.entry))];
        if !exempt.is_empty() {
            variables.push(("exempt", exempt.join("\n || ")));
        }
        variables.push(("met", format!("{window}{exempted}{question}")));
        variables.extend(words::variables());
        variables.extend(self.printed_patch().map(|patch| ("fits", self.fits(patch))));
        variables.into_iter().map(|(name, expression)| json!({"name": name, "expression": expression})).collect()
    }

    /// The patch of the command that is printed. Who writes through an old version is moved by no patch of the object, and
    /// some fields can be changed in a manifest alone.
    fn printed_patch(&self) -> Option<&'a Map<String, Value>> {
        let patch = &self.spec.replacement.as_ref()?.fix.as_ref()?.patch;
        (self.entry.written_as.is_empty() && words::is_printed(patch) && !names_identity(patch)).then_some(patch)
    }

    /// Whether the patch makes a new one of what is sent, or of what is there, which is what a command would patch.
    fn fits(&self, patch: &Map<String, Value>) -> String {
        let is_mine = |rule: &ResourceRule| {
            let names =
                |served: &Served| rule.api_groups.contains(&served.group) && rule.resources.contains(&served.plural);
            self.served.iter().any(names)
        };
        // what cannot be compiled must not keep the API server from taking this entry
        let looks = |entry: &&DeprecationMatch| {
            self.targets.contains_key(&entry.name)
                && (entry.name == self.entry.name || entry.resource_rules.iter().any(is_mine))
        };
        let entries = self.spec.matches.iter().filter(looks);
        fixes::fits(patch, "(variables.was ? dyn(oldObject) : dyn(object))", entries)
    }

    /// The exemptions that have not ended. Each carries its own end, so that it ends without us too.
    fn exemptions(&self) -> Vec<String> {
        let granted = self.spec.exemptions.iter().filter(|exemption| exemption.expires_at.0 > self.now);
        granted
            .map(|exemption| {
                let grant = Grant {
                    namespace: exemption.namespace.as_deref(),
                    service: exemption.service.as_deref(),
                    namespace_selector: exemption.namespace_selector.as_ref(),
                    expires_at: exemption.expires_at.0,
                };
                // what is in no namespace is exempt from nothing
                format!("has(object.metadata.namespace) && {}", is_granted(grant, &labels::SERVICE_LABELS))
            })
            .collect()
    }
}

/// A volume claim is bound by an update of its spec, and whoever refuses that stops a service. Each controller of Kubernetes
/// has an account in kube-system, or they share one.
fn not_the_system() -> String {
    let user = "request.userInfo.username";
    let parts = ["system:kube-", "system:node:", "system:serviceaccount:kube-system:"];
    let begins = parts.map(|part| format!("{user}.startsWith({})", string(part)));
    format!("!({} || {user} == 'system:apiserver')", begins.join(" || "))
}

fn warns<'a>(question: Question, when: When) -> Doing<'a> {
    Doing { name: "warn".to_owned(), denies: false, question, brownout: None, when }
}

fn denies<'a>(name: &str, question: Question, when: When) -> Doing<'a> {
    Doing { name: name.to_owned(), denies: true, question, brownout: None, when }
}
