//! The outermost ring of tests: the image, the chart and two replicas on two real nodes of this machine.
//!
//! It shows what simulated nodes cannot: the restricted pod, its probes, its memory, and deaths, cuts and restarts as they are.
//! Afterwards the machine is as it was before, also when the ring was interrupted; what a ring leaves that was itself killed,
//! the next one takes away.

mod change;
mod faults;
mod images;
mod kubelet;
mod machine;
mod outcome;
mod pods;
mod release;
mod servers;
mod story;
mod system;
mod writers;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use futures::FutureExt as _;
use kube::Client;
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

use crate::control_plane::ControlPlane;
use crate::programs::Programs;
use crate::supervisor::Ready;
use kubelet::Node;
use machine::Snapshot;
use servers::{Program, Servers};

/// The bridge that nodes and pods are on.
const BRIDGE: &str = "goldenpath0";
const SUBNET: &str = "10.213.0";
/// Address of the API server and of the first node.
const ADDRESS: &str = "10.213.0.1";
const CGROUP: &str = "goldenpath-node";
/// Table of rules that cut a pod off.
const CUT: &str = "goldenpath-cut";
/// The operator's image: a name without a host would be looked for in a public registry.
const REPOSITORY: &str = "localhost/goldenpath";
const TAG: &str = "here";
const NODES: usize = 2;
/// The image that holds a pod's namespaces, and that every workload here runs.
const PAUSE: &str = "localhost/pause:1";

fn node_name(index: usize) -> String {
    format!("real-{index}")
}

fn node_address(index: usize) -> String {
    format!("{SUBNET}.{}", index + 1)
}

/// What is asked of a ring.
#[derive(clap::Args, Clone, Debug)]
pub struct RingOptions {
    /// The operator that is put into an image: one that is static as in `make image`, or any other, with its libraries
    #[arg(long)]
    pub program: PathBuf,
    /// Kill a leader every 20 s for so long, instead of three times as soon as the last death is overcome
    #[arg(long)]
    pub minutes: Option<u64>,
    /// Leave out what takes long: one death of a leader, the servers live on, and no memory is measured
    #[arg(long)]
    pub short: bool,
    /// Start the nodes, and take them away again
    #[arg(long)]
    pub only_nodes: bool,
}

/// Two nodes and their control plane.
struct Ring<'a> {
    control_plane: ControlPlane,
    client: Client,
    running: &'a mut Running,
}

/// What runs, outside of whatever may be interrupted.
#[derive(Default)]
struct Running {
    servers: Option<Servers>,
    proxy: Option<Program>,
    nodes: Vec<Node>,
}

/// Runs the ring.
///
/// # Errors
/// When a part of it fails, it was interrupted, or the machine is not as it was before.
pub async fn run(options: &RingOptions) -> Result<()> {
    let folder = std::env::temp_dir().join("goldenpath-node");
    let lock = fs::File::create(std::env::temp_dir().join("goldenpath-node.lock")).context("create the lock")?;
    lock.try_lock().context("another ring runs on this machine")?;
    let mut clock = Clock::new();
    if let Ok(left) = fs::read(folder.join("before.json")) {
        machine::restore(&serde_json::from_slice(&left)?, &folder).await.context("clear what a killed ring left")?;
        clock.done("cleared what a killed ring left");
    }
    let before = Snapshot::take(&folder).await?;
    fs::create_dir_all(&folder)?;
    fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    fs::write(folder.join("before.json"), serde_json::to_vec(&before)?)?;

    let mut running = Running::default();
    let outcome = tokio::select! {
        // a panic, too, leaves the machine as it was; it has said on stderr where it was
        outcome = AssertUnwindSafe(ring(&mut running, options, &folder, &before, &mut clock)).catch_unwind() => {
            outcome.unwrap_or_else(|_| Err(anyhow::anyhow!("the ring panicked")))
        }
        signal = interrupted() => Err(anyhow::anyhow!("interrupted by {:?}", signal?)),
    };
    if let Err(error) = &outcome {
        // what goes wrong afterwards must not hide it
        eprintln!("test-node: FAILED: {error:#}");
        keep_logs(&folder);
    }
    running.stop().await;
    machine::restore(&before, &folder).await?;
    let after = Snapshot::take(&folder).await?;
    before.equals(&after)?;
    clock.done(&format!(
        "the machine is as it was before, by {} mounts, addresses, settings, cgroups and files",
        after.count()
    ));
    outcome.map_err(|_| anyhow::anyhow!("the reason stands above"))
}

/// The first signal to end.
async fn interrupted() -> Result<Signal> {
    let listen = |kind| signal(kind).context("listen to signals");
    let (mut interrupt, mut terminate, mut hang_up) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?);
    Ok(tokio::select! {
        _ = interrupt.recv() => Signal::INT,
        _ = terminate.recv() => Signal::TERM,
        _ = hang_up.recv() => Signal::HUP,
    })
}

async fn ring(
    running: &mut Running,
    options: &RingOptions,
    folder: &Path,
    before: &Snapshot,
    clock: &mut Clock,
) -> Result<()> {
    let programs = Programs::find(None)?;
    let images = images::all(folder, &options.program).await?;
    kubelet::network(folder, NODES).await?;
    let (started, client) = servers::start(folder, &programs).await?;
    running.servers = Some(started);
    clock.done("the control plane is ready");
    for index in 0..NODES {
        running.nodes.push(Node::start(index, folder, &programs, &images).await?);
    }
    running.proxy = Some(kubelet::proxy(folder, &programs)?);
    nodes_ready(&client, &running.nodes).await?;
    machine::settings_of_kernel(before).await?;
    clock.done(&format!("{NODES} nodes are ready"));
    if options.only_nodes {
        return Ok(());
    }
    let ready = Ready {
        kubeconfig: folder.join("admin.kubeconfig"),
        folder: folder.to_owned(),
        audit_log: folder.join("audit.log"),
        server: servers::address(),
        pids: BTreeMap::new(),
    };
    let control_plane = ControlPlane::of(ready, programs);
    story::play(&mut Ring { control_plane, client, running }, options, clock).await
}

/// Waits until the kubelets say that pods can run.
async fn nodes_ready(client: &Client, nodes: &[Node]) -> Result<()> {
    let count = u32::try_from(nodes.len())?;
    let logs = |error: anyhow::Error| {
        let tails = nodes.iter().map(|node| format!("{}:\n{}\n", node.name, node.kubelet.tail()));
        error.context(tails.collect::<String>())
    };
    crate::supervisor::nodes::usable(client, count).await.map_err(logs)
}

impl Running {
    /// Ends everything; what does not end is killed afterwards with all that a ring has started.
    async fn stop(mut self) {
        let say = |outcome: Result<()>| {
            if let Err(error) = outcome {
                eprintln!("test-node: while it ends: {error:#}");
            }
        };
        if let Some(mut proxy) = self.proxy.take() {
            say(proxy.stop().await);
        }
        for mut node in self.nodes {
            say(node.stop().await);
        }
        drop(self.servers);
    }
}

/// The logs of programs and pods, for whoever looks for the reason.
fn keep_logs(folder: &Path) {
    let to = std::env::temp_dir().join("goldenpath-node-logs");
    let _ = fs::remove_dir_all(&to);
    let _ = fs::create_dir_all(&to);
    keep(folder, folder, &to);
    eprintln!("test-node: the logs of programs and pods are kept in {}", to.display());
}

fn keep(below: &Path, folder: &Path, to: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, kind) = (entry.path(), entry.file_type());
        if kind.as_ref().is_ok_and(fs::FileType::is_dir)
            && !matches!(entry.file_name().to_str(), Some("root" | "state"))
        {
            keep(below, &path, to);
        } else if kind.is_ok_and(|kind| kind.is_file()) && path.extension().is_some_and(|extension| extension == "log")
        {
            let name = path.strip_prefix(below).unwrap_or(&path).to_string_lossy().replace('/', "-");
            let _ = fs::copy(&path, to.join(name));
        }
    }
}

/// Says how long each step took.
struct Clock {
    started: Instant,
    step: Instant,
}

impl Clock {
    fn new() -> Self {
        Self { started: Instant::now(), step: Instant::now() }
    }

    fn done(&mut self, what: &str) {
        let (step, all) = (self.step.elapsed().as_secs_f64(), self.started.elapsed().as_secs_f64());
        // whoever reads may have gone, which is no reason to end in the middle
        let _ = writeln!(std::io::stdout(), "test-node: {all:6.1} s (+{step:5.1} s) {what}");
        self.step = Instant::now();
    }
}
