//! Conditions and comparison of statuses: one module for every kind.

pub mod adoption;
pub mod consumption;
pub mod counts;
pub mod deprecated;
pub mod deprecation;
mod exercise;
pub mod experience;
pub mod granted;
pub mod objective;
pub mod path;
pub mod service;
pub mod spread;
pub mod version;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;

pub use crate::api::conditions::whole_second;
use crate::api::{ConditionType, Reason};

/// What a condition should say, before times are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which condition.
    pub condition: ConditionType,
    /// Whether that is good; nothing where it cannot be said. The status says `True` for what is good, and `False` where a
    /// condition's name is bad.
    pub good: Option<bool>,
    /// Why.
    pub reason: Reason,
    /// A sentence for a person: object, field, value and the fix.
    pub message: String,
}

impl Finding {
    /// A good finding.
    #[must_use]
    pub fn good(condition: ConditionType, reason: Reason, message: impl Into<String>) -> Self {
        Self { condition, good: Some(true), reason, message: message.into() }
    }

    /// A bad finding.
    #[must_use]
    pub fn bad(condition: ConditionType, reason: Reason, message: impl Into<String>) -> Self {
        Self { condition, good: Some(false), reason, message: message.into() }
    }

    /// Too little is known for a finding.
    #[must_use]
    pub fn unknown(condition: ConditionType, reason: Reason, message: impl Into<String>) -> Self {
        Self { condition, good: None, reason, message: message.into() }
    }

    fn status(&self) -> &'static str {
        match self.good {
            Some(good) if good == self.condition.is_bad() => "False",
            Some(_) => "True",
            None => "Unknown",
        }
    }
}

/// Longest message that the API takes is 32 KiB; this is what a person reads.
const MESSAGE_LIMIT: usize = 1024;

/// Conditions without one that has nothing to say any more.
#[must_use]
pub fn without(before: &[Condition], condition: ConditionType) -> Vec<Condition> {
    let type_ = condition.to_string();
    before.iter().filter(|c| c.type_ != type_).cloned().collect()
}

/// The conditions with `findings` in place. The transition time changes only when the status does; conditions that are
/// not ours stay.
#[must_use]
pub fn merge(before: &[Condition], findings: &[Finding], generation: Option<i64>, now: Timestamp) -> Vec<Condition> {
    let mut conditions = before.to_vec();
    for finding in findings {
        let type_ = finding.condition.to_string();
        let status = finding.status();
        let earlier = before.iter().find(|c| c.type_ == type_ && c.status == status);
        let condition = Condition {
            last_transition_time: earlier.map_or_else(|| whole_second(now), |c| c.last_transition_time.clone()),
            message: finding.message.chars().take(MESSAGE_LIMIT).collect(),
            observed_generation: generation,
            reason: finding.reason.to_string(),
            status: status.to_owned(),
            type_: type_.clone(),
        };
        match conditions.iter_mut().find(|c| c.type_ == type_) {
            Some(slot) => *slot = condition,
            None => conditions.push(condition),
        }
    }
    conditions
}

/// Status and reason of a condition.
#[must_use]
pub fn standing(conditions: &[Condition], condition: ConditionType) -> Option<(&str, &str)> {
    let type_ = condition.to_string();
    conditions.iter().find(|c| c.type_ == type_).map(|c| (c.status.as_str(), c.reason.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn transition_time_changes_only_with_the_status() {
        let ready = |good, message: &str| Finding {
            condition: ConditionType::Ready,
            good: Some(good),
            reason: Reason::Ready,
            message: message.into(),
        };
        let first = merge(&[], &[ready(true, "a")], Some(1), at(10));
        let second = merge(&first, &[ready(true, "b")], Some(2), at(20));
        assert_eq!(second[0].last_transition_time, whole_second(at(10)));
        assert_eq!((second[0].message.as_str(), second[0].observed_generation), ("b", Some(2)));
        let third = merge(&second, &[ready(false, "b")], Some(2), at(30));
        assert_eq!(third[0].last_transition_time, whole_second(at(30)));
    }

    #[test]
    fn the_same_input_twice_is_the_same_status_and_foreign_conditions_stay() {
        let foreign = Condition {
            last_transition_time: whole_second(at(1)),
            message: String::new(),
            observed_generation: None,
            reason: "Theirs".into(),
            status: "True".into(),
            type_: "example.com/Approved".into(),
        };
        let findings = [Finding::bad(ConditionType::Adopted, Reason::Migrating, "x")];
        let once = merge(&[foreign], &findings, Some(1), at(5));
        assert_eq!(merge(&once, &findings, Some(1), at(50)), once);
        assert_eq!(once.len(), 2);
    }
}
