//! One entry of `matches`, compiled: whether an object is old, and who writes it so.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value;

use super::images::{images, is_like};
use crate::api::labels::SERVICE_LABELS;
use crate::api::{DeprecationMatch, NamespaceSelector};
use crate::cel::{Check, CheckError, Subject};
use crate::plan::metadata::{labels, newest, records};
use crate::plan::selector::selects;

/// Why an entry of `matches` cannot be used: field, value and the fix.
#[derive(thiserror::Error, Clone, Debug, PartialEq)]
#[error("matches[{entry}].expression: {problem}")]
pub struct InvalidMatch {
    /// Name of the entry.
    pub entry: String,
    /// What is wrong.
    pub problem: CheckError,
}

/// What an entry says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// It is not old.
    NotMatched,
    /// It is old.
    Matched {
        /// The field manager that writes it through an old API version, where that is asked.
        manager: Option<String>,
    },
    /// The expression ends in an error, with these words. Such an object never counts as old.
    Unevaluable(String),
}

/// An entry of `matches`.
#[derive(Clone, Debug)]
pub struct Matcher {
    images: Vec<String>,
    written_as: BTreeSet<String>,
    check: Option<Check>,
    selector: Option<NamespaceSelector>,
}

impl Matcher {
    /// Compiles an entry.
    pub fn compile(entry: &DeprecationMatch) -> Result<Self, InvalidMatch> {
        let invalid = |problem| InvalidMatch { entry: entry.name.clone(), problem };
        Ok(Self {
            images: entry.images.clone(),
            written_as: entry.written_as.iter().cloned().collect(),
            check: entry.expression.as_deref().map(compile).transpose().map_err(invalid)?,
            selector: entry.namespace_selector.clone(),
        })
    }

    /// Whether the answer may change when a namespace does: then its objects are looked at again.
    #[must_use]
    pub fn looks_at_namespaces(&self) -> bool {
        self.check.as_ref().is_some_and(|check| check.source().contains("namespaceObject"))
    }

    /// Whether not every namespace is meant.
    #[must_use]
    pub fn has_selector(&self) -> bool {
        self.selector.is_some()
    }

    /// Whether objects of a namespace are meant at all. Asked when objects are counted, not when one is seen: the labels of
    /// a namespace change without an event of the objects in it.
    #[must_use]
    pub fn selects(&self, namespace: &Value) -> bool {
        self.selector.as_ref().is_none_or(|selector| selects(selector, namespace))
    }

    /// What the entry says of an object; `namespace` is null for one that is in none.
    #[must_use]
    pub fn look(&self, object: &Value, namespace: &Value) -> Sight {
        if !self.images.is_empty() && !images(object).any(|image| self.images.iter().any(|p| is_like(image, p))) {
            return Sight::NotMatched;
        }
        let manager = if self.written_as.is_empty() { None } else { self.writer(object) };
        if manager.is_none() && !self.written_as.is_empty() {
            return Sight::NotMatched;
        }
        let subject = Subject { object, namespace_object: namespace, template: &Value::Null };
        match self.check.as_ref().map(|check| check.evaluate(&subject)) {
            None | Some(Ok(true)) => Sight::Matched { manager },
            Some(Ok(false)) => Sight::NotMatched,
            Some(Err(error)) => Sight::Unevaluable(error.to_string()),
        }
    }

    /// Who writes the object itself through one of the versions. Of what one manager wrote in several versions the newest
    /// counts: unless it applies server-side, unchanged fields stay with the version that it wrote them in. The last writer
    /// is named.
    fn writer(&self, object: &Value) -> Option<String> {
        let text = |record: &Value, field: &str| record.get(field).and_then(Value::as_str).map(str::to_owned);
        let is_old = |record: &Value| text(record, "apiVersion").is_some_and(|v| self.written_as.contains(&v));
        let of_the_object = |record: &&Value| text(record, "subresource").is_none_or(|of| of.is_empty());
        let moved = |old: &Value| {
            let same = |record: &Value, field: &str| record.get(field) == old.get(field);
            let newer = |record: &Value| newest(std::iter::once(record)) > newest(std::iter::once(old));
            let mut others = records(object).filter(of_the_object).filter(|record| !is_old(record));
            others.any(|record| same(record, "manager") && same(record, "operation") && newer(record))
        };
        let found = records(object).filter(of_the_object).filter(|record| is_old(record) && !moved(record));
        found.max_by_key(|record| text(record, "time")).map(|record| text(record, "manager").unwrap_or_default())
    }
}

/// Checks of paths have `variables.template`, which is the pod template of a workload; other objects have none.
fn compile(expression: &str) -> Result<Check, CheckError> {
    let named = Regex::new(r"(^|[^.\w])variables\s*\.");
    if named.is_ok_and(|named| named.is_match(expression)) {
        let message = "`variables` are known in checks of paths alone; write object.spec.template".to_owned();
        return Err(CheckError::DoesNotCompile { message });
    }
    Check::compile(expression)
}

/// The PlatformService that an object says it belongs to.
#[must_use]
pub fn service_of(object: &Value) -> Option<String> {
    let mut labels = labels(object);
    SERVICE_LABELS.into_iter().find_map(|name| labels.remove(name)).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn entry(fields: &Value) -> DeprecationMatch {
        let mut entry =
            json!({"name": "old", "resourceRules": [{"apiGroups": ["apps"], "resources": ["deployments"]}]});
        entry.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        serde_json::from_value(entry).unwrap()
    }

    fn look(fields: &Value, object: &Value) -> Sight {
        Matcher::compile(&entry(fields)).unwrap().look(object, &json!({"metadata": {"labels": {"env": "dev"}}}))
    }

    fn matched(manager: Option<&str>) -> Sight {
        Sight::Matched { manager: manager.map(str::to_owned) }
    }

    fn ingress() -> Value {
        let record =
            |manager: &str, version: &str, time: &str| json!({"manager": manager, "apiVersion": version, "time": time});
        let mut by_status = record("status", "autoscaling/v2beta2", "2026-11-09T00:00:00Z");
        by_status["subresource"] = json!("status");
        json!({
            "metadata": {"name": "web", "managedFields": [
                record("old-helm", "autoscaling/v1", "2026-11-01T00:00:00Z"),
                record("helm", "autoscaling/v1", "2026-11-02T00:00:00Z"),
                record("argocd", "autoscaling/v2", "2026-11-03T00:00:00Z"),
                by_status,
            ]},
            "spec": {"ingressClassName": "legacy", "containers": [{"image": "base/java8:1"}]},
        })
    }

    #[rstest]
    #[case::everything(json!({}), matched(None))]
    #[case::an_image(json!({"images": ["x", "base/java8*"]}), matched(None))]
    #[case::another_image(json!({"images": ["base/java9*"]}), Sight::NotMatched)]
    #[case::an_expression(json!({"expression": "object.spec.ingressClassName == 'legacy'"}), matched(None))]
    #[case::of_the_namespace(
        json!({"expression": "namespaceObject.metadata.labels['env'] == 'prod'"}),
        Sight::NotMatched
    )]
    #[case::the_last_writer(json!({"writtenAs": ["autoscaling/v1"]}), matched(Some("helm")))]
    #[case::nobody_writes_so(json!({"writtenAs": ["autoscaling/v2beta1"]}), Sight::NotMatched)]
    #[case::status_is_no_writer(json!({"writtenAs": ["autoscaling/v2beta2"]}), Sight::NotMatched)]
    #[case::everything_must_hold(
        json!({"images": ["base/*"], "writtenAs": ["autoscaling/v1"], "expression": "false"}),
        Sight::NotMatched
    )]
    fn an_entry_matches_when_everything_that_it_says_holds(#[case] fields: Value, #[case] expected: Sight) {
        assert_eq!(look(&fields, &ingress()), expected);
    }

    #[rstest]
    #[case::moved("helm", "Update", "", "2026-11-03T00:00:00Z", Sight::NotMatched)]
    #[case::went_back("helm", "Update", "", "2026-11-01T00:00:00Z", matched(Some("helm")))]
    #[case::somebody_else("argocd", "Update", "", "2026-11-03T00:00:00Z", matched(Some("helm")))]
    #[case::another_operation("helm", "Apply", "", "2026-11-03T00:00:00Z", matched(Some("helm")))]
    #[case::a_status("helm", "Update", "status", "2026-11-03T00:00:00Z", matched(Some("helm")))]
    fn who_writes_through_the_new_version_now_has_moved(
        #[case] manager: &str,
        #[case] operation: &str,
        #[case] subresource: &str,
        #[case] time: &str,
        #[case] expected: Sight,
    ) {
        let record = |manager: &str, version: &str, operation: &str, subresource: &str, time: &str| {
            json!({"manager": manager, "apiVersion": version, "operation": operation, "subresource": subresource,
                "time": time})
        };
        let object = json!({"metadata": {"managedFields": [
            record("helm", "autoscaling/v1", "Update", "", "2026-11-02T00:00:00Z"),
            record(manager, "autoscaling/v2", operation, subresource, time),
        ]}});
        assert_eq!(look(&json!({"writtenAs": ["autoscaling/v1"]}), &object), expected);
    }

    #[rstest]
    #[case("variables.template.spec.containers.size() == 1", true)]
    #[case("has(object.spec) && variables .template != null", true)]
    #[case("object.spec.variables.size() == 1", false)]
    #[case("object.myvariables.size() == 1", false)]
    fn variables_are_those_of_paths(#[case] expression: &str, #[case] refused: bool) {
        let compiled = Matcher::compile(&entry(&json!({"expression": expression})));
        assert_eq!(compiled.is_err_and(|error| error.to_string().contains("object.spec.template")), refused);
    }

    #[test]
    fn an_error_is_never_a_match() {
        let fields = json!({"expression": "object.spec.nowhere == 'x'"});
        let Sight::Unevaluable(words) = look(&fields, &ingress()) else { unreachable!("not an error") };
        assert!(words.contains("nowhere"), "{words}");
        // what is not looked at cannot fail
        let fields = json!({"images": ["none"], "expression": "object.spec.nowhere == 'x'"});
        assert_eq!(look(&fields, &ingress()), Sight::NotMatched);
    }

    #[test]
    fn an_expression_that_means_nothing_is_named() {
        let error = Matcher::compile(&entry(&json!({"expression": "object.spec."}))).unwrap_err().to_string();
        assert!(error.starts_with("matches[old].expression: "), "{error}");
        let error = Matcher::compile(&entry(&json!({"expression": "object.spec.size() + 1"}))).unwrap_err().to_string();
        assert!(error.starts_with("matches[old].expression: "), "{error}");
    }

    #[test]
    fn namespaces_are_selected_by_their_labels() {
        let selector = json!({"namespaceSelector": {"matchExpressions": [
            {"key": "env", "operator": "NotIn", "values": ["sandbox"]}]}});
        let matcher = Matcher::compile(&entry(&selector)).unwrap();
        let namespace = |env: &str| json!({"metadata": {"labels": {"env": env}}});
        assert!(matcher.selects(&namespace("prod")) && !matcher.selects(&namespace("sandbox")));
        assert!(Matcher::compile(&entry(&json!({}))).unwrap().selects(&namespace("sandbox")));
    }

    #[test]
    fn only_an_expression_about_namespaces_looks_at_them() {
        let looks =
            |source: &str| Matcher::compile(&entry(&json!({"expression": source}))).unwrap().looks_at_namespaces();
        assert!(looks("has(namespaceObject.metadata.labels)") && !looks("has(object.metadata.labels)"));
    }

    #[test]
    fn an_object_says_whose_it_is() {
        let object = json!({"metadata": {"labels": {
            "goldenpath.dev/companion": "second", "goldenpath.dev/service": "first"}}});
        assert_eq!(service_of(&object).as_deref(), Some("first"));
        assert_eq!(service_of(&json!({"metadata": {}})), None);
    }
}
