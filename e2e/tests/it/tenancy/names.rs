//! A namespaced object can name nothing outside of its namespace: every text that it can hold is tried.
//!
//! Which texts there are is read from the schemas, ours and the API server's, so that a new field cannot be forgotten.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use goldenpath::api::crds::all;
use goldenpath_e2e::audit::{Mark, account};
use goldenpath_e2e::installed::{ACCOUNT, NAMESPACE, PATH_TIMEOUT};
use goldenpath_e2e::{ControlPlane, programs, wait};
use http::Request;
use kube::Client;
use serde_json::{Map, Value, json};

/// Fields of a service that may hold any text, because nothing is looked up by it: what names the object is to be refused
/// by the definition.
const TEXTS: [&str; 10] = [
    "/spec/exemptionRequests/0/for/defaults/0",
    "/spec/exemptionRequests/0/reason",
    "/spec/feedback/comment",
    "/spec/overrides/0/reason",
    "/spec/workloads/0/template/args/0",
    "/spec/workloads/0/template/command/0",
    "/spec/workloads/0/template/env/0/name",
    "/spec/workloads/0/template/env/0/value",
    "/spec/workloads/0/template/image",
    "/spec/workloads/0/template/schedule",
];

/// Fields without a schema of ours, and the type of the API server's whose fields they take; nothing where a part of
/// another of them is meant.
const OPEN: [(&str, &str); 8] = [
    ("/spec/workloads/0/template/env/0", "io.k8s.api.core.v1.EnvVar"),
    ("/spec/workloads/0/template/envFrom/0", "io.k8s.api.core.v1.EnvFromSource"),
    ("/spec/workloads/0/template/probes/liveness", "io.k8s.api.core.v1.Probe"),
    ("/spec/workloads/0/template/probes/readiness", "io.k8s.api.core.v1.Probe"),
    ("/spec/workloads/0/template/probes/startup", "io.k8s.api.core.v1.Probe"),
    ("/spec/workloads/0/template/resources", "io.k8s.api.core.v1.ResourceRequirements"),
    ("/spec/workloads/0/template/patch", "io.k8s.api.apps.v1.Deployment"),
    ("/spec/workloads/0/template/patch/spec", ""),
];

/// What an object in another namespace may be called by somebody who tries.
fn hostile(theirs: &str) -> [String; 8] {
    [
        format!("{theirs}/victim"),
        format!("../{theirs}/victim"),
        format!("..%2f{theirs}%2fvictim"),
        format!("{theirs}%2Fvictim"),
        format!("/api/v1/namespaces/{theirs}/secrets"),
        format!("{theirs}?dryRun=All"),
        format!("{theirs}\u{0}victim"),
        format!("{theirs}#victim"),
    ]
}

/// Pointers to every text of a schema, and to everything that has no schema. Lists are entered at their first entry, maps
/// at the key `a`, and a type of the API server's where it first occurs.
#[derive(Default)]
struct Walk<'a> {
    schemas: Option<&'a Map<String, Value>>,
    entered: BTreeSet<String>,
    texts: Vec<String>,
    open: BTreeSet<String>,
}

impl<'a> Walk<'a> {
    fn walk(&mut self, schema: &'a Value, at: &str) {
        let all_of = schema["allOf"].as_array().into_iter().flatten();
        let reference = std::iter::once(schema).chain(all_of).find_map(|schema| schema["$ref"].as_str());
        if let Some(name) = reference.and_then(|reference| reference.rsplit('/').next()) {
            let is_new =
                self.entered.insert(name.to_owned()) || name.ends_with("Quantity") || name.ends_with("IntOrString");
            if let Some(schema) = self.schemas.and_then(|schemas| schemas.get(name)).filter(|_| is_new) {
                self.walk(schema, at);
            }
            return;
        }
        if schema["x-kubernetes-preserve-unknown-fields"] == true {
            self.open.insert(at.to_owned());
        }
        // a quantity or a port says what it may be by oneOf, or by its format alone
        if schema["type"] == "string" || schema["oneOf"].is_array() || schema["format"] == "int-or-string" {
            self.texts.push(at.to_owned());
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            self.walk(property, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")));
        }
        if schema["items"].is_object() {
            self.walk(&schema["items"], &format!("{at}/0"));
        }
        if schema["additionalProperties"].is_object() {
            self.walk(&schema["additionalProperties"], &format!("{at}/a"));
        }
    }
}

/// The texts and the open places of what a definition of ours says about one of its fields.
fn ours(kind: &str, field: &str) -> Result<(Vec<String>, BTreeSet<String>)> {
    let crd = all().into_iter().find(|crd| crd.spec.names.kind == kind).context("no definition")?;
    let schema = serde_json::to_value(&crd.spec.versions[0].schema)?["openAPIV3Schema"].take();
    let mut walk = Walk::default();
    walk.walk(&schema["properties"]["spec"], "/spec");
    let Walk { mut texts, mut open, .. } = walk;
    texts.retain(|text| text.starts_with(field));
    open.retain(|place| place.starts_with(field));
    Ok((texts, open))
}

/// Puts a value where a pointer leads, and makes what is missing on the way.
fn put(into: &mut Value, pointer: &str, value: Value) {
    let mut at = into;
    for part in pointer.split('/').skip(1) {
        let name = part.replace("~1", "/").replace("~0", "~");
        at = if let Ok(index) = name.parse::<usize>() {
            if !at.is_array() {
                *at = json!([]);
            }
            let list = at.as_array_mut().unwrap();
            list.resize(list.len().max(index + 1), json!({}));
            &mut list[index]
        } else {
            if !at.is_object() {
                *at = json!({});
            }
            &mut at[name]
        };
    }
    *at = value;
}

/// Two namespaces, and a path that is in force.
struct Tenants {
    control_plane: &'static ControlPlane,
    client: Client,
    mine: String,
    theirs: String,
    path: String,
    mark: Mark,
}

impl Tenants {
    async fn new() -> Result<Self> {
        let control_plane = ControlPlane::with_goldenpath().await?;
        let (mine, theirs) = (control_plane.namespace("mine").await?, control_plane.namespace("theirs").await?);
        let path = control_plane.namespace("road").await?;
        control_plane.golden_path(&super::path(&path).replace(r#""Forbidden""#, r#""Allowed""#)).await?;
        let mark = control_plane.audit_mark()?;
        Ok(Self { control_plane, client: control_plane.client().await?, mine, theirs, path, mark })
    }

    /// A valid service that has the field, from the samples, on the path of the test.
    fn sample(&self, field: &str) -> Result<Value> {
        let folder = programs::repository().join("manifests/samples/valid");
        for name in ["full", "template-full", "template-cron-job", "template-stateful-set"] {
            let text = std::fs::read_to_string(folder.join(format!("platformservice-{name}.yaml")))?;
            let mut service: Value = serde_saphyr::from_str(&text)?;
            let entries = service["spec"]["workloads"].as_array().map_or(0, Vec::len);
            let found = (0..entries).find(|entry| {
                service["spec"]["workloads"].as_array_mut().unwrap().swap(0, *entry);
                service.pointer(field).is_some()
            });
            if found.is_none() {
                continue;
            }
            service["spec"]["goldenPathRef"] = json!({"name": self.path, "version": "1"});
            for (pointer, value) in [
                ("/spec/overrides/0/default", json!("no-token")),
                (
                    "/spec/exemptionRequests/0/for",
                    json!({"kind": "GoldenPath", "name": self.path, "defaults": ["no-token"]}),
                ),
                ("/spec/workloads/0/template/replicas", json!(0)),
            ] {
                if let Some(place) = service.pointer_mut(pointer) {
                    *place = value;
                }
            }
            return Ok(service);
        }
        anyhow::bail!("no valid sample has {field}: add it there")
    }

    /// Creates it in the tenant's namespace; a refusal is an answer.
    async fn create(&self, plural: &str, name: &str, mut object: Value) -> Result<Result<(), String>> {
        let namespaced = plural == "platformservices";
        object["metadata"]["name"] = json!(name);
        let namespace = if namespaced { format!("namespaces/{}/", self.mine) } else { String::new() };
        let request = Request::post(format!("/apis/goldenpath.dev/v1alpha1/{namespace}{plural}"))
            .header("Content-Type", "application/json")
            .body(serde_json::to_vec(&object)?)?;
        match self.client.request::<Value>(request).await {
            Ok(_) => Ok(Ok(())),
            Err(kube::Error::Api(status)) => Ok(Err(status.message)),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until the operator has answered all of these objects; what it says of each.
    async fn answered(&self, kind: &str, names: &BTreeSet<String>) -> Result<BTreeMap<String, Value>> {
        wait::until(&format!("an answer to {} objects", names.len()), PATH_TIMEOUT, async || {
            let text = self.control_plane.kubectl(["get", kind, "-n", &self.mine, "-o", "json"]).await?;
            let list: Value = serde_json::from_str(&text)?;
            let mut answers = BTreeMap::new();
            for object in list["items"].as_array().into_iter().flatten() {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                let answered = object["status"]["observedGeneration"] == object["metadata"]["generation"];
                if names.contains(name) && answered {
                    answers.insert(name.to_owned(), object["status"].clone());
                }
            }
            let missing: Vec<&String> = names.iter().filter(|name| !answers.contains_key(*name)).collect();
            ensure!(missing.is_empty(), "no answer to {missing:?}");
            Ok(Some(answers))
        })
        .await
    }

    /// Takes the services away, which are tried again and again otherwise.
    async fn leave(&self) -> Result<()> {
        self.control_plane.kubectl(["delete", "psvc", "--all", "--wait=false", "-n", &self.mine]).await.map(drop)
    }

    /// Nobody went outside: no request of the operator names the other namespace or what is in it, and nothing is there.
    async fn nothing_outside(&self) -> Result<usize> {
        let user = account(NAMESPACE, ACCOUNT);
        let events = self.control_plane.audit_since(self.mark)?;
        let events: Vec<_> = events.into_iter().filter(|event| event.user == user).collect();
        let outside: Vec<_> =
            events.iter().filter(|event| event.uri.contains(&self.theirs) || event.uri.contains("victim")).collect();
        ensure!(outside.is_empty(), "{outside:?}");
        let kinds =
            "deployments,statefulsets,cronjobs,services,poddisruptionbudgets,networkpolicies,horizontalpodautoscalers";
        let left = self.control_plane.kubectl(["get", kinds, "-n", &self.theirs, "-o", "name"]).await?;
        ensure!(left.is_empty(), "{left}");
        Ok(events.iter().filter(|event| event.namespace == self.mine && event.is_write()).count())
    }
}

#[tokio::test]
async fn no_text_of_a_service_leads_out_of_the_namespace() -> Result<()> {
    let tenants = Tenants::new().await?;
    tenants
        .control_plane
        .kubectl(["create", "deployment", "checkout", "--image=a", "--replicas=0", "-n", &tenants.mine])
        .await?;
    let (fields, _) = ours("PlatformService", "/spec")?;
    let (mut taken, mut created) = (BTreeSet::new(), BTreeSet::new());
    for (f, field) in fields.iter().enumerate() {
        for (n, text) in hostile(&tenants.theirs).into_iter().enumerate() {
            let mut service = tenants.sample(field)?;
            *service.pointer_mut(field).unwrap() = json!(text);
            let name = format!("try-{f}-{n}");
            match tenants.create("platformservices", &name, service).await? {
                Ok(()) => {
                    taken.insert(field.as_str());
                    created.insert(name);
                }
                Err(message) => {
                    let named = field.rsplit('/').find(|part| part.parse::<u8>().is_err()).unwrap_or_default();
                    ensure!(message.contains(named), "{field} = {text}: {message}");
                }
            }
        }
    }
    let texts: BTreeSet<&str> = TEXTS.into_iter().collect();
    ensure!(taken == texts, "any text is taken by {taken:?}; that is meant of {texts:?}");
    tenants.answered("platformservices", &created).await?;
    let writes = tenants.nothing_outside().await?;
    tenants.leave().await?;
    println!(
        "{} fields, {} services were taken, {writes} writes in the namespace, none outside",
        fields.len(),
        created.len()
    );
    Ok(())
}

/// The texts of a type of the API server's, below a place.
async fn theirs(client: &Client, name: &str, at: &str, entered: &mut BTreeSet<String>) -> Result<Vec<String>> {
    let mut schemas = Map::new();
    for group in ["apis/apps/v1", "apis/policy/v1", "apis/networking.k8s.io/v1", "apis/autoscaling/v2", "api/v1"] {
        let request = Request::get(format!("/openapi/v3/{group}")).body(Vec::new())?;
        let document: Value = client.request(request).await?;
        schemas.extend(document["components"]["schemas"].as_object().context("no schemas")?.clone());
    }
    let schema = json!({"$ref": name});
    let mut walk = Walk { schemas: Some(&schemas), entered: std::mem::take(entered), ..Walk::default() };
    walk.walk(&schema, at);
    *entered = walk.entered;
    ensure!(!walk.texts.is_empty(), "OpenAPI has no texts of {name}");
    Ok(walk.texts)
}

#[tokio::test]
async fn no_text_within_a_template_leads_out_of_the_namespace() -> Result<()> {
    let tenants = Tenants::new().await?;
    let open: BTreeSet<String> = OPEN.iter().map(|(place, _)| (*place).to_owned()).collect();
    let (_, mut found) = ours("PlatformService", "/spec")?;
    // it may not be there at all
    found.remove("/spec/workloads/0/template/patch/spec/selector");
    ensure!(found == open, "open places are {found:?}; tried are {open:?}");
    let mut fields = Vec::new();
    for (place, name) in OPEN.iter().filter(|(_, name)| !name.is_empty()) {
        fields.extend(theirs(&tenants.client, name, place, &mut BTreeSet::new()).await?);
    }
    fields.retain(|field| !field.contains("/patch/status/") && !field.contains("managedFields"));
    let hostile = hostile(&tenants.theirs);
    let (mut taken, mut refused) = (0, 0);
    let numbered: Vec<(usize, &String)> = fields.iter().enumerate().collect();
    // a few at a time: what the API server refuses is tried again and again until it is deleted
    for some in numbered.chunks(40) {
        let mut created = BTreeSet::new();
        for (n, field) in some {
            let mut template = json!({"image": "a", "replicas": 0});
            if field.contains("/env/0") {
                template["env"] = json!([{"name": "A"}]);
            }
            let workloads = json!([{"name": "api", "template": template}]);
            let spec = json!({"goldenPathRef": {"name": tenants.path}, "workloads": workloads});
            let mut service = json!({"apiVersion": "goldenpath.dev/v1alpha1", "kind": "PlatformService", "spec": spec});
            put(&mut service, field, json!(hostile[n % hostile.len()]));
            let name = format!("try-{n}");
            if tenants.create("platformservices", &name, service).await?.is_ok() {
                created.insert(name);
            }
        }
        let answers = tenants.answered("platformservices", &created).await?;
        taken += created.len();
        refused += answers.values().filter(|status| status["conditions"].to_string().contains("refuses")).count();
        tenants.leave().await?;
    }
    let writes = tenants.nothing_outside().await?;
    ensure!(refused > 200 && taken > refused, "{taken} taken, {refused} refused: the API server was hardly asked");
    println!(
        "{} texts, {taken} services were taken, of {refused} the API server refused the workload, {writes} writes",
        fields.len()
    );
    Ok(())
}

/// Kinds of companions, the types of their specs, and what makes the smallest of them valid.
fn companions() -> [(&'static str, &'static str, &'static str, Value); 4] {
    [
        ("policy/v1", "PodDisruptionBudget", "io.k8s.api.policy.v1.PodDisruptionBudgetSpec", json!({})),
        ("networking.k8s.io/v1", "NetworkPolicy", "io.k8s.api.networking.v1.NetworkPolicySpec", json!({})),
        (
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerSpec",
            json!({"maxReplicas": 3}),
        ),
        ("v1", "Service", "io.k8s.api.core.v1.ServiceSpec", json!({"ports": [{"port": 80}]})),
    ]
}

/// A path belongs to the platform team, which may write what it wants, but what it makes lies beside the workload.
#[tokio::test]
async fn no_text_of_a_companion_leads_out_of_the_namespace() -> Result<()> {
    let tenants = Tenants::new().await?;
    let hostile = hostile(&tenants.theirs);
    let of = |resource: Value| {
        let defaults = json!([{"name": "extra", "resources": [resource]}]);
        json!({"apiVersion": "goldenpath.dev/v1alpha1", "kind": "GoldenPath", "spec": {"defaults": defaults}})
    };
    let (fields, open) = ours("GoldenPath", "/spec/defaults/0/resources/0")?;
    ensure!(open.len() == 1 && open.contains("/spec/defaults/0/resources/0/spec"), "{open:?}");
    for field in &fields {
        for text in &hostile {
            let mut path = of(json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "spec": {}}));
            *path.pointer_mut(field).context("a companion has another field")? = json!(text);
            let answer = tenants.create("goldenpaths", &tenants.theirs, path).await?;
            ensure!(answer.is_err(), "{field} = {text} was taken");
        }
    }
    tenants
        .control_plane
        .kubectl(["create", "deployment", "web", "--image=a", "--replicas=0", "-n", &tenants.mine])
        .await?;
    let (mut tried, mut names) = (fields.len(), BTreeSet::new());
    for (api_version, kind, name, spec) in companions() {
        // namespace and name are nobody's to say: they are no fields of a companion
        for field in theirs(&tenants.client, name, "", &mut BTreeSet::new()).await? {
            let mut resource = json!({"apiVersion": api_version, "kind": kind, "spec": spec});
            put(&mut resource["spec"], &field, json!(hostile[tried % hostile.len()]));
            tried += 1;
            let name = format!("{}-{tried}", tenants.path);
            tenants.create("goldenpaths", &name, of(resource)).await?.map_err(anyhow::Error::msg)?;
            let workloads = json!([{"name": "web", "ref": {"kind": "Deployment", "name": "web"}}]);
            let spec = json!({"goldenPathRef": {"name": name}, "workloads": workloads});
            let service = json!({"apiVersion": "goldenpath.dev/v1alpha1", "kind": "PlatformService", "spec": spec});
            tenants.create("platformservices", &name, service).await?.map_err(anyhow::Error::msg)?;
            names.insert(name);
        }
    }
    let paths = tenants.answered("goldenpaths", &names).await?;
    tenants.answered("platformservices", &names).await?;
    let writes = tenants.nothing_outside().await?;
    tenants.leave().await?;
    for name in &names {
        tenants.control_plane.kubectl(["delete", "gp", name, "--wait=false"]).await?;
    }
    let refused = paths.values().filter(|status| status["conditions"].to_string().contains("InvalidDefault")).count();
    println!("{tried} texts, {refused} of {} paths were refused, {writes} writes in the namespace", paths.len());
    Ok(())
}
