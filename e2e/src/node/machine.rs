//! The machine as it was before, and the way back to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::system::run;
use super::{BRIDGE, CGROUP, CUT};
use crate::supervisor::send;
use crate::wait;

/// Settings that kubelets and network plugins change, by their beginnings.
const SETTINGS: [&str; 6] =
    ["kernel.panic", "vm.overcommit_", "net.ipv4.ip_forward ", "net.ipv4.conf.", "net.ipv6.conf.", "net.bridge."];
/// Where programs of a node leave files whatever folder they are given.
const FOLDERS: [&str; 8] = [
    "/run/netns",
    "/run/containerd",
    "/run/goldenpath-node",
    "/var/lib/cni",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/var/log/pods",
    "/etc/cni",
];

/// What a machine has that nodes could change: lines by kind.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Snapshot(BTreeMap<String, BTreeSet<String>>);

impl Snapshot {
    /// Takes one. Of processes only those count that name `folder`, since others come and go.
    ///
    /// # Errors
    /// When something cannot be read.
    pub async fn take(folder: &Path) -> Result<Self> {
        let lines = |text: String| text.lines().map(|line| line.trim_end().to_owned()).collect::<BTreeSet<_>>();
        let words = |text: String, at: [usize; 2]| -> BTreeSet<String> {
            let line = |line: &str| {
                let words: Vec<&str> = line.split_whitespace().collect();
                at.map(|at| words.get(at).copied().unwrap_or_default()).join(" ")
            };
            text.lines().map(line).collect()
        };
        let mounts = fs::read_to_string("/proc/self/mountinfo").context("read the mounts")?;
        let settings = run("sysctl", ["-a", "--ignore"]).await?;
        let settings = settings.lines().filter(|line| SETTINGS.iter().any(|name| line.starts_with(name)));
        let mut cgroups = BTreeSet::new();
        tree(Path::new("/sys/fs/cgroup"), &mut cgroups, true);
        // those of sessions and of other programs come and go
        cgroups.retain(|path| path.contains(CGROUP));
        let mut files = BTreeSet::new();
        for folder in FOLDERS {
            tree(Path::new(folder), &mut files, false);
        }
        Ok(Self(BTreeMap::from([
            ("mount".to_owned(), mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(str::to_owned).collect()),
            ("address".to_owned(), words(run("ip", ["-o", "addr"]).await?, [1, 3])),
            ("link".to_owned(), words(run("ip", ["-o", "link"]).await?, [1, 1])),
            ("route".to_owned(), lines(run("ip", ["-4", "route", "show", "table", "all"]).await?)),
            ("nft table".to_owned(), lines(run("nft", ["list", "tables"]).await?)),
            ("setting".to_owned(), settings.map(str::to_owned).collect()),
            ("cgroup".to_owned(), cgroups),
            ("file".to_owned(), files),
            ("process".to_owned(), processes(folder)?.into_values().collect()),
        ])))
    }

    /// How many things there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    /// What another one has of a kind, and this has not.
    fn new_in<'a>(&'a self, now: &'a Self, kind: &str) -> Vec<&'a String> {
        now.0[kind].difference(&self.0[kind]).collect()
    }

    /// Whether a later one is equal.
    ///
    /// # Errors
    /// When it is not: with everything that came or went.
    pub fn equals(&self, now: &Self) -> Result<()> {
        let of = |sign: &str, from: &Self, to: &Self| -> Vec<String> {
            let kinds = self.0.keys();
            kinds
                .flat_map(|kind| from.new_in(to, kind).into_iter().map(move |l| format!("{sign} {kind} {l}")))
                .collect()
        };
        let changes = [of("+", self, now), of("-", now, self)].concat();
        ensure!(changes.is_empty(), "the machine is not as it was before:\n{}", changes.join("\n"));
        Ok(())
    }
}

/// Everything below a folder.
fn tree(folder: &Path, into: &mut BTreeSet<String>, only_folders: bool) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder || !only_folders {
            into.insert(entry.path().to_string_lossy().into_owned());
        }
        if is_folder {
            tree(&entry.path(), into, only_folders);
        }
    }
}

/// Processes that are of a ring: they name its folder, as shims do, or are in one of its cgroups, as containers are.
fn processes(folder: &Path) -> Result<BTreeMap<u32, String>> {
    let folder = format!("{}/", folder.display()); // with its end: logs are kept beside it
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
        let read = |name: &str| {
            String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default()).into_owned()
        };
        let (command, cgroup) = (read("cmdline").replace('\0', " "), read("cgroup"));
        if pid != std::process::id() && (command.contains(&folder) || cgroup.contains(&format!("/{CGROUP}"))) {
            found.insert(pid, format!("{pid} {command}"));
        }
    }
    Ok(found)
}

/// Takes away all that a ring has left, once its own processes have ended: containers and their shims, mounts, network,
/// files, cgroups; and puts settings back.
///
/// # Errors
/// When something does not go.
pub async fn restore(before: &Snapshot, folder: &Path) -> Result<()> {
    wait::until("the processes of the nodes to end", Duration::from_secs(20), async || {
        let left = processes(folder)?;
        // one that has just ended by itself is what is wanted
        for pid in left.keys() {
            let _ = send(*pid, Signal::KILL);
        }
        ensure!(left.is_empty(), "{left:?}");
        Ok(Some(()))
    })
    .await?;
    let now = Snapshot::take(folder).await?;
    for table in before.new_in(&now, "nft table").into_iter().filter(|t| t.contains("kube-proxy") || t.contains(CUT)) {
        run("nft", ["delete"].into_iter().chain(table.split(' '))).await?;
    }
    let ours = |mount: &str| Path::new(mount).starts_with(folder) || mount.starts_with("/run/netns/cni-");
    for mount in before.new_in(&now, "mount").into_iter().rev().filter(|mount| ours(mount)) {
        run("umount", ["-l", mount]).await?;
    }
    if now.0["link"].contains(&format!("{BRIDGE}: {BRIDGE}:")) {
        run("ip", ["link", "del", BRIDGE]).await?;
    }
    for file in before.new_in(&now, "file").into_iter().rev() {
        // a folder that somebody else uses by now is not empty, and stays
        let _ = if Path::new(file).is_dir() { fs::remove_dir(file) } else { fs::remove_file(file) };
    }
    for cgroup in before.new_in(&now, "cgroup").into_iter().rev().filter(|c| c.contains(&format!("/{CGROUP}"))) {
        wait::until(&format!("{cgroup} to be empty"), Duration::from_secs(10), async || {
            Ok(Some(fs::remove_dir(cgroup)?))
        })
        .await?;
    }
    settings(&before.0["setting"]).await?;
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("delete {}", folder.display()))?;
    }
    Ok(())
}

/// Puts back what kubelets set for the whole machine and do not need: what it does after a panic, and how it gives memory.
///
/// # Errors
/// When one cannot be read or written.
pub async fn settings_of_kernel(before: &Snapshot) -> Result<()> {
    let kernel = |line: &&String| !line.starts_with("net.");
    settings(&before.0["setting"].iter().filter(kernel).cloned().collect()).await
}

/// Puts settings back. Forwarding of a machine sets that of each link, so it goes first.
async fn settings(before: &BTreeSet<String>) -> Result<()> {
    for first in [true, false] {
        let live: BTreeSet<String> = run("sysctl", ["-a", "--ignore"]).await?.lines().map(str::to_owned).collect();
        for line in before.difference(&live).filter(|l| !first || l.starts_with("net.ipv4.ip_forward ")) {
            let (name, value) = line.split_once(" = ").unwrap_or((line, ""));
            run("sysctl", ["-q", "-w", &format!("{}={value}", name.trim())]).await?;
        }
    }
    Ok(())
}
