//! A real node: containerd and a kubelet with cgroups of their own. Several stand on one machine, each with its address.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::servers::Program;
use super::system::run;
use super::{ADDRESS, BRIDGE, CGROUP, PAUSE, SUBNET, node_address, node_name};
use crate::programs::Programs;
use crate::wait;

/// One node.
pub struct Node {
    /// Its name
    pub name: String,
    /// The kubelet
    pub kubelet: Program,
    _containerd: Program,
    socket: PathBuf,
}

impl Node {
    /// Starts one, with images.
    ///
    /// # Errors
    /// When a part cannot be started, or an image not be imported.
    pub async fn start(index: usize, root: &Path, programs: &Programs, images: &[PathBuf]) -> Result<Self> {
        let (name, folder) = (node_name(index), root.join(node_name(index)));
        fs::create_dir_all(folder.join("logs"))?;
        let socket = folder.join("c.sock");
        fs::write(folder.join("containerd.toml"), containerd(&folder, root))?;
        let mut command = Command::new("containerd");
        command.arg("-c").arg(folder.join("containerd.toml"));
        let runtime = Program::start(&format!("containerd-{index}"), command, root)?;
        wait::until(&format!("containerd of {name}"), Duration::from_secs(20), async || {
            ensure!(fs::metadata(&socket)?.file_type().is_socket(), "no socket: {}", runtime.tail());
            ctr(&socket, &["version"]).await.map(Some)
        })
        .await?;
        for image in images {
            ctr(&socket, &["images", "import", &image.to_string_lossy()]).await?;
        }
        cgroups(index)?;
        let config = folder.join("kubelet.json");
        fs::write(&config, kubelet(index, root, &folder).to_string())?;
        let mut command = Command::new(programs.kubernetes.join("kubelet"));
        command
            .arg("--config")
            .arg(config)
            .arg("--kubeconfig")
            .arg(root.join(format!("{name}.kubeconfig")))
            .args(["--hostname-override", &name, "--node-ip", &node_address(index), "--node-labels", "kind=real"])
            .arg("--root-dir")
            .arg(folder.join("kubelet"))
            .arg("--cert-dir")
            .arg(folder.join("pki"));
        let kubelet = Program::start(&format!("kubelet-{index}"), command, root)?;
        Ok(Self { name, kubelet, _containerd: runtime, socket })
    }

    /// The process of a container, by its id as a pod's status has it.
    ///
    /// # Errors
    /// When it does not run here.
    pub async fn pid(&self, container: &str) -> Result<u32> {
        let id = container.trim_start_matches("containerd://");
        let text = ctr(&self.socket, &["tasks", "ls"]).await?;
        let line = text.lines().find(|line| line.starts_with(id)).with_context(|| format!("no {id} in {text}"))?;
        line.split_whitespace().nth(1).and_then(|pid| pid.parse().ok()).with_context(|| format!("parse {line}"))
    }
}

async fn ctr(socket: &Path, args: &[&str]) -> Result<String> {
    let socket = socket.to_string_lossy();
    run("ctr", ["-a", &*socket, "-n", "k8s.io", "--timeout", "30s"].iter().chain(args)).await
}

/// runc may lower no score of the kernel's OOM killer without `CAP_SYS_RESOURCE`, which not every root has.
fn containerd(folder: &Path, root: &Path) -> String {
    let (folder, root) = (folder.display(), root.display());
    format!(
        "version = 2\nroot = \"{folder}/root\"\nstate = \"{folder}/state\"\n\
         [grpc]\naddress = \"{folder}/c.sock\"\n\
         [plugins.\"io.containerd.internal.v1.opt\"]\npath = \"{folder}/opt\"\n\
         [plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"{PAUSE}\"\ndisable_apparmor = true\n\
         restrict_oom_score_adj = true\n\
         [plugins.\"io.containerd.grpc.v1.cri\".cni]\nbin_dir = \"/usr/lib/cni\"\nconf_dir = \"{root}/cni\"\n"
    )
}

/// Each kubelet takes away what it does not know below its root, so each has its own: in every hierarchy of cgroup v1, where
/// processors and memory nodes are not inherited, and in the one of v2.
fn cgroups(index: usize) -> Result<()> {
    let (base, name) = (Path::new("/sys/fs/cgroup"), format!("{CGROUP}-{index}"));
    if base.join("cgroup.controllers").exists() {
        // test-node.sh has seen to it that it gets what the kubelet asks for
        return fs::create_dir_all(base.join(name)).context("make a cgroup");
    }
    for hierarchy in fs::read_dir(base)?.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        fs::create_dir_all(hierarchy.path().join(&name)).with_context(|| format!("make {name} in {hierarchy:?}"))?;
    }
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let cpuset = base.join("cpuset");
        fs::write(cpuset.join(&name).join(file), fs::read(cpuset.join(file))?)
            .with_context(|| format!("fill {file}"))?;
    }
    Ok(())
}

fn kubelet(index: usize, root: &Path, folder: &Path) -> serde_json::Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": false,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{CGROUP}-{index}"),
        "containerRuntimeEndpoint": format!("unix://{}/c.sock", folder.display()),
        "address": node_address(index),
        "healthzPort": 0,
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": root.join("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "clusterDNS": ["10.96.0.10"], // there is none, and nobody here asks
        "clusterDomain": "cluster.local",
        "podLogsDir": folder.join("logs"),
        "volumePluginDir": folder.join("volume-plugins"), // else in /usr
        "failSwapOn": false,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "100Mi", "imagefs.available": "100Mi"},
        "makeIPTablesUtilChains": false,
        "resolvConf": "",
    })
}

/// Makes the network of all nodes: one bridge with their addresses and their pods.
///
/// # Errors
/// When the bridge cannot be made.
pub async fn network(root: &Path, nodes: usize) -> Result<()> {
    run("ip", ["link", "add", BRIDGE, "type", "bridge"]).await?;
    run("ip", ["link", "set", BRIDGE, "up"]).await?;
    run("ip", ["addr", "add", &format!("{ADDRESS}/24"), "dev", BRIDGE]).await?;
    for node in 1..nodes {
        run("ip", ["addr", "add", &format!("{}/32", node_address(node)), "dev", BRIDGE]).await?;
    }
    let range = json!({
        "subnet": format!("{SUBNET}.0/24"),
        "rangeStart": format!("{SUBNET}.10"),
        "rangeEnd": format!("{SUBNET}.250"),
        "gateway": ADDRESS,
    });
    let plugin = json!({
        "type": "bridge", "bridge": BRIDGE, "isGateway": true, "isDefaultGateway": true, "hairpinMode": true,
        "ipMasq": false,
        "ipam": {"type": "host-local", "dataDir": root.join("ipam"), "ranges": [[range]]},
    });
    let config = json!({"cniVersion": "1.0.0", "name": "goldenpath", "plugins": [plugin]});
    fs::create_dir_all(root.join("cni"))?;
    fs::write(root.join("cni/10-goldenpath.conflist"), config.to_string()).context("write the network's configuration")
}

/// kube-proxy of the machine: pods reach the API by the address of its Service.
///
/// # Errors
/// When it cannot be started.
pub fn proxy(root: &Path, programs: &Programs) -> Result<Program> {
    // one that begins with a brace is read by another parser, which knows no durations
    let config = format!(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: nftables\n\
         bindAddress: {ADDRESS}\nhostnameOverride: {}\nclusterCIDR: {SUBNET}.0/24\n\
         clientConnection: {{kubeconfig: {}/kube-proxy.kubeconfig}}\nhealthzBindAddress: {ADDRESS}:10256\n\
         metricsBindAddress: {ADDRESS}:10249\nnodePortAddresses: [{SUBNET}.0/24]\n\
         conntrack: {{maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}}\n",
        node_name(0),
        root.display()
    );
    let file = root.join("kube-proxy.yaml");
    fs::write(&file, config)?;
    let mut command = Command::new(programs.kubernetes.join("kube-proxy"));
    command.arg("--config").arg(file);
    Program::start("kube-proxy", command, root)
}
