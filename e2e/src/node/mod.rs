//! The outermost ring of tests: the image, the chart and two replicas on two real nodes of this machine.
//!
//! It shows what simulated nodes cannot: the restricted pod, its probes, its memory, and deaths, cuts and restarts as they are.
//! `e2e/test-node.sh` runs it in namespaces of its own, with which everything ends that it has started.

mod change;
mod faults;
mod images;
mod kubelet;
mod outcome;
mod pods;
mod release;
mod servers;
mod story;
mod system;
mod writers;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, ensure};
use kube::Client;

use crate::control_plane::ControlPlane;
use crate::programs::Programs;
use crate::supervisor::Ready;
use kubelet::Node;
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
    /// Where everything is written, logs included; it is there, and empty
    #[arg(long)]
    pub folder: PathBuf,
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
struct Ring {
    control_plane: ControlPlane,
    client: Client,
    servers: Servers,
    nodes: Vec<Node>,
    _proxy: Program,
}

/// Runs the ring.
///
/// # Errors
/// When a part of it fails.
pub async fn run(options: &RingOptions) -> Result<()> {
    ensure!(std::os::unix::process::parent_id() == 1, "a ring needs namespaces of its own: run e2e/test-node.sh");
    let mut clock = Clock::new();
    let mut ring = start(&options.program, &options.folder, &mut clock).await?;
    if options.only_nodes {
        return Ok(());
    }
    story::play(&mut ring, options, &mut clock).await
}

async fn start(program: &Path, folder: &Path, clock: &mut Clock) -> Result<Ring> {
    let programs = Programs::find(None)?;
    let images = images::all(folder, program).await?;
    kubelet::network(folder, NODES).await?;
    let (servers, client) = servers::start(folder, &programs).await?;
    clock.done("the control plane is ready");
    let mut nodes = Vec::new();
    for index in 0..NODES {
        nodes.push(Node::start(index, folder, &programs, &images).await?);
    }
    let proxy = kubelet::proxy(folder, &programs)?;
    nodes_ready(&client, &nodes).await?;
    clock.done(&format!("{NODES} nodes are ready"));
    let ready = Ready {
        kubeconfig: folder.join("admin.kubeconfig"),
        folder: folder.to_owned(),
        audit_log: folder.join("audit.log"),
        server: servers::address(),
        pids: BTreeMap::new(),
    };
    Ok(Ring { control_plane: ControlPlane::of(ready, programs), client, servers, nodes, _proxy: proxy })
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
        println!("test-node: {all:6.1} s (+{step:5.1} s) {what}");
        self.step = Instant::now();
    }
}
