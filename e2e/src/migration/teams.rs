//! Who takes part.

use goldenpath::api::WorkloadKind::{self, CronJob, Deployment, StatefulSet};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// A team.
pub(super) struct Team {
    /// Its name, and its namespace's.
    pub(super) name: &'static str,
    /// What it runs.
    pub(super) workloads: &'static [(WorkloadKind, &'static str)],
}

/// In the order in which they begin; the last two never do.
pub(super) const TEAMS: [Team; 10] = [
    Team {
        name: "search",
        workloads: &[
            (Deployment, "search-api"),
            (Deployment, "indexer"),
            (Deployment, "suggest"),
            (StatefulSet, "query-log"),
        ],
    },
    Team {
        name: "identity",
        workloads: &[(Deployment, "login"), (Deployment, "token-service"), (StatefulSet, "sessions")],
    },
    Team {
        name: "checkout",
        workloads: &[
            (Deployment, "cart"),
            (Deployment, "basket-api"),
            (Deployment, "order-intake"),
            (Deployment, "coupon-engine"),
            (CronJob, "order-export"),
        ],
    },
    Team { name: "mobile", workloads: &[(Deployment, "mobile-gateway"), (Deployment, "push-sender")] },
    Team {
        name: "payments",
        workloads: &[
            (Deployment, "payment-api"),
            (Deployment, "fraud-check"),
            (StatefulSet, "ledger"),
            (CronJob, "settlement"),
        ],
    },
    Team {
        name: "catalog",
        workloads: &[
            (Deployment, "catalog-api"),
            (Deployment, "image-resizer"),
            (Deployment, "pim-sync"),
            (CronJob, "price-feed"),
        ],
    },
    Team {
        name: "growth",
        workloads: &[(Deployment, "newsletter"), (Deployment, "ab-testing"), (CronJob, "campaign-sender")],
    },
    Team {
        name: "data",
        workloads: &[
            (Deployment, "event-collector"),
            (Deployment, "reports"),
            (StatefulSet, "stream-store"),
            (CronJob, "warehouse-loader"),
        ],
    },
    Team { name: "support", workloads: &[(Deployment, "ticket-bot"), (Deployment, "chat")] },
    Team {
        name: "logistics",
        workloads: &[
            (Deployment, "tracking"),
            (Deployment, "routing"),
            (Deployment, "carrier-gateway"),
            (Deployment, "label-printer"),
            (StatefulSet, "depot-db"),
        ],
    },
];

impl Team {
    pub(super) fn namespace(&self) -> Value {
        let labels = json!({"goldenpath.dev/team": self.name});
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name, "labels": labels}})
    }

    /// All that it runs, in a version.
    pub(super) fn runs(&self, version: u32) -> Vec<Value> {
        self.workloads.iter().map(|(kind, name)| self.workload(*kind, name, version, &json!({}))).collect()
    }

    /// A workload whose pods have `more` in their spec.
    pub(super) fn workload(&self, kind: WorkloadKind, name: &str, version: u32, more: &Value) -> Value {
        let image = format!("registry.example.com/{name}:1.{version}.0");
        let mut pod = json!({"containers": [{"name": "app", "image": image}]});
        if let (Some(pod), Some(more)) = (pod.as_object_mut(), more.as_object()) {
            pod.extend(more.clone());
        }
        let labels = json!({"app": name});
        let mut template = json!({"metadata": {"labels": labels}, "spec": pod});
        let spec = if kind == CronJob {
            template["spec"]["restartPolicy"] = json!("Never");
            // its Jobs would only take time
            json!({"schedule": "0 3 * * *", "suspend": true, "jobTemplate": {"spec": {"template": template}}})
        } else {
            json!({"replicas": 1, "selector": {"matchLabels": labels}, "template": template})
        };
        // what was on its way for days before the road takes hours on it
        let hours = if version < 2 { 50 + 7 * name.len() } else { 1 + name.len() / 2 };
        let hours = SignedDuration::from_hours(i64::try_from(hours).unwrap_or(0));
        let committed = Timestamp::now().saturating_sub(hours).unwrap_or(Timestamp::UNIX_EPOCH);
        let annotations = json!({"goldenpath.dev/commit-timestamp": committed.to_string()});
        let metadata = json!({"name": name, "namespace": self.name, "annotations": annotations});
        json!({"apiVersion": kind.api_version(), "kind": kind, "metadata": metadata, "spec": spec})
    }

    /// A service for each of its workloads.
    pub(super) fn names_them(&self, mode: &str) -> Vec<Value> {
        self.workloads.iter().map(|(kind, name)| self.service(*kind, name, mode)).collect()
    }

    fn service(&self, kind: WorkloadKind, name: &str, mode: &str) -> Value {
        json!({
            "apiVersion": "goldenpath.dev/v1alpha1", "kind": "PlatformService",
            "metadata": {"name": name, "namespace": self.name},
            "spec": {
                "mode": mode, "workloads": [{"name": "main", "ref": {"kind": kind, "name": name}}],
                // not everybody is happy, and not everybody says so
                "feedback": (!name.len().is_multiple_of(3)).then(|| json!({"score": 5 - name.len() % 4, "comment": "it holds"})),
            },
        })
    }
}
