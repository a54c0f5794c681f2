//! `goldenpath run`: everything wired together.

use std::collections::HashSet;
use std::hash::Hash;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::channel::mpsc::{self, UnboundedReceiver};
use futures::stream::select;
use futures::{FutureExt, Stream, StreamExt, TryStreamExt};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::PostParams;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{Controller, WatchStreamExt, controller, reflector, watcher};
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::api_server::ApiServer;
use super::context::{Context, GuardedPath, GuardedService, Roads, Written};
use super::definitions::{wait_for_definitions, wait_for_version};
use super::leadership::Leadership;
use super::lease::{Elector, Lost};
use super::notices::{Notices, deliver};
use super::orphans::{Suspect, watch_over};
use super::receivers::ReceiversError;
use super::requests::{DEADLINE, Requests};
use super::run_paths::{paths_listed, run_paths};
use super::{adoption, program, run_deprecations, service, slim, watching};
use crate::api::labels;
use crate::clock;
use crate::consumers::Consumers;
use crate::fleet::metrics::{FleetCollector, WatchMetrics, paths_of};
use crate::fleet::{Contact, Fleet, ServiceKey, Touched, WorkloadKey};
use crate::observability::leads::Leads;
use crate::observability::memory::Memory;
use crate::observability::metrics::MetricsError;
use crate::observability::{Gate, Health, Metrics, serve};
use crate::plan::companions::Allowed;
use crate::plan::deprecation::notify::News;
use crate::policy::Operator;

/// Passes over services at a time. kube's own default is without bound.
const SERVICE_CONCURRENCY: u16 = 16;
/// Services change in bursts when a path does: one look at all of them is enough. Short, since the first write of whoever
/// begins to lead waits for it.
const PATH_DEBOUNCE: Duration = Duration::from_millis(25);
/// Pause between two tries to reach the API server at the start.
const COMES_BACK: Duration = Duration::from_secs(2);
/// So long what is being written may take when the operator is asked to stop.
const LAST_WRITES: Duration = Duration::from_secs(2);
/// So long the fleet takes what is labelled for claimed, until the services say which workloads they name. Where their kind
/// is not served it counts without them.
const SERVICES_FIRST: Duration = Duration::from_secs(5);

/// Why the operator could not start or stopped.
#[derive(thiserror::Error, Debug)]
pub enum RunError {
    /// No configuration to reach a cluster with.
    #[error("no cluster: set KUBECONFIG, or run in a pod")]
    NoCluster(#[source] kube::config::InferConfigError),
    /// Another replica leads, or may soon.
    #[error("this replica leads no more, and starts anew")]
    Lost(#[from] Lost),
    /// What is configured makes no client.
    #[error("no client can be made for the cluster")]
    NoClient(#[source] kube::Error),
    /// Who gets digests cannot be read.
    #[error(transparent)]
    Receivers(#[from] ReceiversError),
    /// A metric could not be registered.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// How to run.
#[derive(Debug)]
pub struct Options {
    /// Address of `/livez`, `/readyz` and `/metrics`.
    pub listen: String,
    /// Namespace of the operator.
    pub namespace: String,
    /// Kinds of objects that paths may ask for beside workloads.
    pub allowed: Allowed,
    /// File with who gets digests.
    pub receivers: Option<PathBuf>,
    /// Name in the Lease, that no other process has; nothing where this is the only replica.
    pub identity: Option<String>,
    /// Of the pod that it runs in, which Events about it name.
    pub pod_uid: Option<String>,
}

/// Runs the operator until `stop` resolves.
pub async fn run(options: Options, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), RunError> {
    let Options { listen, namespace, allowed, receivers, identity, pod_uid } = options;
    let receivers = super::receivers::read(receivers.as_deref())?;
    let (client, watching) = clients(identity.as_deref()).await?;
    let (metrics, health, stopping) = (Metrics::new()?, Health::default(), CancellationToken::new());
    let mut election = identity
        .map(|me| Elector::new(watching.clone(), &namespace, me, pod_uid, health.gate("leadership"), &metrics))
        .transpose()?;
    let leadership = election.as_ref().map_or_else(Leadership::alone, Elector::leadership);
    metrics.register(Memory::new()?)?;
    let gates = ["platformservices", "goldenpaths", "services", "deprecations"]
        .map(|watch| health.gate(format!("watch/{watch}")));
    for gate in &gates {
        gate.set_not_ready("not listed yet");
    }
    let definitions = health.gate("definitions");
    metrics.register(leads(&leadership, &definitions)?)?;
    let contacts = Fleet::contacts(&health);
    let address = || listen.clone();
    let listener =
        TcpListener::bind(&listen).await.map_err(|source| RunError::Listen { address: address(), source })?;
    let server = tokio::spawn(serve(listener, health.clone(), metrics.clone(), stopping.clone().cancelled_owned()));
    let mut stop = std::pin::pin!(stop);
    let api_server = ApiServer::new(client.clone(), &metrics)?;
    let found = meet(&api_server, &client, &definitions);
    let username = tokio::select! { () = &mut stop => return Ok(()), username = found => username };
    let operator = Operator { username, namespace };
    tracing::info!(listen, user = operator.username, namespace = operator.namespace, "goldenpath is starting");
    let (touched_out, touched) = mpsc::unbounded();
    let watch_metrics = WatchMetrics::new(&metrics)?;
    let fleet = Fleet::new(&operator.namespace, touched_out, watch_metrics.clone());
    let consumers = Consumers::new(fleet.clone(), &operator.namespace, watch_metrics);
    let (told, to_tell) = mpsc::unbounded();
    let notices = Notices::new(receivers, told, &metrics)?;
    let watching = Watching { client: watching, fleet, consumers, contacts, touched, allowed, notices, to_tell };
    let requests = Requests::new(client, metrics.clone(), leadership.clone());
    let mut controllers = std::pin::pin!(controllers(requests, operator, metrics, watching, gates, stopping.clone()));
    let lost = tokio::select! {
        () = &mut stop => { tracing::info!("asked to stop"); None },
        () = &mut controllers => { tracing::error!("the controllers ended by themselves"); None },
        lost = elected(&mut election) => Some(lost),
        age = super::passes::stuck() => Some(Lost::Stuck(age)),
        () = async { tokio::join!(api_server.follow_clock(), health.beat()); } => None, // never
    };
    if lost.is_some() {
        // the next one may begin: what is on its way is given up, and nobody goes on
        leadership.end(Duration::ZERO).await;
    } else {
        // what is being written goes on to its end, and nothing more begins
        let left = async {
            if leadership.end(LAST_WRITES).await
                && let Some(elector) = election
            {
                elector.release().await;
            }
        };
        tokio::select! { () = left => {}, () = &mut controllers => {} }
    }
    stopping.cancel();
    let _ = server.await; // a failure of the server at this point changes nothing
    lost.map_or(Ok(()), |lost| Err(lost.into()))
}

/// One for requests, and one for watches.
async fn clients(identity: Option<&str>) -> Result<(Client, Client), RunError> {
    let mut config = kube::Config::infer().await.map_err(RunError::NoCluster)?;
    config.headers.extend(user_agent(identity).map(|agent| (http::header::USER_AGENT, agent)));
    let client = super::client::writing(config.clone()).map_err(RunError::NoClient)?;
    // kube tries a request up to 15 times by itself, in silence; a watch must know that it is blind
    config.default_retry = false;
    Ok((client, Client::try_from(config).map_err(RunError::NoClient)?))
}

/// Who writes, in the API server's audit log.
fn user_agent(identity: Option<&str>) -> Option<http::HeaderValue> {
    let replica = identity.map_or_else(String::new, |identity| format!(" ({identity})"));
    http::HeaderValue::from_str(&format!("goldenpath/{}{replica}", env!("CARGO_PKG_VERSION"))).ok()
}

/// Whether this replica leads, and does anything: one that waits for definitions leads nobody.
fn leads(leadership: &Leadership, definitions: &Gate) -> Result<Leads, MetricsError> {
    let (leadership, definitions) = (leadership.clone(), definitions.clone());
    Leads::new(move || definitions.is_ready() && leadership.has_begun())
}

/// Resolves when this replica leads no more; never where it is the only one.
async fn elected(election: &mut Option<Elector>) -> Lost {
    match election {
        Some(elector) => elector.run().await,
        None => std::future::pending().await,
    }
}

/// Waits for an API server that is new enough and has our definitions; the answer is who we are there.
async fn meet(api_server: &ApiServer, client: &Client, gate: &Gate) -> String {
    wait_for_version(api_server, gate).await;
    let username = who_am_i(client).await;
    wait_for_definitions(client, gate).await;
    username
}

/// The name under which the API server knows us, compiled into policies. A server that is away is waited for: a process that
/// ended would be started again with pauses of minutes.
async fn who_am_i(client: &Client) -> String {
    let api: Api<SelfSubjectReview> = Api::all(client.clone());
    let params = PostParams::default();
    let review = SelfSubjectReview::default();
    loop {
        match tokio::time::timeout(DEADLINE, api.create(&params, &review)).await {
            Ok(Ok(answer)) => {
                return answer.status.and_then(|s| s.user_info).and_then(|u| u.username).unwrap_or_default();
            }
            Ok(Err(error)) => tracing::warn!(%error, "the API server does not say who we are"),
            Err(_) => tracing::warn!("the API server does not answer"),
        }
        tokio::time::sleep(COMES_BACK).await;
    }
}

/// What is watched, and with what.
struct Watching {
    client: Client,
    fleet: Fleet,
    consumers: Consumers,
    contacts: Vec<Contact>,
    touched: UnboundedReceiver<Touched>,
    allowed: Allowed,
    notices: Notices,
    to_tell: UnboundedReceiver<News>,
}

async fn controllers(
    requests: Requests,
    operator: Operator,
    metrics: Metrics,
    watching: Watching,
    gates: [Gate; 4],
    stopping: CancellationToken,
) {
    let Watching { client: watching, fleet, consumers, contacts, touched, allowed, notices, to_tell } = watching;
    let (client, leadership) = (requests.client(), requests.leadership());
    let config = watcher::Config::default().timeout(25);
    let services = controller_of(Api::<GuardedService>::all(watching.clone()), config.clone(), slim::service);
    let paths = controller_of(Api::<GuardedPath>::all(watching.clone()), config.clone(), slim::path);
    let (path_changed, path_changes) = mpsc::unbounded();
    let (orphans, suspects) = mpsc::unbounded();
    let (wake, woken) = mpsc::unbounded();
    let (wake_path, woken_paths) = mpsc::unbounded();
    let (deprecations, watched) = run_deprecations::watch(watching.clone(), config, consumers);
    let reporter = Reporter { controller: labels::REPORTER.to_owned(), instance: None };
    let context = Arc::new(Context {
        requests,
        leadership,
        operator,
        metrics,
        services: services.store(),
        paths: paths.store(),
        listed: super::context::Listed::default(),
        recorder: Recorder::new(client, reporter),
        roads: Roads::default(),
        fleet,
        contacts: contacts.clone(),
        children: super::children::Children::default(),
        put_backs: super::put_backs::PutBacks::default(),
        turns: super::restarts::Turns::default(),
        fallback: super::fallback::Fallback::default(),
        allowed,
        kinds_wanted: tokio::sync::Notify::new(),
        claims_seeded: std::sync::Once::new(),
        claims_of_the_term: std::sync::Once::new(),
        caught_up: super::context::CaughtUp::default(),
        written: Written::default(),
        deprecations,
        notices,
        service_backoff: super::backoff::Backoff::default(),
        path_backoff: super::backoff::Backoff::default(),
        progress: super::progress::Progress::default(),
        path_changed,
        wake,
        wake_path,
        orphans,
    });
    show_gauges(&contacts, &context);
    let [services_gate, paths_gate, made_gate, deprecations_gate] = gates;
    tokio::join!(
        run_services(services, context.clone(), select(services_of(touched, context.clone()), woken), path_changes),
        run_paths(paths, context.clone(), woken_paths),
        watched.run(watching.clone(), deprecations_gate, context.clone()),
        deliver(to_tell, &context),
        super::kinds::watch(watching.clone(), made_gate, context.clone()),
        watch_fleet(watching, &contacts, &context),
        adoption::write_adoption(&contacts, &context),
        watch_over(suspects, context.clone()),
        services_listed(services_gate, &context),
        paths_listed(paths_gate, &context),
        stopping.cancelled(),
    );
}

async fn services_listed(gate: Gate, context: &Context) {
    if context.services.wait_until_ready().await.is_ok() {
        let _ = context.listed.services.set(()); // nobody else sets it
        gate.set_ready();
    }
}

/// Puts the gauges of the fleet and of the program on `/metrics`.
fn show_gauges(contacts: &[Contact], context: &Arc<Context>) {
    let (paths, services, leadership) = (context.paths.clone(), context.services.clone(), context.leadership.clone());
    let collector = FleetCollector::new(context.fleet.clone(), contacts.to_vec(), move || {
        leadership.has_begun().then(|| paths_of(&paths, &services, clock::now()))
    });
    if let Err(error) = context.metrics.register(collector) {
        tracing::error!(%error, "the fleet's metrics are not shown");
    }
    program::show(context);
}

async fn watch_fleet(client: Client, contacts: &[Contact], context: &Context) {
    let claims = async {
        match tokio::time::timeout(SERVICES_FIRST, context.listed.services.wait()).await {
            Ok(()) => context.seed_claims(),
            Err(_) => context.fleet.table().know_claims(),
        }
    };
    tokio::join!(claims, context.fleet.watch(client, contacts));
}

/// As `Controller::new`, which does not hear of deletions: a deleted service would be noticed only with the next change of
/// its workload, and a deleted path never.
pub(super) fn controller_of<K>(api: Api<K>, config: watcher::Config, slim: fn(&mut K)) -> Controller<K>
where
    K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let objects = watching::events(api, config).modify(slim).inspect_err(|error| {
        tracing::warn!(resource = %K::plural(&()), %error, "a watch failed");
    });
    Controller::for_stream(objects.reflect(writer).touched_objects(), store).trigger_backoff(watching::pauses())
}

/// The services of everything that was touched; a label that names no service is a suspect.
fn services_of(
    touched: UnboundedReceiver<Touched>,
    context: Arc<Context>,
) -> impl Stream<Item = ObjectRef<GuardedService>> {
    touched
        .then(move |event| {
            let context = context.clone();
            async move {
                // before the first list every service would look deleted
                context.listed.services.wait().await;
                let services = match event {
                    Touched::Namespace(namespace) => {
                        context.deprecations.consumers.namespace_changed();
                        context.fleet.table().services_in(&namespace)
                    }
                    Touched::Workload { workload, service, made } => {
                        services_of_workload(workload, service, made, &context)
                    }
                };
                services.into_iter().map(|(namespace, name)| ObjectRef::new(&name).within(&namespace))
            }
        })
        .flat_map(futures::stream::iter)
}

fn services_of_workload(
    workload: WorkloadKey,
    labelled: Option<String>,
    made: bool,
    context: &Context,
) -> Vec<ServiceKey> {
    let namespace = workload.namespace.clone();
    let claiming = context.fleet.table().claiming(&workload);
    if let Some(service) = labelled {
        let reference = ObjectRef::new(&service).within(&namespace);
        // one that was made goes with its entry, which may have gone while no operator ran
        if !claiming.contains(&service) && (made || context.services.get(&reference).is_none()) {
            // the receiver lives as long as the process
            let _ = context.orphans.unbounded_send(Suspect { workload, service });
        }
    }
    claiming.into_iter().map(|name| (namespace.clone(), name)).collect()
}

async fn run_services(
    services: Controller<GuardedService>,
    context: Arc<Context>,
    touched: impl Stream<Item = ObjectRef<GuardedService>> + Send + 'static,
    path_changes: UnboundedReceiver<()>,
) {
    services
        .with_config(controller::Config::default().concurrency(SERVICE_CONCURRENCY))
        .reconcile_on(touched)
        .reconcile_all_on(settled(path_changes, PATH_DEBOUNCE))
        .run(service::reconcile, |object, _, context| service::failed(&object, &context), context.clone())
        .for_each(|result| {
            if let Err(controller::Error::ObjectNotFound(gone)) = result {
                let (namespace, name) = (gone.namespace.unwrap_or_default(), gone.name);
                context.claim(&namespace, &name, &[]);
                context.deprecations.consumers.count_again();
                let _ = context.orphans.unbounded_send(Suspect::all_of(&namespace, &name));
            }
            futures::future::ready(())
        })
        .await;
}

/// What was woken, each once in a burst, after a pause in which what woke it comes back through the watches.
pub(super) fn settled<T: Eq + Hash>(woken: UnboundedReceiver<T>, pause: Duration) -> impl Stream<Item = T> {
    let bursts = woken.ready_chunks(1024).then(move |burst| async move {
        tokio::time::sleep(pause).await;
        burst.into_iter().collect::<HashSet<_>>()
    });
    bursts.flat_map(futures::stream::iter)
}

/// Resolves on SIGTERM or Ctrl-C.
pub async fn signalled() {
    let interrupted = tokio::signal::ctrl_c().map(|_| ());
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut terminated) => tokio::select! { () = interrupted => {}, _ = terminated.recv() => {} },
        Err(_) => interrupted.await,
    }
}
