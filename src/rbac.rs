//! What the operator may do, and why: the one list that the chart's roles are generated from.

/// Name of the ServiceAccount, the roles and their bindings.
pub const ACCOUNT: &str = "goldenpath";

/// Name of the role with what else the operator may read, and of its binding.
pub const READER: &str = "goldenpath-reader";

/// One rule with its reason.
pub struct Rule {
    /// API group.
    pub group: &'static str,
    /// Resources.
    pub resources: &'static [&'static str],
    /// Verbs.
    pub verbs: &'static [&'static str],
    /// Why.
    pub reason: &'static str,
}

/// Rules in the whole cluster.
pub const CLUSTER_RULES: &[Rule] = &[
    Rule {
        group: "goldenpath.dev",
        resources: &["goldenpaths"],
        verbs: &["list", "watch"],
        reason: "read what the platform team offers",
    },
    Rule {
        group: "goldenpath.dev",
        resources: &["platformservices"],
        verbs: &["get", "list", "watch"],
        reason: "read what app teams ask for; one by one before a workload is released, to be sure that its service is gone",
    },
    Rule {
        group: "goldenpath.dev",
        resources: &["deprecations"],
        verbs: &["list", "watch"],
        reason: "read what is old, and when each door closes",
    },
    Rule {
        group: "goldenpath.dev",
        resources: &["deprecations/status", "goldenpaths/status", "platformservices/status"],
        verbs: &["patch"],
        reason: "answer in status, and in status alone",
    },
    Rule {
        group: "",
        resources: &["namespaces"],
        verbs: &["list", "watch"],
        reason: "a team can be a label of its namespace, and checks may look at namespaceObject",
    },
    Rule {
        group: "apps",
        resources: &["daemonsets", "deployments", "statefulsets"],
        verbs: &["get", "list", "watch", "patch"],
        reason: "see workloads and put labels on their metadata; below Kubernetes 1.36, fill what they leave open",
    },
    Rule {
        group: "batch",
        resources: &["cronjobs"],
        verbs: &["get", "list", "watch", "patch"],
        reason: "see workloads and put labels on their metadata; below Kubernetes 1.36, fill what they leave open",
    },
    Rule {
        group: "apps",
        resources: &["deployments", "statefulsets"],
        verbs: &["create", "delete"],
        reason: "make workloads from the templates of PlatformServices, and delete those whose entry was removed",
    },
    Rule {
        group: "batch",
        resources: &["cronjobs"],
        verbs: &["create", "delete"],
        reason: "make workloads from the templates of PlatformServices, and delete those whose entry was removed",
    },
    Rule {
        group: "",
        resources: &["services"],
        verbs: &["get", "list", "watch", "create", "patch", "delete"],
        reason: "make the Services of templates that have a port; others are watched where a path asks for objects that need it",
    },
    Rule {
        group: "autoscaling",
        resources: &["horizontalpodautoscalers"],
        verbs: &["list", "watch", "create", "patch", "delete"],
        reason: "leave the replicas of a workload alone that an autoscaler scales, and make those that a path asks for",
    },
    Rule {
        group: "policy",
        resources: &["poddisruptionbudgets"],
        verbs: &["list", "watch", "create", "patch", "delete"],
        reason: "make what a path asks for beside a workload, unless the team has its own",
    },
    Rule {
        group: "networking.k8s.io",
        resources: &["networkpolicies"],
        verbs: &["list", "watch", "create", "patch", "delete"],
        reason: "make what a path asks for beside a workload, unless the team has its own",
    },
    Rule {
        group: "monitoring.coreos.com",
        resources: &["servicemonitors"],
        verbs: &["list", "watch", "create", "patch", "delete"],
        reason: "make what a path asks for beside a workload, unless the team has its own",
    },
    Rule {
        group: "admissionregistration.k8s.io",
        resources: &["mutatingadmissionpolicies"],
        verbs: &["list", "create", "patch", "delete"],
        reason: "put compiled paths in force: whoever may do this is in effect cluster-admin, see docs/security.md",
    },
    Rule {
        group: "admissionregistration.k8s.io",
        resources: &["mutatingadmissionpolicybindings"],
        verbs: &["list", "create", "delete"],
        reason: "bind compiled paths to every namespace that is not excluded",
    },
    Rule {
        group: "admissionregistration.k8s.io",
        resources: &["validatingadmissionpolicies"],
        verbs: &["list", "watch", "create", "patch", "delete"],
        reason: "warn of workloads that are off their path, or refuse them, where a path asks for it; whoever leads watches its claim",
    },
    Rule {
        group: "admissionregistration.k8s.io",
        resources: &["validatingadmissionpolicybindings"],
        verbs: &["list", "create", "delete"],
        reason: "bind warnings and refusals to the namespaces that a path selects",
    },
    Rule {
        group: "events.k8s.io",
        resources: &["events"],
        verbs: &["create", "patch"],
        reason: "say on the object itself what changed",
    },
];

/// Rules in the operator's own namespace.
pub const NAMESPACE_RULES: &[Rule] = &[
    Rule {
        group: "coordination.k8s.io",
        resources: &["leases"],
        verbs: &["get", "list", "watch", "create", "update"],
        reason: "one replica leads, and the others see at once when it leaves",
    },
    Rule {
        group: "apps",
        resources: &["controllerrevisions"],
        verbs: &["list", "create", "delete"],
        reason: "keep the revisions of paths, and delete the oldest beyond their limit",
    },
    Rule {
        group: "apps",
        resources: &["daemonsets", "deployments", "statefulsets"],
        verbs: &["create"],
        reason: "prove policies with dry runs of probe workloads, which never exist",
    },
    Rule {
        group: "batch",
        resources: &["cronjobs"],
        verbs: &["create"],
        reason: "prove policies with dry runs of probe workloads, which never exist",
    },
];

/// Rules in every namespace, for the operator's Lease alone, by its name.
pub const LEASE_RULES: &[Rule] = &[Rule {
    group: "coordination.k8s.io",
    resources: &["leases"],
    verbs: &["get"],
    reason: "see whether another installation leads, before this one does",
}];

/// Name of the ServiceAccount that brings the shipped paths, of its role and of their binding.
pub const PATHS_ACCOUNT: &str = "goldenpath-paths";

/// Rules of [`PATHS_ACCOUNT`] for every path: nobody can be bound to a name before the object has one.
pub const PATHS_RULES: &[Rule] = &[Rule {
    group: "goldenpath.dev",
    resources: &["goldenpaths"],
    verbs: &["create"],
    reason: "bring the shipped paths that are missing; the operator itself never writes a path",
}];

/// Rules of [`PATHS_ACCOUNT`] for the shipped paths alone, by their names.
pub const SHIPPED_PATHS_RULES: &[Rule] = &[Rule {
    group: "goldenpath.dev",
    resources: &["goldenpaths"],
    verbs: &["get", "update"],
    reason: "see whether anybody has edited a shipped path, and upgrade it if not",
}];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_a_wildcard_and_nothing_escalates() {
        let all = [CLUSTER_RULES, LEASE_RULES, NAMESPACE_RULES, PATHS_RULES, SHIPPED_PATHS_RULES];
        for rule in all.into_iter().flatten() {
            assert!(!rule.reason.is_empty());
            for word in rule.verbs.iter().chain(rule.resources) {
                assert!(!["*", "escalate", "bind", "impersonate", "secrets"].contains(word), "{word}");
            }
        }
    }
}
