//! What the status of a Deprecation says about its exemptions, how each is used and whether there are too many; and whether
//! that, or a risk, needs its owner.

use k8s_openapi::jiff::Timestamp;

use super::Finding;
use super::adoption::int;
use super::consumption::Tally;
use crate::api::{
    ConditionType, DeprecationExemption, DeprecationProgress, DeprecationSpec, ExemptionState, Reason, UsedExemption,
};
use crate::plan::exceptions::state_of;
use crate::plan::risks::overdue;

/// How each exemption is used. One that is newer than the count is taken for needed until it is counted.
#[must_use]
pub fn used(spec: &DeprecationSpec, tally: &Tally, now: Timestamp) -> Vec<UsedExemption> {
    let used = |exemption: &DeprecationExemption| {
        let objects = tally.leaning_on(&exemption.name);
        UsedExemption {
            name: exemption.name.clone(),
            state: state_of(exemption.expires_at.0, objects != Some(0), now),
            objects: int(objects.unwrap_or_default()),
        }
    };
    spec.exemptions.iter().map(used).collect()
}

/// Whether something about the exemptions or the risks needs the owner of the Deprecation.
#[must_use]
pub fn degraded(spec: &DeprecationSpec, progress: &DeprecationProgress, now: Timestamp) -> Finding {
    let bad = |reason, text: String| Finding::bad(ConditionType::Degraded, reason, text);
    let consumers = progress.consumers.clone().unwrap_or_default();
    if let Some(limit) = spec.max_exempt_percent
        && consumers.exempt * 100 > consumers.objects * i64::from(limit)
    {
        let text = format!(
            "exemptions: {} of {} objects are exempt, and maxExemptPercent is {limit}; let some end, or raise it",
            consumers.exempt, consumers.objects
        );
        return bad(Reason::TooManyExemptions, text);
    }
    if let Some(ended) = progress.exemptions.iter().find(|exemption| exemption.state == ExemptionState::Expired) {
        let text = format!("exemptions[{}] has ended; remove it, or set a later expiresAt", ended.name);
        return bad(Reason::ExemptionExpired, text);
    }
    if let Some(text) = overdue(&spec.risks, now) {
        return bad(Reason::RiskOverdue, text);
    }
    Finding::good(ConditionType::Degraded, Reason::Healthy, "nothing about the Deprecation needs its owner")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::ExemptionState::{Expired, Expiring, Granted, Unused};
    use super::*;
    use crate::status::consumption::{Consumer, progress};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// Ten objects, some of them exempt, each by the exemption of its name.
    fn degraded_by(limit: Option<i32>, exempt: &[&str], ends: &[(&str, &str)]) -> (Vec<ExemptionState>, Finding) {
        let exemption = |(name, end): &(&str, &str)| json!({"name": name, "namespace": "shop", "reason": "r", "approvedBy": "ana", "expiresAt": end});
        let exemptions: Vec<_> = ends.iter().map(exemption).collect();
        let spec = json!({"matches": [], "exemptions": exemptions, "maxExemptPercent": limit});
        let spec: DeprecationSpec = serde_json::from_value(spec).unwrap();
        let mut tally = Tally::of(&spec.exemptions);
        for n in 0..10 {
            let exempt = exempt.get(n).map(|name| (*name).into());
            let (object, team, matched) = (format!("ingress/shop/{n}"), "a".into(), "class".into());
            tally.add(Consumer { object: &object, team, service: None, matched, manager: None, exempt, unfit: None });
        }
        let now = at("2026-12-01T00:00:00Z");
        let progress =
            DeprecationProgress { exemptions: used(&spec, &tally, now), ..progress(None, &tally, false, now) };
        let states = progress.exemptions.iter().map(|exemption| exemption.state).collect();
        (states, degraded(&spec, &progress, now))
    }

    const LATE: &str = "2027-08-01T00:00:00Z";

    #[rstest]
    #[case::none(None, &[], Reason::Healthy)]
    #[case::no_limit(None, &["a", "a", "a"], Reason::Healthy)]
    #[case::at_the_limit(Some(20), &["a", "a"], Reason::Healthy)]
    #[case::beyond(Some(20), &["a", "a", "a"], Reason::TooManyExemptions)]
    #[case::nobody_may(Some(0), &["a"], Reason::TooManyExemptions)]
    fn too_many_exemptions_are_visible(#[case] limit: Option<i32>, #[case] exempt: &[&str], #[case] reason: Reason) {
        let (_, finding) = degraded_by(limit, exempt, &[("a", LATE)]);
        assert_eq!(finding.reason, reason, "{}", finding.message);
        if reason == Reason::TooManyExemptions {
            assert!(
                finding.message.contains(&format!("{} of 10 objects are exempt", exempt.len())),
                "{}",
                finding.message
            );
        }
    }

    #[test]
    fn an_overdue_risk_needs_the_owner_after_exemptions_do() {
        let risk = json!({"name": "ttl", "severity": "High", "probability": "Low", "owner": "net", "dueAt": "2026-12-15T00:00:00Z"});
        let spec: DeprecationSpec = serde_json::from_value(json!({"matches": [], "risks": [risk]})).unwrap();
        let progress = DeprecationProgress::default();
        let reason = |progress, now| degraded(&spec, progress, at(now)).reason;
        assert_eq!(reason(&progress, "2026-12-14T23:59:59Z"), Reason::Healthy);
        assert_eq!(reason(&progress, "2026-12-15T00:00:00Z"), Reason::RiskOverdue);
        let message = degraded(&spec, &progress, at("2026-12-15T00:00:00Z")).message;
        assert!(message.starts_with("risks[ttl], severity High, is open past its dueAt 2026-12-15"), "{message}");
        let ended = UsedExemption { name: "a".into(), state: Expired, objects: 0 };
        let both = DeprecationProgress { exemptions: vec![ended], ..DeprecationProgress::default() };
        assert_eq!(reason(&both, "2026-12-15T00:00:00Z"), Reason::ExemptionExpired);
    }

    #[test]
    fn each_exemption_says_how_it_is_used() {
        let ends =
            [("used", LATE), ("unused", LATE), ("ends", "2026-12-05T00:00:00Z"), ("ended", "2026-12-01T00:00:00Z")];
        let (states, finding) = degraded_by(None, &["used", "ends"], &ends);
        assert_eq!(states, [Granted, Unused, Expiring, Expired]);
        assert_eq!(finding.reason, Reason::ExemptionExpired);
        assert!(finding.message.starts_with("exemptions[ended] has ended"), "{}", finding.message);
    }
}
