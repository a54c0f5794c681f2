//! A fixed road as a platform team would write it, for the corpus and for the latency.

use goldenpath::plan::leaf::Road;
use serde_json::json;

use super::defaults::road_of;

/// 18 leaves.
pub fn road() -> Road {
    road_of(&json!({"spec": {
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "securityContext": {
            "runAsNonRoot": true,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "tolerations": [{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}],
        "topologySpreadConstraints": [{
            "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway", "maxSkew": 1,
            "labelSelector": {"matchLabels": {"spread": "me"}},
        }],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        "containers": [{
            "name": "*",
            "env": [{"name": "TZ", "value": "UTC"}, {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
            "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]},
            },
        }],
    }}))
}
