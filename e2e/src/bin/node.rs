//! `make test-node`: the image and the chart on two real nodes.

use std::process::ExitCode;

use clap::Parser;
use goldenpath_e2e::node::{RingOptions, run};

/// Runs the operator on two real nodes of this machine; needs Linux and root
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: RingOptions,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse().options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("test-node: FAILED: {error:#}");
            ExitCode::FAILURE
        }
    }
}
