//! Rights that the operator's account lacks, out of what the API server answers.

use std::fmt;

/// What to do, in the words of whoever can.
const FIX: &str = "give it back: `helm upgrade` of the chart, or `kubectl apply --server-side -f manifests/install.yaml`, \
                   brings the roles called goldenpath";

/// A verb on a resource that the account may not use.
#[derive(Debug, PartialEq, Eq)]
pub struct Lacking<'a> {
    /// Such as `patch`.
    pub verb: &'a str,
    resource: &'a str,
    group: &'a str,
    place: &'a str,
}

impl<'a> Lacking<'a> {
    /// Out of the message of a 403. That of an admission policy is none: it is about the request.
    #[must_use]
    pub fn parse(message: &'a str) -> Option<Self> {
        // `deployments.apps "web" is forbidden: User "x" cannot patch resource "deployments" in API group "apps" in the
        // namespace "shop"`: pkg/endpoints/handlers/responsewriters of the API server
        let (_, rest) = message.split_once("is forbidden: User \"")?;
        let (verb, rest) = rest.split_once("\" cannot ")?.1.split_once(" resource \"")?;
        let (resource, rest) = rest.split_once("\" in API group \"")?;
        let (group, rest) = rest.split_once('"')?;
        let place = rest.split(':').next().unwrap_or_default().trim();
        Some(Self { verb, resource, group, place })
    }

    /// With its group, such as `deployments.apps`.
    #[must_use]
    pub fn resource(&self) -> String {
        if self.group.is_empty() { self.resource.to_owned() } else { format!("{}.{}", self.resource, self.group) }
    }
}

impl fmt::Display for Lacking<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the operator's account may not {} {} {}; {FIX}", self.verb, self.resource(), self.place)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const USER: &str = "User \"system:serviceaccount:goldenpath-system:goldenpath\"";

    #[rstest]
    #[case::in_a_namespace(
        "deployments.apps \"web\" is forbidden: USER cannot patch resource \"deployments\" in API group \"apps\" in the namespace \"shop\"",
        "patch deployments.apps in the namespace \"shop\";"
    )]
    #[case::of_the_core_group(
        "services is forbidden: USER cannot create resource \"services\" in API group \"\" in the namespace \"shop\"",
        "create services in the namespace \"shop\";"
    )]
    #[case::everywhere_and_with_a_reason(
        "platformservices.goldenpath.dev \"a\" is forbidden: USER cannot patch resource \"platformservices/status\" in API group \
         \"goldenpath.dev\" at the cluster scope: RBAC: clusterrole.rbac.authorization.k8s.io \"goldenpath\" not found",
        "patch platformservices/status.goldenpath.dev at the cluster scope;"
    )]
    fn the_right_is_named(#[case] message: &str, #[case] named: &str) {
        let message = message.replace("USER", USER);
        let text = Lacking::parse(&message).unwrap().to_string();
        assert!(text.starts_with(&format!("the operator's account may not {named} give it back: `helm")), "{text}");
    }

    #[rstest]
    #[case::a_policy("pods \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no")]
    #[case::pod_security("pods \"a\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true")]
    #[case::a_quota("pods \"a\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1")]
    #[case::a_webhook("admission webhook \"a\" denied the request: no")]
    #[case::nothing("")]
    fn what_is_about_the_request_names_no_right(#[case] message: &str) {
        assert_eq!(Lacking::parse(message), None);
    }
}
