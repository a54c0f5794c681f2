//! Where the programs lie that the harness runs: built ones in the cache, our own beside the running executable.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

/// Root of the repository, known when the harness was compiled.
#[must_use]
pub fn repository() -> &'static Path {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.parent().unwrap_or(crate_folder)
}

/// Programs that `e2e/build-control-plane.sh` has built.
#[derive(Clone, Debug)]
pub struct Programs {
    /// etcd server
    pub etcd: PathBuf,
    /// Folder of kube-apiserver, kube-controller-manager, kube-scheduler and kubectl
    pub kubernetes: PathBuf,
    /// Simulator of nodes and pods
    pub kwok: PathBuf,
    /// Life cycle rules of simulated nodes and pods; kwok exits without any
    pub kwok_stages: PathBuf,
    /// helm client
    pub helm: PathBuf,
    /// kubectl of the pinned Kubernetes version, also when the servers run another one
    pub kubectl: PathBuf,
}

impl Programs {
    /// Finds the programs in `$GOLDENPATH_CACHE`, `$XDG_CACHE_HOME/goldenpath` or `$HOME/.cache/goldenpath`.
    ///
    /// Versions are those of `tools/*/go.mod`, so that the build script and the tests cannot disagree; only
    /// that of the servers can be chosen.
    ///
    /// # Errors
    /// Names the first program that is missing and the command that builds it.
    pub fn find(kubernetes_version: Option<&str>) -> Result<Self> {
        let cache = cache()?;
        let at = |tool: &str, version: &str| cache.join(format!("{tool}-{version}"));
        let pinned = version("kubernetes", "k8s.io/kubernetes")?;
        let kwok_version = version("kwok", "sigs.k8s.io/kwok")?;
        let programs = Self {
            etcd: at("etcd", &version("etcd", "go.etcd.io/etcd/server/v3")?).join("etcd"),
            kubernetes: at("kubernetes", kubernetes_version.unwrap_or(&pinned)),
            kwok: at("kwok", &kwok_version).join("kwok"),
            kwok_stages: cache.join(format!("kwok-stages-{kwok_version}.yaml")),
            helm: at("helm", &version("helm", "helm.sh/helm/v4")?).join("helm"),
            kubectl: at("kubernetes", &pinned).join("kubectl"),
        };
        let server = programs.kubernetes.join("kube-apiserver");
        for path in [&programs.etcd, &server, &programs.kwok, &programs.kwok_stages, &programs.helm, &programs.kubectl]
        {
            // other servers than the pinned ones are built when they are named
            let also = if *path == server && kubernetes_version.is_some_and(|version| version != pinned) {
                " kubernetes-1.35"
            } else {
                ""
            };
            ensure!(
                path.exists(),
                "{} is missing: run `bash e2e/build-control-plane.sh{also}` (about 15 minutes when nothing is cached)",
                path.display()
            );
        }
        Ok(programs)
    }
}

/// One of the workspace's own programs, from the target folder that the running executable lies in.
///
/// # Errors
/// When it is not built; the text says with which command to build it.
pub fn sibling(program: &str) -> Result<PathBuf> {
    let running = env::current_exe().context("find the running executable")?;
    // Test executables lie in target/<profile>/deps, programs in target/<profile>.
    let folder = running.ancestors().skip(1).find(|folder| !folder.ends_with("deps"));
    let path = folder.context("the running executable lies in no folder")?.join(program);
    ensure!(path.exists(), "{} is missing: run `cargo build --workspace` in the profile of the tests", path.display());
    Ok(path)
}

/// What users have who upgrade: the operator and the chart of an older commit, by `e2e/build-previous.sh`.
#[derive(Clone, Debug)]
pub struct Previous {
    /// The commit, as `goldenpath_build_info` of that operator says it
    pub commit: String,
    /// `goldenpath`
    pub program: PathBuf,
    /// Folder of its chart
    pub chart: PathBuf,
}

impl Previous {
    /// Finds what `e2e/previous-release.txt` names, where [`Programs::find`] looks.
    ///
    /// # Errors
    /// When it is not built; the text says with which command to build it.
    pub fn find() -> Result<Self> {
        let path = repository().join("e2e/previous-release.txt");
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let commit = text.lines().find(|line| !line.starts_with('#')).map(str::trim).unwrap_or_default().to_owned();
        let folder = cache()?.join(format!("goldenpath-{commit}"));
        let (program, chart) = (folder.join("goldenpath"), folder.join("chart"));
        ensure!(program.exists(), "{} is missing: run e2e/build-previous.sh (about 2 minutes)", program.display());
        Ok(Self { commit, program, chart })
    }
}

/// Pinned versions, for what is kept per version and for reports.
#[derive(Clone, Debug)]
pub struct Versions {
    /// `v1.37.1`
    pub kubernetes: String,
    /// `v3.7.3`
    pub etcd: String,
    /// `v2.18.0`
    pub kube_state_metrics: String,
}

/// The versions of `tools/*/go.mod`.
///
/// # Errors
/// When such a file is missing or pins nothing.
pub fn versions() -> Result<Versions> {
    Ok(Versions {
        kubernetes: version("kubernetes", "k8s.io/kubernetes")?,
        etcd: version("etcd", "go.etcd.io/etcd/server/v3")?,
        kube_state_metrics: version("kube-state-metrics", "k8s.io/kube-state-metrics/v2")?,
    })
}

/// The version of the servers in tools/kubernetes-1.35, the last ones without MutatingAdmissionPolicy `v1`.
///
/// # Errors
/// When that folder pins none.
pub fn older_kubernetes() -> Result<String> {
    version("kubernetes-1.35", "k8s.io/kubernetes")
}

/// kube-state-metrics, which only benchmarks run beside the operator.
///
/// # Errors
/// When it is not built.
pub fn kube_state_metrics() -> Result<PathBuf> {
    let folder = format!("kube-state-metrics-{}", versions()?.kube_state_metrics);
    let path = cache()?.join(folder).join("kube-state-metrics");
    ensure!(path.exists(), "{} is missing: run `bash e2e/build-control-plane.sh kube-state-metrics`", path.display());
    Ok(path)
}

/// Prometheus and its tool.
#[derive(Clone, Debug)]
pub struct Prometheus {
    /// `prometheus`
    pub server: PathBuf,
    /// `promtool`
    pub tool: PathBuf,
}

impl Prometheus {
    /// The ones that `e2e/build-control-plane.sh prometheus` has built, or else those on the PATH.
    ///
    /// # Errors
    /// When there are none; the text says how to get them.
    pub fn find() -> Result<Self> {
        let built = cache()?.join(format!("prometheus-{}", version("prometheus", "github.com/prometheus/prometheus")?));
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = [built].into_iter().chain(env::split_paths(&path));
        let both = folders.map(|folder| Self { server: folder.join("prometheus"), tool: folder.join("promtool") });
        let mut both = both.filter(|found| found.server.is_file() && found.tool.is_file());
        both.next().context(
            "there is no prometheus with promtool: install Debian's package prometheus, or run \
             `bash e2e/build-control-plane.sh prometheus` (about 4 minutes when nothing is cached)",
        )
    }
}

/// Folder of everything that is built or made once per version.
pub(crate) fn cache() -> Result<PathBuf> {
    let from = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    from("GOLDENPATH_CACHE")
        .or_else(|| from("XDG_CACHE_HOME").map(|folder| folder.join("goldenpath")))
        .or_else(|| from("HOME").map(|folder| folder.join(".cache/goldenpath")))
        .context("none of GOLDENPATH_CACHE, XDG_CACHE_HOME and HOME is set: no folder to find the control plane in")
}

fn version(tool: &str, module: &str) -> Result<String> {
    let path = repository().join("tools").join(tool).join("go.mod");
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    match pinned(&text, module) {
        Some(version) => Ok(version.to_owned()),
        None => bail!("{} requires no {module}", path.display()),
    }
}

/// The version in `require module v1.2.3`, alone or within a `require (...)` block.
fn pinned<'a>(go_mod: &'a str, module: &str) -> Option<&'a str> {
    go_mod.lines().find_map(|line| {
        let line = line.trim();
        let mut words = line.strip_prefix("require ").unwrap_or(line).split_whitespace();
        (words.next() == Some(module)).then(|| words.next()).flatten().filter(|word| word.starts_with('v'))
    })
}

#[cfg(test)]
mod tests {
    use super::pinned;

    #[test]
    fn version_is_read_from_both_forms_of_require_and_not_from_tool_or_replace() {
        let go_mod = "tool a.b/c/cmd/c\n\nreplace a.b/c => a.b/d v9.9.9\n\nrequire (\n\ta.b/c v1.2.3 // indirect\n\ta.b/c/sub v4.5.6\n)\nrequire x.y/z v0.1.0\n";
        assert_eq!(pinned(go_mod, "a.b/c"), Some("v1.2.3"));
        assert_eq!(pinned(go_mod, "x.y/z"), Some("v0.1.0"));
        assert_eq!(pinned(go_mod, "a.b"), None);
    }
}
