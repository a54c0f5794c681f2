//! Events: one for each change of state, none for a pass that changed nothing.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource;
use kube::runtime::events::{Event, EventType};

use super::context::Context;
use super::requests::DEADLINE;
use crate::api::ConditionType;
use crate::status::standing;

/// Reasons of what is not good yet, and nobody's fault.
const WAITING: [&str; 8] = [
    "NotStarted",
    "Observing",
    "Migrating",
    "Proving",
    "PathNotReady",
    "ObjectiveUnknown",
    "ForecastUnknown",
    "NotCounted",
];

/// A new Deprecation is not completed, and one that is has nothing more to be on track for.
fn is_said_elsewhere(condition: ConditionType, reason: &str, is_new: bool) -> bool {
    match condition {
        ConditionType::Completed => is_new && reason == "InProgress",
        ConditionType::OnTrack => reason == "Completed",
        _ => false,
    }
}

/// Publishes what changed between two lists of conditions.
///
/// A service that is new and well has one Event, that of `Adopted`, which says the same and how far it has come: of a
/// thousand new services each Event is one write of seven.
/// An Event that cannot be written fails no pass: the status says the same.
pub async fn publish<K>(object: &K, before: &[Condition], after: &[Condition], context: &Context)
where
    K: Resource<DynamicType = ()>,
{
    for condition in ConditionType::ALL {
        let (was, is) = (standing(before, condition), standing(after, condition));
        let Some((status, reason)) = is.filter(|is| Some(*is) != was) else { continue };
        let (good, bad) = if condition.is_bad() { ("False", "True") } else { ("True", "False") };
        let says_less = condition == ConditionType::Ready && standing(after, ConditionType::Adopted).is_some();
        if was.is_none() && (condition.is_silent_at_first() || says_less) && status != bad {
            continue;
        }
        if is_said_elsewhere(condition, reason, was.is_none()) {
            continue;
        }
        let type_ = condition.to_string();
        let message = after.iter().find(|c| c.type_ == type_).map(|c| c.message.clone());
        let event = Event {
            type_: if status == good || WAITING.contains(&reason) { EventType::Normal } else { EventType::Warning },
            reason: reason.to_owned(),
            note: message,
            action: type_,
            secondary: None,
        };
        write(event, object, context).await;
    }
}

/// Publishes one thing that happened to an object.
pub async fn say<K>(object: &K, type_: EventType, reason: &str, action: &str, note: String, context: &Context)
where
    K: Resource<DynamicType = ()>,
{
    // the API server takes 1024 bytes
    let note = Some(note.chars().take(500).collect());
    let event = Event { type_, reason: reason.to_owned(), note, action: action.to_owned(), secondary: None };
    write(event, object, context).await;
}

async fn write<K>(event: Event, object: &K, context: &Context)
where
    K: Resource<DynamicType = ()>,
{
    let reference = object.object_ref(&());
    // boxed: the passes hold it, and few have an Event
    let publish = Box::pin(tokio::time::timeout(DEADLINE, context.recorder.publish(&event, &reference)));
    let error = match context.leadership.writing(publish).await {
        None | Some(Ok(Ok(()))) => return,
        Some(Ok(Err(error))) => error.to_string(),
        Some(Err(_)) => format!("no answer within {DEADLINE:?}"),
    };
    tracing::warn!(error, reason = event.reason, "an Event could not be written");
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::not_the_end_of_what_begins(ConditionType::Completed, "InProgress", true, true)]
    #[case::but_that_it_is_in_use_again(ConditionType::Completed, "InProgress", false, false)]
    #[case::the_end_is_said_once(ConditionType::OnTrack, "Completed", false, true)]
    #[case::by_the_condition_of_its_name(ConditionType::Completed, "Completed", false, false)]
    #[case::a_missed_date(ConditionType::OnTrack, "StragglersLeft", false, false)]
    fn nothing_is_said_twice(
        #[case] condition: ConditionType,
        #[case] reason: &str,
        #[case] is_new: bool,
        #[case] expected: bool,
    ) {
        assert_eq!(is_said_elsewhere(condition, reason, is_new), expected);
    }
}
