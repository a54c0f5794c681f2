//! On what the figures were measured: without it they mean nothing.

use std::process::Command;

use crate::programs::{Versions, repository};

/// A line such as `Intel Xeon, 2 processors, 23 GiB, Linux 6.1`.
#[must_use]
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let (processors, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
    let model = field(&processors, "model name").unwrap_or("unknown processor");
    let count = processors.lines().filter(|line| line.starts_with("processor")).count();
    let kilobytes: f64 = field(&memory, "MemTotal").and_then(|t| t.strip_suffix(" kB")?.parse().ok()).unwrap_or(0.0);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{model}, {count} processors, {:.0} GiB, Linux {}", kilobytes / 1_048_576.0, kernel.trim())
}

fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim())
}

/// What was measured, and against what.
#[must_use]
pub fn versions(versions: &Versions) -> String {
    let commit = output("git", &["-C", &repository().to_string_lossy(), "describe", "--always", "--dirty"]);
    let rust = output("rustc", &["--version"]);
    format!(
        "goldenpath at commit {commit} (release build, {rust}), Kubernetes {}, etcd {} with fsync, kube-state-metrics {}",
        versions.kubernetes, versions.etcd, versions.kube_state_metrics
    )
}

fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.ok().filter(|text| !text.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}
