//! Fields and valid values of them: what roads fill and teams set.

use goldenpath::plan::leaf::Place;
use goldenpath::plan::leaf::Place::{Containers, InitContainers, Pod};
use serde_json::{Value, json};

/// A field with valid values, and for an entry of a keyed list its key.
#[derive(Clone, Debug)]
pub struct Field {
    pub place: Place,
    pub path: Vec<&'static str>,
    /// Key fields, where the values are entries.
    pub keys: &'static [&'static str],
    pub values: Vec<Value>,
}

fn field(place: Place, path: &'static str, keys: &'static [&'static str], values: Value) -> Field {
    let Value::Array(values) = values else { unreachable!("a list is written below") };
    Field { place, path: path.split('.').collect(), keys, values }
}

/// What a road may fill. Fields of containers stand for both kinds of containers.
pub fn fillable() -> Vec<Field> {
    let mut all = pod_fields();
    all.extend(pod_security());
    all.extend(container_fields());
    all.extend(container_security());
    all
}

#[allow(clippy::too_many_lines)] // a table
fn pod_fields() -> Vec<Field> {
    let of = |path, values| field(Pod, path, &[], values);
    let entry = |path, keys, values| field(Pod, path, keys, values);
    let zone = |max: i64, when: &str| json!({"topologyKey": "zone", "whenUnsatisfiable": when, "maxSkew": max, "labelSelector": {"matchLabels": {"app": "x"}}});
    let selector = |v: &str| json!({"nodeSelectorTerms": [{"matchExpressions": [{"key": "arch", "operator": "In", "values": [v]}]}]});
    let away = |key: &str| json!([{"weight": 10, "podAffinityTerm": {"topologyKey": key, "labelSelector": {"matchLabels": {"app": "x"}}}}]);
    let together = |key: &str| json!([{"topologyKey": key, "labelSelector": {"matchLabels": {"app": "x"}}}]);
    let prefer = |v: &str| json!([{"weight": 1, "preference": {"matchExpressions": [{"key": "arch", "operator": "In", "values": [v]}]}}]);
    vec![
        of("automountServiceAccountToken", json!([false, true])),
        of("enableServiceLinks", json!([false, true])),
        of("hostUsers", json!([false, true])),
        of("shareProcessNamespace", json!([true, false])),
        of("setHostnameAsFQDN", json!([true, false])),
        of("hostname", json!(["one", "two"])),
        of("subdomain", json!(["one", "two"])),
        of("priorityClassName", json!(["gold", "silver"])),
        of("preemptionPolicy", json!(["Never", "PreemptLowerPriority"])),
        of("runtimeClassName", json!(["gvisor", "kata"])),
        of("nodeSelector", json!([{"disk": "ssd"}, {"disk": "hdd", "cpu": "fast"}])),
        of(
            "tolerations",
            json!([[{"key": "a", "operator": "Exists"}], [{"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}]]),
        ),
        of("readinessGates", json!([[{"conditionType": "example.com/a"}], [{"conditionType": "example.com/b"}]])),
        of("overhead.cpu", json!(["10m", "20m"])),
        of(
            "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution",
            json!([selector("amd64"), selector("arm64")]),
        ),
        of(
            "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution",
            json!([prefer("amd64"), prefer("arm64")]),
        ),
        of("affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution", json!([away("zone"), away("rack")])),
        of(
            "affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution",
            json!([together("zone"), together("rack")]),
        ),
        of(
            "affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution",
            json!([away("zone"), away("rack")]),
        ),
        of(
            "affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution",
            json!([together("zone"), together("rack")]),
        ),
        of("dnsConfig.nameservers", json!([["10.0.0.1"], ["10.0.0.2"]])),
        of("dnsConfig.searches", json!([["a.example"], ["b.example"]])),
        of("dnsConfig.options", json!([[{"name": "ndots", "value": "2"}], [{"name": "edns0"}]])),
        entry(
            "hostAliases",
            &["ip"],
            json!([{"ip": "10.1.1.1", "hostnames": ["a"]}, {"ip": "10.1.1.1", "hostnames": ["b"]}, {"ip": "10.1.1.2", "hostnames": ["c"]}]),
        ),
        entry(
            "topologySpreadConstraints",
            &["topologyKey", "whenUnsatisfiable"],
            json!([zone(1, "ScheduleAnyway"), zone(2, "ScheduleAnyway"), zone(1, "DoNotSchedule")]),
        ),
        entry(
            "resourceClaims",
            &["name"],
            json!([{"name": "gpu", "resourceClaimName": "a"}, {"name": "gpu", "resourceClaimTemplateName": "b"}]),
        ),
        entry(
            "volumes",
            &["name"],
            json!([
                {"name": "tmp", "emptyDir": {}}, {"name": "tmp", "hostPath": {"path": "/tmp"}}, {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
                {"name": "cache", "emptyDir": {"medium": "Memory"}}, {"name": "cache", "configMap": {"name": "c"}},
            ]),
        ),
    ]
}

fn pod_security() -> Vec<Field> {
    let of = |path, values| field(Pod, path, &[], values);
    let mut all = vec![
        of("securityContext.fsGroup", json!([2000, 3000])),
        of("securityContext.fsGroupChangePolicy", json!(["OnRootMismatch", "Always"])),
        of("securityContext.seLinuxChangePolicy", json!(["Recursive", "MountOption"])),
        of("securityContext.supplementalGroups", json!([[1], [2, 3]])),
        of("securityContext.supplementalGroupsPolicy", json!(["Strict", "Merge"])),
        of(
            "securityContext.sysctls",
            json!([[{"name": "kernel.shm_rmid_forced", "value": "1"}], [{"name": "net.core.somaxconn", "value": "9"}]]),
        ),
    ];
    all.extend(shared_security(Pod));
    all
}

/// What stands in the security contexts of pods and of containers.
fn shared_security(place: Place) -> Vec<Field> {
    let of = |path, values| field(place, path, &[], values);
    vec![
        of("securityContext.runAsNonRoot", json!([true, false])),
        of("securityContext.runAsUser", json!([1000, 0, 65532])),
        of("securityContext.runAsGroup", json!([1000, 0])),
        of(
            "securityContext.seccompProfile",
            json!([{"type": "RuntimeDefault"}, {"type": "Localhost", "localhostProfile": "a"}, {"type": "Unconfined"}]),
        ),
        of(
            "securityContext.appArmorProfile",
            json!([{"type": "RuntimeDefault"}, {"type": "Localhost", "localhostProfile": "a"}]),
        ),
        of(
            "securityContext.seLinuxOptions",
            json!([{"level": "s0:c1"}, {"level": "s0:c2", "type": "t"}, {"user": "u"}]),
        ),
        of(
            "securityContext.windowsOptions",
            json!([{"runAsUserName": "a"}, {"runAsUserName": "b", "gmsaCredentialSpecName": "g"}]),
        ),
    ]
}

fn container_fields() -> Vec<Field> {
    let of = |path, values| field(Containers, path, &[], values);
    let entry = |path, keys, values| field(Containers, path, keys, values);
    let http = |port: i64| json!({"httpGet": {"path": "/", "port": port}});
    let probes = || json!([http(80), http(81), {"tcpSocket": {"port": 80}, "periodSeconds": 5}, {"exec": {"command": ["true"]}, "timeoutSeconds": 3}, {"grpc": {"port": 9}}]);
    // no lifecycle.stopSignal: the API server takes fields of features that are off out after admission, so that its
    // answer does not tell what admission saw
    let startup =
        || json!([http(80), {"tcpSocket": {"port": 80}, "failureThreshold": 30}, {"exec": {"command": ["true"]}}]);
    let hooks =
        || json!([{"exec": {"command": ["a"]}}, {"sleep": {"seconds": 5}}, {"httpGet": {"path": "/", "port": 80}}]);
    vec![
        of("resources.requests.cpu", json!(["100m", "250m", "2"])),
        of("resources.requests.memory", json!(["128Mi", "64Mi", "1Gi"])),
        of("resources.requests.ephemeral-storage", json!(["1Gi", "2Gi"])),
        of("resources.limits.cpu", json!(["200m", "1", "4"])),
        of("resources.limits.memory", json!(["256Mi", "100Mi", "2Gi"])),
        of("resources.limits.ephemeral-storage", json!(["4Gi", "1Gi"])),
        entry(
            "env",
            &["name"],
            json!([
                {"name": "A", "value": "1"}, {"name": "A", "value": "2"}, {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "B", "value": "x"}, {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k", "optional": true}}}, {"name": "C"},
            ]),
        ),
        entry(
            "ports",
            &["containerPort", "protocol"],
            json!([
                {"name": "http", "containerPort": 8080, "protocol": "TCP"}, {"name": "web", "containerPort": 8080, "protocol": "TCP"},
                {"name": "http", "containerPort": 8081, "protocol": "TCP"}, {"containerPort": 9090, "protocol": "TCP"}, {"containerPort": 8080, "protocol": "TCP"},
            ]),
        ),
        entry(
            "volumeMounts",
            &["mountPath"],
            json!([
                {"name": "tmp", "mountPath": "/tmp"}, {"name": "tmp", "mountPath": "/tmp", "readOnly": true}, {"name": "cache", "mountPath": "/cache"},
                {"name": "cache", "mountPath": "/tmp"}, {"name": "tmp", "mountPath": "/tmp", "subPath": "s"},
            ]),
        ),
        of("livenessProbe", probes()),
        of("readinessProbe", probes()),
        of("startupProbe", startup()),
        of("lifecycle.preStop", hooks()),
        of("lifecycle.postStart", hooks()),
        of("workingDir", json!(["/a", "/b"])),
        of("tty", json!([true, false])),
        of("stdin", json!([true, false])),
        of("stdinOnce", json!([true, false])),
        of("args", json!([["a"], ["b", "c"]])),
        of("command", json!([["a"], ["b", "c"]])),
        of(
            "envFrom",
            json!([[{"configMapRef": {"name": "c", "optional": true}}], [{"prefix": "P", "secretRef": {"name": "s"}}]]),
        ),
        of(
            "resizePolicy",
            json!([[{"resourceName": "cpu", "restartPolicy": "NotRequired"}], [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]]),
        ),
    ]
}

fn container_security() -> Vec<Field> {
    let of = |path, values| field(Containers, path, &[], values);
    let mut all = vec![
        of("securityContext.allowPrivilegeEscalation", json!([false, true])),
        of("securityContext.privileged", json!([true, false])),
        of("securityContext.readOnlyRootFilesystem", json!([true, false])),
        of("securityContext.capabilities.drop", json!([["ALL"], ["NET_RAW"]])),
        of("securityContext.capabilities.add", json!([["NET_BIND_SERVICE"], ["SYS_ADMIN"], ["CAP_SYS_ADMIN"]])),
        of("securityContext.procMount", json!(["Default", "Unmasked"])),
    ];
    all.extend(shared_security(Containers));
    all
}

/// Fields whose guards look at each other, of containers where they stand in the pod as well.
pub const PARTNERS: [[&str; 2]; 8] = [
    ["resources.requests.cpu", "resources.limits.cpu"],
    ["resources.requests.memory", "resources.limits.memory"],
    ["resources.requests.ephemeral-storage", "resources.limits.ephemeral-storage"],
    ["env", "envFrom"],
    ["securityContext.runAsNonRoot", "securityContext.runAsUser"],
    ["securityContext.allowPrivilegeEscalation", "securityContext.privileged"],
    ["securityContext.allowPrivilegeEscalation", "securityContext.capabilities.add"],
    ["securityContext.procMount", "hostUsers"],
];

/// The paths of fields that look at this one, or that it looks at.
pub fn partners(path: &str) -> Vec<&'static str> {
    let of = |[one, other]: &[&'static str; 2]| match path {
        path if path == *one => Some(*other),
        path if path == *other => Some(*one),
        _ => None,
    };
    PARTNERS.iter().filter_map(of).collect()
}

/// What only teams set: the other side of the guards.
pub fn teams_only() -> Vec<Field> {
    let pod = |path, values| field(Pod, path, &[], values);
    let of = |path, values| field(Containers, path, &[], values);
    vec![
        pod("hostNetwork", json!([true])),
        pod("hostPID", json!([true])),
        pod("hostIPC", json!([true])),
        pod("os", json!([{"name": "windows"}, {"name": "linux"}])),
        pod("resources.limits.memory", json!(["3Gi", "64Mi"])),
        pod("resources.requests.cpu", json!(["1", "3"])),
        pod("hostnameOverride", json!(["other"])),
        pod("terminationGracePeriodSeconds", json!([2, 60])),
        pod("securityContext.runAsUser", json!([0])),
        of("resources.limits.memory", json!(["16Mi", "32Mi"])),
        of("resources.limits.cpu", json!(["10m", 1])),
        of("resources.requests.memory", json!(["4Gi"])),
        of("resources.requests.cpu", json!(["8", 0.5])),
        of("securityContext.runAsUser", json!([0])),
        of("securityContext.privileged", json!([true])),
        of("securityContext.procMount", json!(["Unmasked"])),
        of("securityContext.capabilities.add", json!([["SYS_ADMIN"]])),
        of("envFrom", json!([[{"configMapRef": {"name": "mine"}}]])),
        field(
            Containers,
            "volumeMounts",
            &["mountPath"],
            json!([{"name": "tmp", "mountPath": "/scratch"}, {"name": "cache", "mountPath": "/var"}]),
        ),
        field(
            Containers,
            "volumeDevices",
            &["devicePath"],
            json!([{"name": "cache", "devicePath": "/tmp"}, {"name": "tmp", "devicePath": "/dev/x"}]),
        ),
        field(
            Pod,
            "volumes",
            &["name"],
            json!([{"name": "tmp", "persistentVolumeClaim": {"claimName": "c"}}, {"name": "own", "emptyDir": {}}]),
        ),
    ]
}

/// The list of pods or containers that a place is about, for a container of that name.
pub fn place_of(container: &str) -> Place {
    if matches!(container, "init" | "side") { InitContainers } else { Containers }
}
