//! Whether an object may go on being old for a while.

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use crate::api::DeprecationExemption;
use crate::plan::selector::selects;

/// Where an object is, and which service it names.
#[derive(Clone, Copy, Debug)]
pub struct Whereabouts<'a> {
    /// The name of its namespace; empty where it is in none.
    pub namespace: &'a str,
    /// Its namespace.
    pub namespace_object: &'a Value,
    /// The service that its labels name.
    pub service: Option<&'a str>,
}

/// The first of the exemptions that is in force for an object. Objects that are in no namespace have none.
#[must_use]
pub fn exemption<'a>(
    exemptions: &'a [DeprecationExemption],
    at: Whereabouts<'_>,
    now: Timestamp,
) -> Option<&'a DeprecationExemption> {
    exemptions.iter().find(|exemption| {
        now < exemption.expires_at.0
            && !at.namespace.is_empty()
            && exemption.namespace.as_deref().is_none_or(|namespace| namespace == at.namespace)
            && exemption.service.as_deref().is_none_or(|service| at.service == Some(service))
            && exemption.namespace_selector.as_ref().is_none_or(|selector| selects(selector, at.namespace_object))
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::of_the_namespace(json!({"namespace": "shop"}), true)]
    #[case::of_another(json!({"namespace": "bank"}), false)]
    #[case::of_the_service(json!({"namespace": "shop", "service": "checkout"}), true)]
    #[case::of_another_service(json!({"namespace": "shop", "service": "cart"}), false)]
    #[case::selected(json!({"namespaceSelector": {"matchLabels": {"env": "prod"}}}), true)]
    #[case::both_must_hold(json!({"namespace": "bank", "namespaceSelector": {"matchLabels": {"env": "prod"}}}), false)]
    #[case::at_its_end(json!({"namespace": "shop", "expiresAt": "2026-11-26T12:00:00Z"}), false)]
    fn an_exemption_covers_what_it_says(#[case] fields: Value, #[case] expected: bool) {
        let mut text = json!({"name": "a", "reason": "r", "approvedBy": "ana", "expiresAt": "2026-12-01T00:00:00Z"});
        text.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let one: DeprecationExemption = serde_json::from_value(text).unwrap();
        let namespace_object = json!({"metadata": {"labels": {"env": "prod"}}});
        let at = Whereabouts { namespace: "shop", namespace_object: &namespace_object, service: Some("checkout") };
        let now = "2026-11-26T12:00:00Z".parse().unwrap();
        assert_eq!(exemption(std::slice::from_ref(&one), at, now).is_some(), expected);
        let nowhere = Whereabouts { namespace: "", namespace_object: &Value::Null, service: None };
        assert!(exemption(&[one], nowhere, now).is_none(), "what is in no namespace");
    }
}
