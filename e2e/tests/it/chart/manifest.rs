//! What the chart renders, and which values it refuses.

use goldenpath_e2e::{chart, programs};
use rstest::rstest;

/// With `GOLDENPATH_UPDATE` set it writes the file instead of comparing it.
#[test]
fn the_install_manifest_is_the_chart() {
    let path = programs::repository().join("manifests/install.yaml");
    let rendered = chart::install_manifest().unwrap();
    if std::env::var_os("GOLDENPATH_UPDATE").is_some() {
        std::fs::write(&path, &rendered).unwrap();
    }
    let file = std::fs::read_to_string(&path).unwrap_or_default();
    let difference = rendered.lines().zip(file.lines()).find(|(rendered, file)| rendered != file);
    assert!(
        rendered == file,
        "{} is not what the chart renders: run `make generate-install`; the first difference is {difference:?}",
        path.display()
    );
}

#[test]
fn the_chart_has_the_version_of_the_program() {
    let text = std::fs::read_to_string(chart::folder().join("Chart.yaml")).unwrap();
    let chart: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    let cargo = std::fs::read_to_string(programs::repository().join("Cargo.toml")).unwrap();
    for name in ["version", "appVersion"] {
        let version = chart[name].as_str().unwrap();
        assert!(cargo.contains(&format!("\nversion = \"{version}\"\n")), "{name} {version} is not that of Cargo.toml");
    }
}

#[rstest]
#[case::typo("imgae.tag=1", "additional properties 'imgae' not allowed")]
#[case::typo_below("image.tagg=1", "at '/image': additional properties 'tagg' not allowed")]
#[case::typo_in_a_path("paths.webServcie.install=false", "at '/paths': additional properties 'webServcie' not allowed")]
#[case::typo_in_a_list("tolerations[0].effekt=x", "at '/tolerations/0': additional properties 'effekt' not allowed")]
#[case::wrong_type("crds.install=yes", "at '/crds/install': got string, want boolean")]
#[case::not_a_list("imagePullSecrets=registry", "at '/imagePullSecrets': got string, want array")]
#[case::not_a_choice("image.pullPolicy=Sometimes", "value must be one of 'Always', 'IfNotPresent', 'Never'")]
#[case::not_a_quantity("resources.limits.memory=lots", "at '/resources/limits/memory'")]
#[case::not_a_kind(
    "companionKinds[0].kind=scaledobjects",
    "at '/companionKinds/0/kind': 'scaledobjects' does not match"
)]
#[case::not_an_address("notify.receivers[0].url=hooks", "at '/notify/receivers/0/url': 'hooks' does not match pattern")]
#[case::typo_of_a_port("networkPolicy.receiverPort=443", "at '/networkPolicy': additional properties 'receiverPort'")]
#[case::no_port("networkPolicy.apiServerPorts[0]=0", "at '/networkPolicy/apiServerPorts/0': minimum: got 0, want 1")]
#[case::not_a_digest("image.digest=latest", "at '/image/digest': 'latest' does not match pattern")]
fn a_wrong_value_is_refused_by_its_name(#[case] value: &str, #[case] words: &str) {
    let error = chart::template(&chart::folder(), &["--set", value]).unwrap_err().to_string();
    println!("--set {value}: {error}");
    assert!(error.contains("values don't meet the specifications of the schema") && error.contains(words), "{error}");
}

#[test]
fn values_of_a_parent_chart_and_numbers_are_taken() {
    let values =
        ["--set", "global.team=a", "--set", "resources.requests.cpu=1", "--set", "image.tag=null,paths.cron=null"];
    let rendered = chart::template(&chart::folder(), &values).unwrap();
    assert!(rendered.contains("cpu: 1\n") && rendered.contains("image: goldenpath:0.1.0\n"), "{rendered}");
}

#[test]
fn a_kind_that_is_allowed_comes_with_the_right_to_make_it() {
    let values: Vec<&str> = EVERYTHING.iter().flat_map(|value| ["--set", value]).collect();
    let rendered = chart::template(&chart::folder(), &values).unwrap();
    let kinds = "value: \"keda.sh/v1alpha1/ScaledObject=scaledobjects,v1/ConfigMap=configmaps\"";
    assert!(rendered.contains("name: GOLDENPATH_COMPANION_KINDS") && rendered.contains(kinds), "{rendered}");
    for (group, resource) in [("keda.sh", "scaledobjects"), ("", "configmaps")] {
        let rule = format!(
            "- apiGroups: [\"{group}\"]\n  resources: [\"{resource}\"]\n  verbs: [list, watch, create, patch, delete]"
        );
        assert!(rendered.contains(&rule), "{rule} is not in {rendered}");
    }
    let nothing = chart::template(&chart::folder(), &[]).unwrap();
    assert!(!nothing.contains("GOLDENPATH_COMPANION_KINDS"), "{nothing}");
}

#[test]
fn a_network_policy_opens_what_the_operator_calls_and_no_more() {
    let policy = |values: &[&str]| {
        let on = ["networkPolicy.enabled=true"].into_iter().chain(values.iter().copied());
        let flags: Vec<&str> = on.flat_map(|value| ["--set", value]).collect();
        let rendered = chart::template(&chart::folder(), &flags).unwrap();
        let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&rendered).unwrap();
        documents.into_iter().find(|document| document["kind"] == "NetworkPolicy").unwrap()["spec"].clone()
    };
    let tcp =
        |ports: &[u16]| ports.iter().map(|p| serde_json::json!({"port": p, "protocol": "TCP"})).collect::<Vec<_>>();
    let spec = policy(&[]);
    assert_eq!(spec["policyTypes"], serde_json::json!(["Ingress", "Egress"]));
    assert_eq!(spec["ingress"], serde_json::json!([{"ports": [{"port": "http", "protocol": "TCP"}]}]));
    assert_eq!(spec["egress"], serde_json::json!([{"ports": tcp(&[443, 6443])}]));
    let more =
        policy(&["notify.existingSecret=mine", "networkPolicy.scrapers[0].podSelector.matchLabels.app=prometheus"]);
    assert_eq!(more["ingress"][0]["from"][0]["podSelector"]["matchLabels"]["app"], "prometheus");
    assert_eq!(more["egress"].as_array().unwrap().len(), 2);
    assert_eq!(more["egress"][1]["ports"].as_array().unwrap()[1..], tcp(&[53, 443]));
    let none = chart::template(&chart::folder(), &[]).unwrap();
    assert!(!none.contains("kind: NetworkPolicy\n"), "{none}");
}

#[test]
fn receivers_come_as_a_file_out_of_a_secret() {
    let rendered = |values: &[&str]| {
        let values: Vec<&str> = values.iter().flat_map(|value| ["--set", value]).collect();
        chart::template(&chart::folder(), &values).unwrap()
    };
    let receivers = ["notify.receivers[0].name=chat", "notify.receivers[0].url=https://hooks.example.com/x?a=1&b=2"];
    let ours = rendered(&receivers);
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&ours).unwrap();
    let secret = documents.iter().find(|document| document["kind"] == "Secret").unwrap();
    let file: serde_json::Value =
        serde_saphyr::from_str(secret["stringData"]["receivers.yaml"].as_str().unwrap()).unwrap();
    assert_eq!(file[0]["url"], "https://hooks.example.com/x?a=1&b=2");
    let mounts = |name: &str| format!("secret: {secret}", secret = format_args!("{{secretName: {name}}}"));
    let flag = "name: GOLDENPATH_RECEIVERS\n          value: /etc/goldenpath/receivers.yaml";
    assert!(ours.contains(&mounts("goldenpath-receivers")) && ours.contains(flag), "{ours}");
    let theirs = rendered(&["notify.existingSecret=mine"]);
    assert!(theirs.contains(&mounts("mine")) && !theirs.contains("kind: Secret\n"), "{theirs}");
    let nobody = rendered(&[]);
    assert!(
        !nobody.contains("GOLDENPATH_RECEIVERS") && !nobody.contains("volumes:\n      - name: receivers"),
        "{nobody}"
    );
}

#[test]
fn the_rules_and_dashboards_of_the_chart_are_those_of_the_manifests() {
    let values: Vec<&str> = EVERYTHING.iter().flat_map(|value| ["--set", value]).collect();
    let rendered = chart::template(&chart::folder(), &values).unwrap();
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&rendered).unwrap();
    let rules = documents.iter().find(|document| document["kind"] == "PrometheusRule").unwrap();
    let path = programs::repository().join("manifests").join(goldenpath::chart::ALERTS);
    let file = std::fs::read_to_string(path).unwrap().replace("docs/alerts.md#", "https://example.com/alerts#");
    assert_eq!(rules["spec"], serde_saphyr::from_str::<serde_json::Value>(&file).unwrap());

    let dashboards = goldenpath::observability::dashboards::all();
    assert!(!dashboards.is_empty());
    for dashboard in dashboards {
        let is_map =
            |object: &&serde_json::Value| object["kind"] == "ConfigMap" && object["metadata"]["name"] == dashboard.uid;
        let map = documents.iter().find(is_map).unwrap();
        assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
        assert_eq!(map["metadata"]["annotations"]["grafana_folder"], "Goldenpath");
        let text = map["data"][dashboard.file()].as_str().unwrap();
        assert_eq!(text.trim(), dashboard.json().unwrap().trim());
    }
}

#[test]
fn a_cluster_that_cannot_even_hold_the_definitions_is_refused() {
    let error = chart::template(&chart::folder(), &["--kube-version", "1.32.9"]).unwrap_err().to_string();
    assert!(error.contains("chart requires kubeVersion: >=1.33.0-0"), "{error}");
    chart::template(&chart::folder(), &["--kube-version", "1.33.0"]).unwrap();
}

/// Every value set to something else than its default.
pub(super) const EVERYTHING: &[&str] = &[
    "image.repository=example.com/goldenpath",
    "image.tag=1.2.3",
    "image.digest=sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "image.pullPolicy=Always",
    "imagePullSecrets[0].name=registry",
    "replicas=3",
    "companionKinds[0].apiVersion=keda.sh/v1alpha1",
    "companionKinds[0].kind=ScaledObject",
    "companionKinds[0].resource=scaledobjects",
    "companionKinds[1].apiVersion=v1",
    "companionKinds[1].kind=ConfigMap",
    "companionKinds[1].resource=configmaps",
    "readRules[0].apiGroup=networking.istio.io",
    "readRules[0].resource=virtualservices",
    "notify.receivers[0].name=chat",
    "notify.receivers[0].url=https://hooks.example.com/x?key=1",
    "notify.receivers[0].headers.authorization=Bearer x",
    "notify.receivers[0].caBundle=PEM",
    "notify.existingSecret=receivers",
    "serviceMonitor.enabled=true",
    "serviceMonitor.labels.release=prometheus",
    "prometheusRule.enabled=true",
    "prometheusRule.labels.release=prometheus",
    "prometheusRule.runbookUrl=https://example.com/alerts",
    "dashboards.enabled=true",
    "dashboards.labels.dashboards=yes",
    "dashboards.annotations.grafana_folder=Goldenpath",
    "networkPolicy.enabled=true",
    "networkPolicy.apiServerPorts[0]=6443",
    "networkPolicy.receiverPorts[0]=8443",
    "networkPolicy.scrapers[0].namespaceSelector.matchLabels.name=monitoring",
    "log=info\\,goldenpath=debug",
    "resources.requests.cpu=0.5",
    "resources.limits.memory=64Mi",
    "priorityClassName=system-cluster-critical",
    "nodeSelector.kubernetes\\.io/os=linux",
    "tolerations[0].key=dedicated",
    "tolerations[0].operator=Equal",
    "tolerations[0].value=platform",
    "tolerations[0].effect=NoExecute",
    "tolerations[0].tolerationSeconds=60",
    "podLabels.team=platform",
    "podAnnotations.note=text",
];

#[test]
fn everything_that_can_be_set_is_tried() {
    let text = std::fs::read_to_string(chart::folder().join("values.schema.json")).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut untried = Vec::new();
    for (name, value) in schema["properties"].as_object().unwrap() {
        // which definitions and paths there are has variants of its own
        if ["crds", "global", "paths"].contains(&name.as_str()) {
            continue;
        }
        let below: Vec<&String> = value["properties"].as_object().into_iter().flat_map(|all| all.keys()).collect();
        let names =
            if below.is_empty() { vec![name.clone()] } else { below.iter().map(|b| format!("{name}.{b}")).collect() };
        untried
            .extend(names.into_iter().filter(|name| !EVERYTHING.iter().any(|value| value.starts_with(name.as_str()))));
    }
    assert_eq!(untried, <[&str; 0]>::default());
}
