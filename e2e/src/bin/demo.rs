//! `make demo`: the main job on an embedded real control plane, or on the user's own cluster, with every command shown as a
//! person would type it.

use std::process::ExitCode;

use clap::Parser;
use goldenpath_e2e::demo::{Arguments, run};

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}
