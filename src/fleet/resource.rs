//! What the fleet watches.

use crate::api::WorkloadKind;

/// A resource with a watch of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Workloads of one kind.
    Workloads(WorkloadKind),
    /// Namespaces, for their teams.
    Namespaces,
}

impl Resource {
    /// All of them. Namespaces first: a team is known before the workloads that it owns.
    pub const ALL: [Self; 5] = [
        Self::Namespaces,
        Self::Workloads(WorkloadKind::Deployment),
        Self::Workloads(WorkloadKind::StatefulSet),
        Self::Workloads(WorkloadKind::DaemonSet),
        Self::Workloads(WorkloadKind::CronJob),
    ];

    /// The name of the resource.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::Workloads(kind) => kind.plural(),
            Self::Namespaces => "namespaces",
        }
    }

    /// Where all of its objects are listed.
    #[must_use]
    pub fn url(self) -> String {
        match self {
            Self::Workloads(kind) => format!("/apis/{}/{}", kind.api_version(), kind.plural()),
            Self::Namespaces => "/api/v1/namespaces".to_owned(),
        }
    }
}
