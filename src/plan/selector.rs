//! Label selectors, as the API server evaluates them.

use serde_json::{Map, Value};

/// Whether a `LabelSelector` matches labels. An empty one matches everything; the absence of one is the caller's to judge.
#[must_use]
pub fn matches(selector: &Value, labels: &Map<String, Value>) -> bool {
    let pairs = selector.get("matchLabels").and_then(Value::as_object);
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    selector.is_object()
        && pairs.is_none_or(|pairs| is_subset(pairs, labels))
        && expressions.is_none_or(|all| all.iter().all(|expression| holds(expression, labels)))
}

/// Whether a Service's selector, a plain map, matches labels. An empty one selects nothing.
#[must_use]
pub fn map_matches(selector: &Value, labels: &Map<String, Value>) -> bool {
    selector.as_object().is_some_and(|pairs| !pairs.is_empty() && is_subset(pairs, labels))
}

fn is_subset(pairs: &Map<String, Value>, labels: &Map<String, Value>) -> bool {
    pairs.iter().all(|(name, value)| labels.get(name) == Some(value))
}

fn holds(expression: &Value, labels: &Map<String, Value>) -> bool {
    let text = |field: &str| expression.get(field).and_then(Value::as_str).unwrap_or_default();
    let values = expression.get("values").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let value = labels.get(text("key"));
    match text("operator") {
        "In" => value.is_some_and(|value| values.contains(value)),
        "NotIn" => value.is_none_or(|value| !values.contains(value)),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => false,
    }
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
        let labels = json!({"app": "web", "tier": "front"}).as_object().cloned().unwrap();
        assert_eq!(matches(&selector, &labels), expected);
    }

    #[test]
    fn an_empty_map_selects_nothing() {
        let labels = json!({"app": "web"}).as_object().cloned().unwrap();
        let selects = |map: Value| map_matches(&map, &labels);
        assert_eq!((selects(json!({})), selects(json!({"app": "web"})), selects(Value::Null)), (false, true, false));
    }
}
