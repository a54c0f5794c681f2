//! Events: one for each change of state, none for a pass that changed nothing.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource;
use kube::runtime::events::{Event, EventType};

use super::context::Context;
use super::requests::DEADLINE;
use crate::api::ConditionType;
use crate::status::standing;

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
        let type_ = condition.to_string();
        let message = after.iter().find(|c| c.type_ == type_).map(|c| c.message.clone());
        let waiting =
            ["NotStarted", "Observing", "Migrating", "Proving", "PathNotReady", "ObjectiveUnknown"].contains(&reason);
        let event = Event {
            type_: if status == good || waiting { EventType::Normal } else { EventType::Warning },
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
