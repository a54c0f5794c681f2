//! The command line.

mod check;
mod deadline;
pub mod generate;
mod install_paths;
pub mod markdown;
mod release;

use std::hash::BuildHasher;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

use crate::api::labels::DEFAULT_NAMESPACE;
use crate::controller::run::{Options, run, signalled};
use crate::observability::logs;
use crate::plan::companions::{Allowed, CompanionKind};

/// Brings consumer workloads onto paved-road defaults, without restarting or fighting anyone.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the operator against the cluster of KUBECONFIG, or of the pod that it runs in.
    Run {
        /// Address of /livez, /readyz and /metrics.
        #[arg(long, env = "GOLDENPATH_LISTEN", default_value = "0.0.0.0:8080")]
        listen: String,
        /// Namespace of the operator: revisions are kept and policies are proved there.
        #[arg(long, env = "POD_NAMESPACE", default_value = DEFAULT_NAMESPACE)]
        namespace: String,
        /// Further kinds of objects that paths may ask for beside workloads, <apiVersion>/<Kind>=<plural> each.
        #[arg(long = "companion-kind", env = "GOLDENPATH_COMPANION_KINDS", value_delimiter = ',')]
        companion_kinds: Vec<CompanionKind>,
        /// YAML file with who gets digests about deprecations: a list of {name, url, headers}.
        #[arg(long, env = "GOLDENPATH_RECEIVERS")]
        receivers: Option<PathBuf>,
        /// Write only while holding the Lease goldenpath in the namespace. Without it there may be one replica.
        #[arg(long, env = "GOLDENPATH_LEADER_ELECT", default_value_t = true, action = clap::ArgAction::Set)]
        leader_elect: bool,
        /// Name of this replica in the Lease; something random is added to it.
        #[arg(long, env = "POD_NAME", default_value = "goldenpath")]
        replica: String,
        /// Uid of the pod that it runs in: `kubectl describe pod` shows no Event without it.
        #[arg(long, env = "POD_UID")]
        pod_uid: Option<String>,
    },
    /// Bring the GoldenPaths of a folder: those that are missing, and newer ones where nobody has edited the old.
    ///
    /// The chart runs it as a Job. What somebody has edited, or made under the same name, is left alone.
    InstallPaths {
        /// Folder with one GoldenPath in each YAML file.
        #[arg(long)]
        from: PathBuf,
    },
    /// Take every policy, binding and label of Goldenpath off a cluster, before or after the chart goes.
    ///
    /// Workloads run on as they are: only metadata is changed, nothing restarts. Definitions, paths and services stay. It
    /// is refused while an operator runs.
    Release(release::Args),
    /// Say who leads and what the operator says of each path; fails where nobody leads, or a path has not been looked at.
    ///
    /// The chart runs it for `helm test`.
    Check {
        /// Namespace of the operator.
        #[arg(long, env = "POD_NAMESPACE", default_value = DEFAULT_NAMESPACE)]
        namespace: String,
    },
    /// Write the files that are derived from the code: for developers, in a checkout.
    #[command(hide = true)]
    Generate,
}

/// Runs the command line; the answer is the exit code.
#[must_use]
pub fn main() -> std::process::ExitCode {
    let failed = match Cli::parse().command {
        Command::Run { listen, namespace, companion_kinds, receivers, leader_elect, replica, pod_uid } => {
            let (allowed, identity) = (Allowed::new(companion_kinds), leader_elect.then(|| identity(&replica)));
            start(Options { listen, namespace, allowed, receivers, identity, pod_uid }).err()
        }
        Command::InstallPaths { from } => wait_for(install_paths::install(&from)).err(),
        Command::Release(args) => wait_for(release::release(args)).err(),
        Command::Check { namespace } => wait_for(check::check(&namespace)).err(),
        Command::Generate => generate::write(Path::new(".")).err(),
    };
    match failed {
        None => std::process::ExitCode::SUCCESS,
        Some(error) => {
            eprintln!("goldenpath: {}", crate::observability::outcome::chain(error.as_ref()));
            std::process::ExitCode::FAILURE
        }
    }
}

/// A name that no other process has, and none of before: who starts anew has forgotten that it led.
fn identity(replica: &str) -> String {
    format!("{replica}_{:016x}", std::hash::RandomState::new().hash_one(std::process::id()))
}

fn start(options: Options) -> Result<(), Box<dyn std::error::Error>> {
    logs::init()?;
    // two threads serve 16 passes at a time: they wait for the API server, not for the processor
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let ended = runtime.block_on(run(options, signalled()));
    // also after an error: a name that nobody resolves would be waited for
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    ended.map_err(Into::into)
}

/// Waits for a command that does one thing after the other.
fn wait_for<E: std::error::Error + 'static>(
    command: impl Future<Output = Result<(), E>>,
) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(command);
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    ended.map_err(Into::into)
}
