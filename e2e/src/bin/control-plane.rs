//! Runs a Kubernetes control plane with simulated nodes for as long as its stdin is open.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use goldenpath_e2e::{Options, supervisor};

/// Runs a Kubernetes control plane with simulated nodes until stdin closes (or SIGTERM, SIGINT)
///
/// Prints one JSON line when pods can run: kubeconfig, folder, auditLog, server, pids.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    mode: Option<Mode>,
}

#[derive(Subcommand)]
enum Mode {
    /// Runs one program instead, and kills it when stdin closes
    Guard {
        /// File for the program's output
        #[arg(long)]
        log: PathBuf,
        /// Program and its arguments
        #[arg(last = true, required = true)]
        program: Vec<OsString>,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Arguments { options, mode } = Arguments::parse();
    let outcome = match mode {
        None => supervisor::run(&options).await.map(|()| 0),
        Some(Mode::Guard { log, program }) => supervisor::guard(&log, &program).await,
    };
    // Not by returning the error: that would print a backtrace behind the log of the process that failed.
    outcome.map_or_else(
        |error| {
            eprintln!("control-plane: {error:#}");
            ExitCode::FAILURE
        },
        ExitCode::from,
    )
}
