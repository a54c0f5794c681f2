//! Admission feedback: the checks of a path as ValidatingAdmissionPolicies, which warn or refuse while a workload is
//! being written.
//!
//! They match namespaces and kinds, not our labels, so a workload that nobody has adopted yet hears of them too. The text
//! of a check goes into the policy as its author wrote it, one variable a check. What it calls `object` and
//! `variables.template` are variables of a comprehension around it, so that the same text can be asked about the object
//! as it was before the request; and since `object` is `dyn` there, the API server has no type to warn of when a check
//! looks at a field that only some kinds have.
//!
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/>.

mod conditions;
mod proof;
#[cfg(test)]
mod tests;
mod words;

use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::compile::{Operator, metadata_of, not_excluded, resource_rules};
use super::metadata::CREATES;
use crate::api::{Admission, AdmissionLevel, Exemption, GoldenPathSpec};
use crate::plan::feedback::checked;
use crate::plan::revision::{Revision, hex};
use conditions::{match_conditions, silences};
use words::Words;

pub use proof::Proof;

/// A policy and the binding that puts it in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Feedback {
    /// The policy.
    pub policy: ValidatingAdmissionPolicy,
    /// Its binding.
    pub binding: ValidatingAdmissionPolicyBinding,
}

impl Feedback {
    /// Name of both.
    #[must_use]
    pub fn name(&self) -> &str {
        self.policy.metadata.name.as_deref().unwrap_or_default()
    }
}

/// The policies that a path of this spec asks for: none, one that warns, or one that refuses and one that warns of what
/// is not refused, because it was so before.
pub fn feedback(
    spec: &GoldenPathSpec,
    revision: &Revision,
    operator: &Operator,
) -> Result<Vec<Feedback>, serde_json::Error> {
    let Some(admission) = &spec.admission else { return Ok(Vec::new()) };
    let compiler = Compiler {
        spec,
        revision,
        operator,
        words: Words::of(revision),
        before: "oldObject",
        exemptions: &spec.exemptions,
    };
    let asked_for = json!(admission.failure_policy);
    let warn = |question, failure: &Value| {
        let warning = compiler.all_at_once(&compiler.words.warning_cel());
        compiler.build(admission, "Warn", &compiler.policy_spec(question, failure, &[warning]))
    };
    let deny = || {
        let spec = compiler.policy_spec(Question::Refuses, &asked_for, &compiler.refusals());
        compiler.build(admission, "Deny", &spec)
    };
    Ok(match admission.level {
        AdmissionLevel::Off => Vec::new(),
        AdmissionLevel::Warn => vec![warn(Question::Fails, &asked_for)?],
        // where a check cannot be evaluated the refusal says so, once is enough
        AdmissionLevel::Deny => vec![deny()?, warn(Question::Stays, &json!("Ignore"))?],
    })
}

/// What is asked about each check. The name of its variable ends with the check's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    /// It does not hold, and nothing silences it.
    Fails,
    /// It fails, and did not before the request.
    Refuses,
    /// It fails, and did before: a change of something else, such as going back to an earlier image, must get through.
    Stays,
}

impl Question {
    fn prefix(self) -> &'static str {
        match self {
            Self::Fails => "variables.fails",
            Self::Refuses => "variables.refuses",
            Self::Stays => "variables.stays",
        }
    }
}

struct Compiler<'a> {
    spec: &'a GoldenPathSpec,
    revision: &'a Revision,
    operator: &'a Operator,
    words: Words,
    /// The object before the request.
    before: &'static str,
    /// Who is exempt from what.
    exemptions: &'a [Exemption],
}

impl Compiler<'_> {
    fn each(&self, validation: impl Fn(usize) -> Value) -> Vec<Value> {
        (0..checked(self.revision).count()).map(validation).collect()
    }

    /// One message with everything that is wrong. A message for each check would repeat the names of policy and binding,
    /// and an API server cuts warnings down to 256 characters when they have more than 4096 together.
    fn all_at_once(&self, message: &str) -> Value {
        json!({
            "expression": "variables.told.size() == 0",
            "message": self.words.at_least(),
            "messageExpression": message,
            "reason": "Forbidden",
        })
    }

    /// The first one is what a person reads. When a check cannot be evaluated it cannot either, and each of the others,
    /// alone, decides: one check that nobody has thought through must not open the door to everything.
    fn refusals(&self) -> Vec<Value> {
        let mut validations = vec![self.all_at_once(&self.words.refusal_cel())];
        validations.extend(self.each(|n| {
            json!({
                "expression": format!("!{}{n}", Question::Refuses.prefix()),
                "message": self.words.alone(n),
                "reason": "Forbidden",
            })
        }));
        validations
    }

    fn build(&self, admission: &Admission, action: &str, policy: &Value) -> Result<Feedback, serde_json::Error> {
        let mut selector = json!(admission.namespace_selector);
        if selector.is_null() {
            selector = json!({});
        }
        let mut expressions = selector["matchExpressions"].as_array().cloned().unwrap_or_default();
        expressions.push(not_excluded(self.operator));
        selector["matchExpressions"] = json!(expressions);
        let binding = binding_spec(action, &selector);
        let hash = hash(&json!([policy, binding]));
        let name = format!("goldenpath-{}-{}-{hash}", self.revision.name, action.to_lowercase());
        self.named(&name, policy, &binding)
    }

    fn named(&self, name: &str, policy: &Value, binding: &Value) -> Result<Feedback, serde_json::Error> {
        let metadata = metadata_of(&self.revision.path, &self.revision.name, name);
        let mut binding = binding.clone();
        binding["policyName"] = json!(name);
        Ok(Feedback {
            policy: serde_json::from_value(json!({"metadata": metadata, "spec": policy}))?,
            binding: serde_json::from_value(json!({"metadata": metadata, "spec": binding}))?,
        })
    }

    fn policy_spec(&self, question: Question, failure: &Value, validations: &[Value]) -> Value {
        json!({
            "failurePolicy": failure,
            "matchConstraints": {
                "matchPolicy": "Equivalent",
                "namespaceSelector": {},
                "objectSelector": {},
                "resourceRules": resource_rules(&self.spec.default_for),
            },
            "matchConditions": match_conditions(&self.operator.username),
            "variables": self.variables(question, question),
            "validations": validations,
        })
    }

    fn variables(&self, question: Question, told: Question) -> Vec<Value> {
        let before = self.before;
        let mut variables = vec![
            variable("subject", "request.kind.kind + ' ' + string(dyn(object).metadata.name)"),
            variable("template", &template("object")),
        ];
        if question != Question::Fails {
            variables.push(variable("templateBefore", &template(before)));
        }
        for (n, rule) in checked(self.revision).enumerate() {
            let check = rule.check.as_deref().unwrap_or_default();
            let silent = silences(rule, &self.revision.path, self.exemptions).join(" || ");
            let holds = asked(check, "object", "variables.template");
            variables.push(variable(&format!("fails{n}"), &format!("!({silent}) && !{holds}")));
            if question == Question::Fails {
                continue;
            }
            variables.push(variable(&format!("held{n}"), &asked(check, before, "variables.templateBefore")));
            let was_right = format!("({CREATES} || variables.held{n})");
            variables.push(match question {
                Question::Stays => variable(&format!("stays{n}"), &format!("variables.fails{n} && !{was_right}")),
                _ => variable(&format!("refuses{n}"), &format!("variables.fails{n} && {was_right}")),
            });
        }
        // a workload that is refused cannot be adopted: nothing is said of what would be filled then
        let lists = self
            .words
            .lists(told.prefix())
            .into_iter()
            .filter(|(name, _)| told != Question::Refuses || *name != "fills");
        variables.extend(lists.map(|(name, expression)| variable(name, &expression)));
        variables
    }
}

fn hash(content: &Value) -> String {
    hex(&Sha256::digest(content.to_string().as_bytes())[..4])
}

fn variable(name: &str, expression: &str) -> Value {
    json!({"name": name, "expression": expression})
}

fn binding_spec(action: &str, selector: &Value) -> Value {
    json!({"validationActions": [action], "matchResources": {"namespaceSelector": selector}})
}

fn template(object: &str) -> String {
    format!(
        "dyn(request.kind.kind == 'CronJob' \
         ? dyn({object}).spec.jobTemplate.spec.template : dyn({object}).spec.template)"
    )
}

/// A check asked about an object and its template. The line break ends a comment that the check may end with.
fn asked(check: &str, object: &str, template: &str) -> String {
    format!("[dyn({object})].all(object, [{{'template': dyn({template})}}].all(variables, {check}\n))")
}
