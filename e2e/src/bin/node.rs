//! `make test-node`: the image and the chart on two real nodes.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use clap::Parser;
use goldenpath_e2e::node::{RingOptions, run};

/// A ring takes two or three minutes, and what it waits for has deadlines; programs that it runs have none.
const LONGEST: Duration = Duration::from_mins(20);

/// Runs the operator on two real nodes of this machine; needs Linux and root
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: RingOptions,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Arguments::parse().options;
    let ring = tokio::time::timeout(LONGEST + Duration::from_mins(options.minutes.unwrap_or_default()), run(&options));
    match ring.await.unwrap_or_else(|_| Err(anyhow!("it has not come to its end in time"))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("test-node: FAILED: {error:#}");
            ExitCode::FAILURE
        }
    }
}
