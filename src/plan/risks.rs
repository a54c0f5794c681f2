//! The register of risks: which are open, which of them are overdue, and when the next one will be.

use std::cmp::Reverse;

use k8s_openapi::jiff::Timestamp;

use crate::api::{Risk, RiskState};

/// Whether its owner has to see to it.
#[must_use]
pub fn is_open(risk: &Risk) -> bool {
    risk.state == RiskState::Open
}

/// Whether it is open past its date.
#[must_use]
pub fn is_overdue(risk: &Risk, now: Timestamp) -> bool {
    is_open(risk) && risk.due_at.as_ref().is_some_and(|due| due.0 <= now)
}

/// When the next risk becomes overdue.
#[must_use]
pub fn next_due(risks: &[Risk], now: Timestamp) -> Option<Timestamp> {
    let open = risks.iter().filter(|risk| is_open(risk));
    open.filter_map(|risk| risk.due_at.as_ref()).map(|due| due.0).filter(|due| *due > now).min()
}

/// What to say of those that are overdue, if any is: the worst one, and how many others.
#[must_use]
pub fn overdue(risks: &[Risk], now: Timestamp) -> Option<String> {
    let mut overdue: Vec<&Risk> = risks.iter().filter(|risk| is_overdue(risk, now)).collect();
    overdue
        .sort_by_key(|risk| (Reverse(risk.severity), Reverse(risk.probability), risk.due_at.as_ref().map(|at| at.0)));
    let worst = overdue.first()?;
    let (name, severity, owner) = (&worst.name, worst.severity, &worst.owner);
    let due = worst.due_at.as_ref().map(|due| due.0.to_string()).unwrap_or_default();
    let more = match overdue.len() - 1 {
        0 => String::new(),
        n => format!("; {n} more overdue"),
    };
    Some(format!(
        "risks[{name}], severity {severity}, is open past its dueAt {due}; {owner} has to see to it and set another state, \
         or a later dueAt{more}"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::Grade::{self, High, Low, Medium};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn risk(name: &str, severity: Grade, due: Option<&str>, state: &str) -> Risk {
        let risk = json!({"name": name, "severity": severity, "probability": "Low", "owner": "sre", "dueAt": due, "state": state});
        serde_json::from_value(risk).unwrap()
    }

    const NOW: &str = "2026-12-15T00:00:00Z";

    #[test]
    fn only_an_open_risk_is_overdue_and_from_its_date_on() {
        let open = risk("quota", High, Some(NOW), "Open");
        let told: Vec<bool> = ["2026-12-14T23:59:59Z", NOW].map(|now| is_overdue(&open, at(now))).to_vec();
        assert_eq!(told, [false, true]);
        for state in ["Mitigated", "Accepted", "Resolved"] {
            assert!(!is_overdue(&risk("quota", High, Some(NOW), state), at(NOW)), "{state}");
        }
        assert!(!is_overdue(&risk("quota", High, None, "Open"), at(NOW)), "from before dueAt was asked for");
    }

    #[test]
    fn the_worst_is_named_with_the_way_out_and_the_others_are_counted() {
        let risks = [
            risk("late", Low, Some("2026-01-01T00:00:00Z"), "Open"),
            risk("quota", High, Some("2026-12-01T00:00:00Z"), "Open"),
            risk("gone", High, Some("2026-01-01T00:00:00Z"), "Resolved"),
            risk("to-come", High, Some("2027-01-01T00:00:00Z"), "Open"),
        ];
        let expected = "risks[quota], severity High, is open past its dueAt 2026-12-01T00:00:00Z; sre has to see to it and \
                        set another state, or a later dueAt; 1 more overdue";
        assert_eq!(overdue(&risks, at(NOW)).as_deref(), Some(expected));
        assert_eq!(overdue(&risks[2..], at(NOW)), None);
    }

    #[test]
    fn the_clock_is_asked_again_when_the_next_open_risk_is_due() {
        let risks = [
            risk("late", Low, Some(NOW), "Open"),
            risk("accepted", Medium, Some("2026-12-20T00:00:00Z"), "Accepted"),
            risk("later", Medium, Some("2027-02-01T00:00:00Z"), "Open"),
            risk("next", Medium, Some("2027-01-01T00:00:00Z"), "Open"),
        ];
        assert_eq!(next_due(&risks, at(NOW)), Some(at("2027-01-01T00:00:00Z")));
        assert_eq!(next_due(&risks[..2], at(NOW)), None);
    }
}
