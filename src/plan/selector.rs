//! Label selectors: kube's own, asked about objects as they are at hand.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Expression, Selector, SelectorExt};
use serde::Deserialize;
use serde_json::Value;

use super::metadata;
use crate::api::{NamespaceSelector, SelectorOperator, SelectorRequirement};

/// Whether a namespace is selected.
#[must_use]
pub fn selects(selector: &NamespaceSelector, namespace: &Value) -> bool {
    let pairs = selector.match_labels.iter().map(|(key, value)| Expression::Equal(key.clone(), value.clone()));
    let requirement = |SelectorRequirement { key, operator, values }: &SelectorRequirement| {
        let (key, values) = (key.clone(), values.iter().cloned().collect());
        match operator {
            SelectorOperator::In => Expression::In(key, values),
            SelectorOperator::NotIn => Expression::NotIn(key, values),
            SelectorOperator::Exists => Expression::Exists(key),
            SelectorOperator::DoesNotExist => Expression::DoesNotExist(key),
        }
    };
    // from before the API server asked for values: nobody knows whom that selects, so nobody
    let needs_values = |r: &SelectorRequirement| matches!(r.operator, SelectorOperator::In | SelectorOperator::NotIn);
    if selector.match_expressions.iter().any(|r| needs_values(r) && r.values.is_empty()) {
        return false;
    }
    let all: Selector = pairs.chain(selector.match_expressions.iter().map(requirement)).collect();
    all.matches(&metadata::labels(namespace))
}

/// Whether somebody's `LabelSelector` matches labels. An empty one matches everything, and one that cannot be read
/// nothing; the absence of one is the caller's to judge.
#[must_use]
pub fn matches(selector: &Value, labels: &BTreeMap<String, String>) -> bool {
    let selector = LabelSelector::deserialize(selector).ok().and_then(|selector| Selector::try_from(selector).ok());
    selector.is_some_and(|selector| selector.matches(labels))
}

/// Whether a Service's selector, a plain map, matches labels. An empty one selects nothing.
#[must_use]
pub fn map_matches(selector: &Value, labels: &BTreeMap<String, String>) -> bool {
    let value_of = |name: &String| labels.get(name).map(String::as_str);
    let pairs = selector.as_object().filter(|pairs| !pairs.is_empty());
    pairs.is_some_and(|pairs| pairs.iter().all(|(name, value)| value.is_string() && value_of(name) == value.as_str()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::everything(json!({}), true)]
    #[case::a_pair(json!({"matchLabels": {"app": "web"}}), true)]
    #[case::another_pair(json!({"matchLabels": {"app": "web", "tier": "back"}}), false)]
    #[case::of_some(json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["api", "web"]}]}), true)]
    #[case::of_none(json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}), false)]
    #[case::not_there_is_not_in(json!({"matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["web"]}]}), true)]
    #[case::there(json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]}), true)]
    #[case::not_there(json!({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}), false)]
    #[case::no_selector(Value::Null, false)]
    fn selectors_match(#[case] selector: Value, #[case] expected: bool) {
        let namespace = json!({"metadata": {"labels": {"app": "web", "tier": "front"}}});
        assert_eq!(matches(&selector, &metadata::labels(&namespace)), expected);
        if let Ok(selector) = serde_json::from_value(selector) {
            assert_eq!(selects(&selector, &namespace), expected, "as a selector of namespaces");
        }
    }

    #[test]
    fn an_empty_map_selects_nothing() {
        let labels = [("app".to_owned(), "web".to_owned())].into();
        let selects = |map: Value| map_matches(&map, &labels);
        assert_eq!((selects(json!({})), selects(json!({"app": "web"})), selects(Value::Null)), (false, true, false));
    }
}
