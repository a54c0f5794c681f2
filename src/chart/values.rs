//! The values of the chart: `values.yaml`, `values.schema.json` and the table in its README are made from these types.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::{Map, Value};

/// Values of the chart goldenpath.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Values {
    /// Where the image comes from.
    pub image: Image,
    /// Names of the Secrets to pull the image with, such as `[{name: registry}]`. They must be in the release's namespace.
    pub image_pull_secrets: Vec<PullSecret>,
    /// Pods of the operator. One leads and writes; the others keep watching, and one of them takes over within a second
    /// when the leader leaves, and within six when it dies.
    #[schemars(range(min = 1, max = 9))]
    pub replicas: u8,
    /// The CustomResourceDefinitions of GoldenPath, PlatformService and Deprecation.
    pub crds: Crds,
    /// The GoldenPaths that come with the chart, by name.
    pub paths: BTreeMap<String, Path>,
    /// Further kinds of objects that paths may ask for beside workloads, such as
    /// `[{apiVersion: keda.sh/v1alpha1, kind: ScaledObject, resource: scaledobjects}]`. The operator gets the right to make
    /// and delete them in every namespace.
    pub companion_kinds: Vec<CompanionKind>,
    /// Resources that Deprecations match and that the operator may not read yet, such as
    /// `[{apiGroup: networking.k8s.io, resource: ingresses}]`. The operator gets the right to list and watch them in every
    /// namespace. Further ClusterRoles with the label `goldenpath.dev/aggregate-to-reader: "true"` do the same.
    pub read_rules: Vec<ReadRule>,
    /// Whom Deprecations tell that name receivers.
    pub notify: Notify,
    /// The ServiceMonitor by which the Prometheus operator finds /metrics.
    pub service_monitor: ServiceMonitor,
    /// Alerts and recording rules as a PrometheusRule of the Prometheus operator; docs/alerts.md lists them.
    pub prometheus_rule: PrometheusRule,
    /// Grafana dashboards as ConfigMaps, for the sidecar that the Grafana chart runs; docs/dashboards.md shows them.
    pub dashboards: Dashboards,
    /// A NetworkPolicy for the operator's pods.
    pub network_policy: NetworkPolicy,
    /// Which lines the operator logs: `info`, or per module as in `info,goldenpath=debug`.
    #[schemars(length(min = 1))]
    pub log: String,
    /// What the pods ask of a node.
    pub resources: Resources,
    /// PriorityClass of the pods; empty means the cluster's default.
    pub priority_class_name: String,
    /// Labels that a node must have to run the pods.
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that the pods tolerate.
    pub tolerations: Vec<Toleration>,
    /// Further labels of the operator's pod.
    pub pod_labels: BTreeMap<String, String>,
    /// Further annotations of the operator's pod.
    pub pod_annotations: BTreeMap<String, String>,
    /// Helm gives the global values of a parent chart to each of its charts; this one uses none of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "anything")]
    pub global: Option<Map<String, Value>>,
}

impl Default for Values {
    fn default() -> Self {
        Self {
            image: Image::default(),
            image_pull_secrets: Vec::new(),
            replicas: 2,
            crds: Crds::default(),
            paths: BTreeMap::new(),
            companion_kinds: Vec::new(),
            read_rules: Vec::new(),
            notify: Notify::default(),
            service_monitor: ServiceMonitor::default(),
            prometheus_rule: PrometheusRule::default(),
            dashboards: Dashboards::default(),
            network_policy: NetworkPolicy::default(),
            log: "info".to_owned(),
            resources: Resources::default(),
            priority_class_name: String::new(),
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            pod_labels: BTreeMap::new(),
            pod_annotations: BTreeMap::new(),
            global: None,
        }
    }
}

impl Values {
    /// The values of a chart with these shipped paths, all of them installed.
    #[must_use]
    pub fn of<'a>(paths: impl IntoIterator<Item = &'a str>) -> Self {
        let paths = paths.into_iter().map(|name| (key(name), Path::default())).collect();
        Self { paths, ..Self::default() }
    }
}

/// The key of a path below `paths`: `web-service` is `webService`, since a dash in a key needs quotes in a template.
#[must_use]
pub fn key(name: &str) -> String {
    let mut words = name.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |key, word| {
        let (initial, rest) = word.split_at(usize::from(!word.is_empty()));
        key + &initial.to_ascii_uppercase() + rest
    })
}

/// An image.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Image {
    /// Registry and name of the image, without a tag. There is no public registry yet: build the image and set yours.
    #[schemars(length(min = 1))]
    pub repository: String,
    /// Tag of the image; empty means the chart's appVersion.
    pub tag: String,
    /// Digest of the image, `sha256:...`, which pins it more firmly than a tag. It is used beside the tag.
    #[schemars(regex(pattern = "^(sha256:[0-9a-f]{64})?$"))]
    pub digest: String,
    /// When the node pulls the image.
    pub pull_policy: PullPolicy,
}

impl Default for Image {
    fn default() -> Self {
        Self {
            repository: "goldenpath".to_owned(),
            tag: String::new(),
            digest: String::new(),
            pull_policy: PullPolicy::default(),
        }
    }
}

/// As `imagePullPolicy` of a container.
#[derive(Serialize, JsonSchema, Clone, Copy, Debug, Default)]
pub enum PullPolicy {
    /// At every start.
    Always,
    /// When the node does not have it.
    #[default]
    IfNotPresent,
    /// Not at all.
    Never,
}

/// A Secret to pull images with.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct PullSecret {
    /// Name of the Secret.
    #[schemars(length(min = 1))]
    pub name: String,
}

/// The CustomResourceDefinitions.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Crds {
    /// Install the definitions and upgrade them with the chart. They stay when the chart goes, and so does every object.
    pub install: bool,
}

impl Default for Crds {
    fn default() -> Self {
        Self { install: true }
    }
}

/// What this path gives to workloads stands in docs/shipped-paths.md.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Path {
    /// Create the path when it is missing, and bring it up to date with the chart until somebody edits it.
    pub install: bool,
}

impl Default for Path {
    fn default() -> Self {
        Self { install: true }
    }
}

/// A kind of object.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CompanionKind {
    /// API version, as in a manifest.
    #[schemars(regex(pattern = "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?v[0-9]+((alpha|beta)[0-9]+)?$"))]
    pub api_version: String,
    /// Kind, as in a manifest.
    #[schemars(regex(pattern = "^[A-Z][A-Za-z0-9]*$"))]
    pub kind: String,
    /// Name of the resource, as in `kubectl api-resources`.
    #[schemars(regex(pattern = "^[a-z][a-z0-9]*$"))]
    pub resource: String,
}

/// A resource to read.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReadRule {
    /// API group, empty for the core one.
    #[schemars(regex(pattern = "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$"))]
    pub api_group: String,
    /// Name of the resource, as in `kubectl api-resources`.
    #[schemars(regex(pattern = "^[a-z][a-z0-9]*$"))]
    pub resource: String,
}

/// Who gets digests about deprecations.
#[derive(Serialize, JsonSchema, Clone, Debug, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Notify {
    /// Who gets a digest for each team by an HTTP POST of JSON, such as `[{name: chat, url: "https://hooks.example.com/x",
    /// headers: {authorization: "Bearer x"}}]`. They are kept in a Secret, since an address often is one. One whose certificate
    /// is by a CA of your own has that CA, as PEM, in `caBundle`.
    pub receivers: Vec<Receiver>,
    /// Name of a Secret of your own in the release's namespace instead, with such a list under the key `receivers.yaml`. The
    /// operator reads it when it starts.
    pub existing_secret: String,
}

/// A receiver.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Receiver {
    /// What Deprecations call it.
    #[schemars(regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"), length(max = 40))]
    pub name: String,
    /// Where it listens.
    #[schemars(regex(pattern = "^https?://[!-~]+$"))]
    pub url: String,
    /// Further headers of the request.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Certificates as PEM of those who may say that it is who it is, such as a CA of your own. Without it, those that browsers
    /// trust (Mozilla's list).
    #[serde(default)]
    pub ca_bundle: String,
}

/// How Prometheus finds the operator.
#[derive(Serialize, JsonSchema, Clone, Debug, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ServiceMonitor {
    /// Install it. The cluster needs the definitions of the Prometheus operator.
    pub enabled: bool,
    /// Further labels, by which a Prometheus selects its ServiceMonitors.
    pub labels: BTreeMap<String, String>,
}

/// Alerts and recording rules.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PrometheusRule {
    /// Install it. The cluster needs the definitions of the Prometheus operator.
    pub enabled: bool,
    /// Further labels, by which a Prometheus selects its PrometheusRules.
    pub labels: BTreeMap<String, String>,
    /// Where your people read docs/alerts.md: each alert carries this with its own anchor as `runbook_url`.
    #[schemars(length(min = 1))]
    pub runbook_url: String,
}

impl Default for PrometheusRule {
    fn default() -> Self {
        let runbook_url = crate::observability::alerts::RUNBOOK.to_owned();
        Self { enabled: false, labels: BTreeMap::new(), runbook_url }
    }
}

/// Grafana dashboards.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Dashboards {
    /// Install them.
    pub enabled: bool,
    /// Labels by which the sidecar selects ConfigMaps.
    pub labels: BTreeMap<String, String>,
    /// Annotations, such as the one that names a folder in Grafana.
    pub annotations: BTreeMap<String, String>,
}

impl Default for Dashboards {
    fn default() -> Self {
        let labels = BTreeMap::from([("grafana_dashboard".to_owned(), "1".to_owned())]);
        Self { enabled: false, labels, annotations: BTreeMap::new() }
    }
}

/// Who may talk to the pods, and whom they may talk to.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NetworkPolicy {
    /// Install it. The pods then answer on their one port, ask DNS and call the ports below, and nothing else.
    pub enabled: bool,
    /// Ports of the API server, as its own endpoints have them: `kubectl get endpointslices -n default` shows them.
    #[schemars(length(min = 1))]
    pub api_server_ports: Vec<Port>,
    /// Ports of the receivers under `notify`, which are opened where there are any.
    pub receiver_ports: Vec<Port>,
    /// Pods that may scrape /metrics, such as `[{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name:
    /// monitoring}}}]`; empty means everybody.
    pub scrapers: Vec<Peer>,
}

impl Default for NetworkPolicy {
    fn default() -> Self {
        let ports = |ports: &[u16]| ports.iter().copied().map(Port).collect();
        Self {
            enabled: false,
            api_server_ports: ports(&[443, 6443]),
            receiver_ports: ports(&[443]),
            scrapers: Vec::new(),
        }
    }
}

/// As an entry of `from` in a NetworkPolicy.
#[derive(Serialize, JsonSchema, Clone, Debug, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Peer {
    /// Namespaces of the pods; without it, the operator's own.
    pub namespace_selector: Option<MatchLabels>,
    /// The pods; without it, all.
    pub pod_selector: Option<MatchLabels>,
}

/// A selector.
#[derive(Serialize, JsonSchema, Clone, Debug, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MatchLabels {
    /// Labels that must be there.
    pub match_labels: BTreeMap<String, String>,
}

/// A port.
#[derive(Serialize, Clone, Copy, Debug)]
pub struct Port(u16);

impl JsonSchema for Port {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Port".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": 1, "maximum": 65535})
    }
}

/// Requests and limits.
#[derive(Serialize, JsonSchema, Clone, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// What a node must have free.
    pub requests: BTreeMap<String, Quantity>,
    /// What the pods may not exceed. A limit on cpu would slow down answers, so none is set.
    pub limits: BTreeMap<String, Quantity>,
}

impl Default for Resources {
    fn default() -> Self {
        let request = |name: &str, quantity: &str| (name.to_owned(), Quantity(quantity.to_owned()));
        Self { requests: [request("cpu", "20m"), request("memory", "32Mi")].into(), limits: BTreeMap::new() }
    }
}

/// An amount of a resource.
#[derive(Serialize, Clone, Debug)]
pub struct Quantity(String);

impl JsonSchema for Quantity {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // as the API server reads it: `cpu: 1` is a number in YAML
        let number = json_schema!({"type": "number", "minimum": 0});
        let text = json_schema!({"type": "string", "pattern": "^[0-9]+([.][0-9]+)?(m|[kMGTPE]|[KMGTPE]i|e[0-9]+)?$"});
        json_schema!({"anyOf": [text, number]})
    }
}

/// As `tolerations` of a pod.
#[derive(Serialize, JsonSchema, Clone, Debug, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(clippy::struct_field_names)] // the API's own names
pub struct Toleration {
    /// Key of the taint; without one, every taint.
    pub key: Option<String>,
    /// How the value is compared.
    pub operator: Option<TolerationOperator>,
    /// Value of the taint.
    pub value: Option<String>,
    /// Effect of the taint; without one, every effect.
    pub effect: Option<TaintEffect>,
    /// For how long a NoExecute taint is tolerated.
    pub toleration_seconds: Option<i64>,
}

/// As `operator` of a toleration.
#[derive(Serialize, JsonSchema, Clone, Copy, Debug)]
pub enum TolerationOperator {
    /// Equal values.
    Equal,
    /// Any value.
    Exists,
}

/// As `effect` of a taint.
#[derive(Serialize, JsonSchema, Clone, Copy, Debug)]
pub enum TaintEffect {
    /// New pods stay away.
    NoSchedule,
    /// New pods stay away if they can.
    PreferNoSchedule,
    /// Running pods leave, too.
    NoExecute,
}

fn anything(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object"})
}
