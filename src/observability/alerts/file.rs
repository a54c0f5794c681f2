//! The rule file, as Prometheus reads it; the `spec` of a PrometheusRule is the same.

use serde_json::{Value, json};

use super::{Alert, Recording};

/// Groups of rules. A recording stands before the alerts that use it.
pub fn yaml(recordings: &[Recording], alerts: &[Alert]) -> Result<String, serde_saphyr::ser::Error> {
    let recorded = recordings.iter().map(|rule| json!({"record": rule.name, "expr": rule.expr}));
    let rules: Vec<Value> = recorded.chain(alerts.iter().map(alert)).collect();
    serde_saphyr::to_string(&json!({"groups": [{"name": "goldenpath", "rules": rules}]}))
}

fn alert(alert: &Alert) -> Value {
    let mut rule = json!({
        "alert": alert.name,
        "expr": alert.expr,
        "labels": {"severity": alert.severity.text()},
        "annotations": {
            "summary": alert.summary,
            "description": alert.description,
            "runbook_url": alert.runbook(),
        },
    });
    if let Some(wait) = &alert.wait {
        rule["for"] = json!(wait);
    }
    rule
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::observability::alerts::{Clock, alerts, recordings};

    #[test]
    fn a_rule_file_reads_back_as_the_rules() {
        let (recordings, alerts) = (recordings(), alerts(Clock::REAL));
        let file: Value = serde_saphyr::from_str(&yaml(&recordings, &alerts).unwrap()).unwrap();
        let rules = file["groups"][0]["rules"].as_array().unwrap();
        assert_eq!(rules.len(), recordings.len() + alerts.len());
        for (rule, alert) in rules[recordings.len()..].iter().zip(&alerts) {
            assert_eq!(rule["alert"], alert.name);
            assert_eq!(rule["expr"], *alert.expr);
            assert_eq!(rule["annotations"]["description"], alert.description);
        }
    }

    #[test]
    fn names_are_unique_and_say_whose_they_are() {
        let alerts = alerts(Clock::REAL);
        let names: HashSet<&str> = alerts.iter().map(|alert| alert.name).collect();
        assert_eq!(names.len(), alerts.len());
        assert!(names.iter().all(|name| name.starts_with("Goldenpath")));
    }
}
