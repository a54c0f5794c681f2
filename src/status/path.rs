//! What the status of a GoldenPath says about its exemptions, its risks and its rollout.

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::Finding;
use crate::api::{
    ConditionType, Exemption, ExemptionKind, ExemptionSource, ExemptionState, ExemptionStatus, GoldenPath,
    GoldenPathStatus, GrantedExemption, PlatformService, Reason, RolloutPhase, RolloutStatus,
};
use crate::plan::risks::{next_due, overdue};

/// The path's exemptions, and how many services lean on each.
#[must_use]
pub fn exemptions(path: &GoldenPath, services: &[&PlatformService], now: Timestamp) -> Vec<GrantedExemption> {
    let path_name = path.name_any();
    let ours = |e: &&ExemptionStatus| is_of(e, &path_name);
    let state = |name: &str| {
        let all = services.iter().filter_map(|service| service.status.as_ref()).flat_map(|status| &status.exemptions);
        let found: Vec<ExemptionState> = all
            .filter(ours)
            .filter(|e| e.exemption.as_deref() == Some(name))
            .map(|exemption| exemption.state)
            .collect();
        let used = found.iter().filter(|state| is_in_use(**state)).count();
        let expiring = found.contains(&ExemptionState::Expiring);
        (used, if expiring { ExemptionState::Expiring } else { ExemptionState::Granted })
    };
    let granted = |exemption: &Exemption| {
        let (used, in_use) = state(&exemption.name);
        let state = match used {
            _ if exemption.expires_at.0 <= now => ExemptionState::Expired,
            0 => ExemptionState::Unused,
            _ => in_use,
        };
        GrantedExemption { name: exemption.name.clone(), state, services: i64::try_from(used).unwrap_or(i64::MAX) }
    };
    path.spec.exemptions.iter().map(granted).collect()
}

/// Whether an exemption is one of the path. One that an older operator wrote says nothing else.
fn is_of(exemption: &ExemptionStatus, path: &str) -> bool {
    let ExemptionSource { kind, name } = &exemption.source;
    *kind == ExemptionKind::GoldenPath && (name.is_empty() || name == path)
}

fn is_in_use(state: ExemptionState) -> bool {
    matches!(state, ExemptionState::Granted | ExemptionState::Expiring)
}

/// Whether the rollout, an exemption or a risk needs the path's owner.
#[must_use]
pub fn degraded(
    path: &GoldenPath,
    rollout: Option<&RolloutStatus>,
    services: &[&PlatformService],
    exemptions: &[GrantedExemption],
    now: Timestamp,
) -> Finding {
    let bad = |reason, text: String| Finding::bad(ConditionType::Degraded, reason, text);
    if let Some(aborted) = rollout.filter(|rollout| rollout.phase == RolloutPhase::Aborted) {
        let why = aborted.waiting_for.clone().unwrap_or_default();
        return bad(Reason::RolloutAborted, format!("revision {}: {why}", aborted.revision));
    }
    let path_name = path.name_any();
    let ours = |e: &ExemptionStatus| is_of(e, &path_name);
    let exempt = services
        .iter()
        .filter_map(|service| service.status.as_ref())
        .filter(|status| status.exemptions.iter().any(|e| ours(e) && e.exemption.is_some() && is_in_use(e.state)))
        .count();
    if let Some(limit) = path.spec.max_exempt_percent
        && exempt * 100 > services.len() * usize::try_from(limit).unwrap_or(0)
    {
        return bad(
            Reason::TooManyExemptions,
            format!(
                "exemptions: {exempt} of {} services are exempt, and maxExemptPercent is {limit}; \
                 let some end, or raise it",
                services.len()
            ),
        );
    }
    if let Some(ended) = exemptions.iter().find(|exemption| exemption.state == ExemptionState::Expired) {
        let text = format!("exemptions[{}] has ended; remove it, or set a later expiresAt", ended.name);
        return bad(Reason::ExemptionExpired, text);
    }
    if let Some(text) = overdue(&path.spec.risks, now) {
        return bad(Reason::RiskOverdue, text);
    }
    Finding::good(ConditionType::Degraded, Reason::Healthy, "nothing about the path needs its owner")
}

/// Whether the current revision has reached every service, and whether it is on its way.
#[must_use]
pub fn rolled_out(rollout: &RolloutStatus) -> [Finding; 2] {
    let RolloutStatus { moved, exercised, pending, .. } = rollout;
    let wait = rollout.waiting_for.as_deref().map_or_else(String::new, |wait| format!("; {wait}"));
    let text = match rollout.phase {
        RolloutPhase::Complete => format!("revision {} has reached every wave", rollout.revision),
        _ => format!("{moved} of {} services have moved, {exercised} have rolled out{wait}", moved + pending),
    };
    let (reason, done, goes_on) = match rollout.phase {
        RolloutPhase::Complete => (Reason::Complete, true, false),
        RolloutPhase::Exercising => (Reason::Exercising, false, true),
        RolloutPhase::Soaking => (Reason::Soaking, false, true),
        RolloutPhase::AwaitingApproval => (Reason::AwaitingApproval, false, false),
        RolloutPhase::Paused => (Reason::Paused, false, false),
        RolloutPhase::Aborted => (Reason::RolloutAborted, false, false),
    };
    let finding = |condition, good| Finding { condition, good: Some(good), reason, message: text.clone() };
    [finding(ConditionType::RolledOut, done), finding(ConditionType::Progressing, goes_on)]
}

/// An exemption from a default that no revision has.
#[must_use]
pub fn invalid_exemption(path: &GoldenPath, known: &[String]) -> Option<Finding> {
    let problem = |exemption: &Exemption| {
        let unknown = exemption.defaults.iter().find(|default| !known.contains(default))?;
        let (name, known) = (&exemption.name, known.join(", "));
        Some(format!("exemptions[{name}].defaults: no revision has a default {unknown}; write one of {known}"))
    };
    let text = path.spec.exemptions.iter().find_map(problem)?;
    Some(Finding::bad(ConditionType::Ready, Reason::InvalidExemption, format!("{text}; the others are in force")))
}

/// When the next exemption of a path ends, or a risk becomes overdue.
#[must_use]
pub fn next_end(path: &GoldenPath, now: Timestamp) -> Option<Timestamp> {
    let ends = path.spec.exemptions.iter().map(|exemption| exemption.expires_at.0).filter(|end| *end > now);
    ends.chain(next_due(&path.spec.risks, now)).min()
}

/// The services that follow a path.
#[must_use]
pub fn followers<'a>(
    path: &GoldenPath,
    services: impl Iterator<Item = &'a PlatformService>,
) -> Vec<&'a PlatformService> {
    let name = path.name_any();
    let follows = |service: &&PlatformService| {
        let status = service.status.as_ref().and_then(|status| status.golden_path.as_ref());
        status.is_some_and(|followed| followed.name == name)
    };
    services.filter(follows).collect()
}

/// Whether a status tells nothing new but how far something is: no step of the rollout, no condition, no failure.
#[must_use]
pub fn counts_on(before: Option<&GoldenPathStatus>, after: &GoldenPathStatus) -> bool {
    before.is_some_and(|before| before != after && without_counts(before) == without_counts(after))
}

fn without_counts(status: &GoldenPathStatus) -> GoldenPathStatus {
    let mut status = GoldenPathStatus { adoption: None, ..status.clone() };
    if let Some(rollout) = &mut status.rollout {
        *rollout = RolloutStatus { moved: 0, exercised: 0, pending: 0, waiting_for: None, ..rollout.clone() };
    }
    status.exemptions.iter_mut().for_each(|exemption| exemption.services = 0);
    status.conditions.iter_mut().for_each(|condition| condition.message.clear());
    status
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::status::merge;

    fn status(phase: RolloutPhase, exercised: i64, failed: i64) -> GoldenPathStatus {
        let rollout = RolloutStatus { phase, moved: 9, exercised, failed, ..RolloutStatus::default() };
        let conditions = merge(&[], &rolled_out(&rollout), Some(1), Timestamp::UNIX_EPOCH);
        GoldenPathStatus { rollout: Some(rollout), conditions, ..GoldenPathStatus::default() }
    }

    #[test]
    fn an_overdue_risk_needs_the_owner_and_the_clock_looks_when_it_is_due() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let due = "2026-12-15T00:00:00Z";
        let risk = json!({"name": "quota", "severity": "High", "probability": "Medium", "owner": "sre", "dueAt": due});
        let spec = json!({"priority": {"businessValue": 8, "timeCriticality": 5, "riskReduction": 8, "jobSize": 3}, "risks": [risk]});
        let path = GoldenPath::new("web", serde_json::from_value(spec).unwrap());
        let reason = |now| degraded(&path, None, &[], &[], at(now)).reason;
        assert_eq!((reason("2026-12-14T23:59:59Z"), reason(due)), (Reason::Healthy, Reason::RiskOverdue));
        assert_eq!((next_end(&path, at("2026-12-01T00:00:00Z")), next_end(&path, at(due))), (Some(at(due)), None));
    }

    #[rstest]
    #[case::one_more_has_rolled_out(status(RolloutPhase::Exercising, 4, 0), true)]
    #[case::the_same(status(RolloutPhase::Exercising, 3, 0), false)]
    #[case::one_has_failed(status(RolloutPhase::Exercising, 4, 1), false)]
    #[case::a_step(status(RolloutPhase::Soaking, 4, 0), false)]
    #[case::another_generation(GoldenPathStatus { observed_generation: Some(2), ..status(RolloutPhase::Exercising, 4, 0) }, false)]
    fn what_only_counts_on_is_told_from_a_step(#[case] after: GoldenPathStatus, #[case] expected: bool) {
        assert_eq!(counts_on(Some(&status(RolloutPhase::Exercising, 3, 0)), &after), expected);
        assert!(!counts_on(None, &after));
    }
}
