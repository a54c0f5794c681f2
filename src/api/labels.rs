//! Every label, annotation and name that the operator puts on objects: the whole footprint on a cluster.
//!
//! Labels, because labels on metadata change no `generation` and cause no rollout; annotations on a Deployment do bump it.

/// Label on a workload: the PlatformService that adopted it.
pub const SERVICE: &str = "goldenpath.dev/service";
/// Label on a workload and on our policies and revisions: the GoldenPath.
pub const PATH: &str = "goldenpath.dev/path";
/// Label on a workload: the revision (or the release policy) that the API server applies to it.
pub const REVISION: &str = "goldenpath.dev/revision";
/// Label on a workload on its way to another path: the one that it leaves, whose values go in the next rollout, in which
/// those of the other come.
pub const RELEASE: &str = "goldenpath.dev/release";
/// Label on a workload: `Undo` where the values leave with the service.
pub const ON_DELETE: &str = "goldenpath.dev/on-delete";
/// Label on a workload: `Enforce` where values that a default forbids to change are replaced in the team's own request.
pub const MODE: &str = "goldenpath.dev/mode";
/// Beginning of a label on a workload that goes on with the name of a default: the workload does without that default.
pub const SKIP_PREFIX: &str = "skip.goldenpath.dev/";
/// Label on an object that the operator made: the PlatformService whose template it was made from. It stays when the
/// object does, so that the service can have it back.
pub const TEMPLATE: &str = "goldenpath.dev/template";
/// Label on a probe, which never exists: the revision whose admission feedback is being proved with it.
pub const PROOF: &str = "goldenpath.dev/proof";
/// Label on an object that a path asked for beside a workload: the PlatformService that it was made for.
pub const COMPANION: &str = "goldenpath.dev/companion";
/// Label on such an object: what the workload is called in its service.
pub const COMPANION_OF: &str = "goldenpath.dev/companion-of";
/// Label on such an object: the default of the path that asked for it.
pub const DEFAULT: &str = "goldenpath.dev/default";
/// Label on a policy: the Deprecation that it is enforced for.
pub const DEPRECATION: &str = "goldenpath.dev/deprecation";
/// Label on such a policy: the entry of `matches` that it is about.
pub const MATCH: &str = "goldenpath.dev/match";
/// Label on a ClusterRole: the operator has its rules, to read what Deprecations match.
pub const AGGREGATE_TO_READER: &str = "goldenpath.dev/aggregate-to-reader";
/// Label on a namespace or a workload: its team.
pub const TEAM: &str = "goldenpath.dev/team";

/// Annotation on a workload that asks the API server to fill now; its value is the revision.
pub const FILL: &str = "goldenpath.dev/fill";
/// Annotation on a workload, for people alone: `"*"` takes the road's values out in the request that sets it.
pub const SKIP: &str = "goldenpath.dev/skip";
/// The one value of [`SKIP`].
pub const SKIP_ALL: &str = "*";
/// Annotation on an object that the operator made: a hash of what it applied last. It goes when the object is handed over.
pub const APPLIED: &str = "goldenpath.dev/applied";
/// Annotation on a policy: the version of the compiler that wrote it. A binary never touches the output of a newer one.
pub const COMPILER: &str = "goldenpath.dev/compiler";
/// Annotation on a GoldenPath, set by a person: a deleted policy binding is made again when its value changes.
pub const RESUME: &str = "goldenpath.dev/resume";

/// Annotation on the policy `goldenpath-leader`: who leads, as `<namespace of the installation>/<holder of its Lease>`.
pub const LEADER: &str = "goldenpath.dev/leader";

/// Annotation on a GoldenPath that came with the chart: a hash of what was shipped, so that an edit is known for one.
pub const SHIPPED: &str = "goldenpath.dev/shipped";

/// The labels that a workload carries while it is adopted.
///
/// Labels that begin with [`SKIP_PREFIX`] come on top, and [`RELEASE`] until the next rollout.
pub const WORKLOAD_LABELS: [&str; 5] = [SERVICE, PATH, REVISION, ON_DELETE, MODE];

/// The labels that name the PlatformService of an object: the one that adopted it, or that it was made for. The first one
/// that is there says which.
pub const SERVICE_LABELS: [&str; 3] = [SERVICE, TEMPLATE, COMPANION];

/// Whether a label or an annotation is ours by its name.
#[must_use]
pub fn is_ours(name: &str) -> bool {
    let domain = name.split_once('/').map_or("", |(domain, _)| domain);
    domain == super::GROUP || domain.strip_suffix(super::GROUP).is_some_and(|left| left.ends_with('.'))
}

/// The field manager of every write of the operator.
pub const FIELD_MANAGER: &str = "goldenpath-operator";
/// The field manager of what the operator fills by itself, on a server that cannot: it does nothing else.
pub const FALLBACK_MANAGER: &str = "goldenpath-fallback";
/// The field manager of the shipped paths.
pub const PATHS_FIELD_MANAGER: &str = "goldenpath-paths";
/// Who reports Events.
pub const REPORTER: &str = "goldenpath.dev/operator";
/// The namespace that the operator is installed in by default.
pub const DEFAULT_NAMESPACE: &str = "goldenpath-system";
/// Namespaces whose workloads are never touched, whatever a path or a service says.
pub const EXCLUDED_NAMESPACES: [&str; 3] = ["kube-node-lease", "kube-public", "kube-system"];

/// Whether nothing in a namespace is ever touched: one of the system's, or the operator's own.
#[must_use]
pub fn is_excluded(namespace: &str, operator_namespace: &str) -> bool {
    EXCLUDED_NAMESPACES.contains(&namespace) || namespace == operator_namespace
}

/// The label that says of a workload that it does without a default.
#[must_use]
pub fn skip(default: &str) -> String {
    format!("{SKIP_PREFIX}{default}")
}

/// The value of [`REVISION`] that hands a workload to the release policy of `path`.
///
/// It cannot be the name of a revision: those end in a hash of hexadecimal digits.
#[must_use]
pub fn release_revision(path: &str) -> String {
    format!("{path}-release")
}

/// The name of what takes the values of `path` out of workloads that go on to another: see [`RELEASE`].
#[must_use]
pub fn switch_revision(path: &str) -> String {
    format!("{path}-switch")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::ours(SERVICE, true)]
    #[case::of_a_part("skip.goldenpath.dev/requests", true)]
    #[case::another_domain("notgoldenpath.dev/service", false)]
    #[case::no_domain("goldenpath.dev", false)]
    fn labels_are_ours_by_their_domain(#[case] name: &str, #[case] ours: bool) {
        assert_eq!(is_ours(name), ours);
    }
}
