//! What a benchmark runs on: how many workloads there are, where, whose, and what each looks like. Pure.

use serde_json::{Value, json};

/// Workloads that one PlatformService names, unless it is said otherwise.
pub const PER_SERVICE: usize = 4;
/// Name of the path that the services take.
pub const PATH: &str = "bench";
/// The path: twelve defaults, each with a check, five of which also fill.
pub const PATH_YAML: &str = include_str!("golden-path.yaml");
/// Defaults of [`PATH_YAML`].
pub const DEFAULTS: usize = 12;
/// Teams, by label of the namespace.
const TEAMS: usize = 50;
/// The most that SIG Scalability allows is 2,000.
const MOST_IN_A_NAMESPACE: usize = 1_000;

/// Deployments spread evenly over namespaces; some of them are claimed by services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fleet {
    /// Deployments.
    pub workloads: usize,
    /// Namespaces that they are in.
    pub namespaces: usize,
    /// PlatformServices, each of which claims as many Deployments as the others.
    pub services: usize,
    /// How many that are.
    pub per_service: usize,
}

impl Fleet {
    /// A fleet of which about `claimed` workloads are claimed, a tenth at most, by services of so many each.
    #[must_use]
    pub fn new(workloads: usize, claimed: usize, per_service: usize) -> Self {
        let namespaces = workloads.div_ceil(MOST_IN_A_NAMESPACE).max(100.min(workloads / 10)).max(1);
        Self { workloads, namespaces, services: claimed.min(workloads / 10) / per_service, per_service }
    }

    /// Claimed workloads.
    #[must_use]
    pub fn claimed(&self) -> usize {
        self.services * self.per_service
    }

    /// Namespace of a workload. Neighbours by index are in different ones.
    #[must_use]
    pub fn namespace_of(&self, workload: usize) -> String {
        namespace_name(workload % self.namespaces)
    }

    /// The service that claims a workload. Services take turns over the namespaces, and within one they take the first
    /// workloads.
    #[must_use]
    pub fn service_of(&self, workload: usize) -> Option<usize> {
        let (namespace, place) = (workload % self.namespaces, workload / self.namespaces);
        let service = place / self.per_service * self.namespaces + namespace;
        (service < self.services).then_some(service)
    }

    /// The workloads of a service.
    #[must_use]
    pub fn workloads_of(&self, service: usize) -> Vec<usize> {
        let (namespace, turn) = (service % self.namespaces, service / self.namespaces);
        (0..self.per_service).map(|i| (turn * self.per_service + i) * self.namespaces + namespace).collect()
    }

    /// A namespace with its team.
    #[must_use]
    pub fn namespace(&self, index: usize) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": namespace_name(index), "labels": {"goldenpath.dev/team": team(index)}},
        })
    }

    /// The PlatformService of an index below [`Self::services`].
    #[must_use]
    pub fn service(&self, index: usize) -> Value {
        let line =
            |workload: usize| json!({"name": name(workload), "ref": {"kind": "Deployment", "name": name(workload)}});
        let workloads: Vec<Value> = self.workloads_of(index).into_iter().map(line).collect();
        json!({
            "apiVersion": "goldenpath.dev/v1alpha1",
            "kind": "PlatformService",
            "metadata": {"name": format!("service-{index:05}"), "namespace": namespace_name(index % self.namespaces)},
            "spec": {"goldenPathRef": {"name": PATH}, "workloads": workloads},
        })
    }

    /// What its team applies: replicas 0, since only the objects matter, not their pods.
    #[must_use]
    pub fn manifest(&self, workload: usize) -> Value {
        let name = name(workload);
        let labels = json!({
            "app.kubernetes.io/name": name,
            "app.kubernetes.io/part-of": format!("product-{}", workload % 97),
            "app.kubernetes.io/version": version(workload),
        });
        let selector = json!({"app.kubernetes.io/name": name});
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": name,
                "namespace": self.namespace_of(workload),
                "labels": labels,
                "annotations": {"docs.example.com/runbook": format!("https://docs.example.com/runbooks/{name}")},
            },
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": selector},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": pod_spec(workload, &name, &selector),
                },
            },
        })
    }
}

/// Name of a workload.
#[must_use]
pub fn name(workload: usize) -> String {
    const WORDS: [&str; 8] = ["checkout", "catalog", "ledger", "search", "invoice", "profile", "gateway", "notifier"];
    format!("{}-{workload:06}", WORDS[workload % WORDS.len()])
}

/// Team of the namespace with an index.
#[must_use]
pub fn team(namespace: usize) -> String {
    format!("team-{:02}", namespace % TEAMS)
}

fn namespace_name(index: usize) -> String {
    format!("bench-{index:04}")
}

fn version(workload: usize) -> String {
    format!("{}.{}.{}", 1 + workload % 3, workload % 17, workload % 5)
}

fn pod_spec(workload: usize, name: &str, selector: &Value) -> Value {
    let probe = |path: &str, seconds: usize| json!({"httpGet": {"path": path, "port": "http", "scheme": "HTTP"}, "periodSeconds": seconds, "failureThreshold": 3});
    // Every third team has set what the road asks for, every second image is pinned by more than `latest`.
    let security = if workload.is_multiple_of(3) { json!({"allowPrivilegeEscalation": false}) } else { json!({}) };
    let tag = if workload.is_multiple_of(2) { version(workload) } else { "latest".to_owned() };
    let container = json!({
        "name": "app",
        "image": format!("registry.example.com/{name}:{tag}"),
        "args": ["--listen=:8080", "--log-format=json"],
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": [
            {"name": "LOG_LEVEL", "value": "info"},
            {"name": "DATABASE_URL", "valueFrom": {"secretKeyRef": {"name": format!("{name}-database"), "key": "url"}}},
        ],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "readinessProbe": probe("/readyz", 10),
        "livenessProbe": probe("/livez", 20),
        "securityContext": security,
        "volumeMounts": [{"name": "config", "mountPath": "/etc/app"}],
    });
    let agent = json!({
        "name": "agent",
        "image": "registry.example.com/platform/log-agent:2.4.1",
        "args": ["--tail=/var/log/app"],
    });
    json!({
        "serviceAccountName": name,
        "containers": [container, agent],
        "volumes": [{"name": "config", "configMap": {"name": format!("{name}-config")}}],
        "topologySpreadConstraints": [{
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": selector},
        }],
    })
}

/// What the Deployment controller writes about a Deployment without pods.
#[must_use]
pub fn status() -> Value {
    let condition = |kind: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": "True", "reason": reason, "message": message,
            "lastTransitionTime": "2026-11-02T09:00:00Z", "lastUpdateTime": "2026-11-02T09:00:00Z",
        })
    };
    json!({
        "metadata": {"annotations": {"deployment.kubernetes.io/revision": "1"}},
        "status": {
            "observedGeneration": 1,
            "conditions": [
                condition("Available", "MinimumReplicasAvailable", "Deployment has minimum availability."),
                condition("Progressing", "NewReplicaSetAvailable", "ReplicaSet has successfully progressed."),
            ],
        },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_size_keeps_to_the_limits_of_sig_scalability() {
        for workloads in [10, 50, 999, 10_000, 100_000, 150_000] {
            let fleet = Fleet::new(workloads, 1_000, PER_SERVICE);
            let mut sizes = BTreeMap::<String, usize>::new();
            for workload in 0..workloads {
                *sizes.entry(fleet.namespace_of(workload)).or_default() += 1;
            }
            assert_eq!(sizes.len(), fleet.namespaces, "{workloads}");
            assert!(sizes.values().all(|size| *size <= 2_000), "{workloads}");
            assert!(fleet.claimed() * 10 <= workloads, "{workloads}");
        }
    }

    #[test]
    fn the_default_fleet_is_the_one_that_is_promised() {
        let fleet = Fleet::new(10_000, 1_000, PER_SERVICE);
        assert_eq!((fleet.namespaces, fleet.services, fleet.claimed()), (100, 250, 1_000));
    }

    #[test]
    fn services_and_workloads_agree_about_who_claims_what() {
        for fleet in [(50, 1_000, 4), (1_000, 1_000, 4), (10_000, 777, 4), (10_000, 1_000, 4), (10_000, 1_000, 1)] {
            let fleet = Fleet::new(fleet.0, fleet.1, fleet.2);
            let claimed: Vec<usize> = (0..fleet.workloads).filter(|w| fleet.service_of(*w).is_some()).collect();
            let mut named: Vec<usize> = (0..fleet.services).flat_map(|s| fleet.workloads_of(s)).collect();
            named.sort_unstable();
            assert_eq!(claimed, named, "{fleet:?}");
            for service in 0..fleet.services {
                for workload in fleet.workloads_of(service) {
                    assert_eq!(fleet.service_of(workload), Some(service), "{fleet:?}");
                    assert_eq!(fleet.service(service)["metadata"]["namespace"], fleet.namespace_of(workload));
                }
            }
        }
    }
}
