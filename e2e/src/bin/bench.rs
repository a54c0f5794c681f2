//! `make bench`: measures the operator at scale and writes docs/benchmarks.md.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, ValueEnum};
use goldenpath_e2e::bench::report::Results;
use goldenpath_e2e::bench::{Settings, document, machine, micro, null_client, run};
use goldenpath_e2e::programs;

/// Measures the operator on a fleet of Deployments, on a control plane of its own.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(flatten)]
    settings: Settings,
    /// Document in which this run's section is replaced
    #[arg(long)]
    report: Option<PathBuf>,
    /// Fail when a promise is not kept. Not the default: on a shared machine a missed budget is a result, not a fault
    #[arg(long)]
    strict: bool,
    #[command(subcommand)]
    mode: Option<Mode>,
}

#[derive(Subcommand)]
enum Mode {
    /// Reads the lists of the fleet and discards them; one of the contenders, run by the benchmark itself
    #[command(hide = true)]
    NullClient {
        /// Whose rights it has
        kubeconfig: PathBuf,
    },
    /// Runs one inner loop so many times, to be counted by callgrind
    #[command(hide = true)]
    Micro {
        /// Which one
        what: Loop,
        /// How often
        count: usize,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Loop {
    /// Reading a line of a watch
    Decode,
    /// The checks of a workload
    Check,
    /// All verdicts of a workload
    Evaluate,
}

#[tokio::main(worker_threads = 2)] // as many as the operator has
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match &arguments.mode {
        Some(Mode::NullClient { kubeconfig }) => read(kubeconfig).await.map(|()| ExitCode::SUCCESS),
        Some(Mode::Micro { what, count }) => repeat(*what, *count).map(|()| ExitCode::SUCCESS),
        None => measure(&arguments).await,
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("bench: {error:#}");
        ExitCode::FAILURE
    })
}

async fn read(kubeconfig: &std::path::Path) -> Result<()> {
    println!("{}", serde_json::to_string(&null_client::read(kubeconfig).await?)?);
    Ok(())
}

fn repeat(what: Loop, count: usize) -> Result<()> {
    match what {
        Loop::Decode => micro::decode(count),
        Loop::Check => micro::check(count),
        Loop::Evaluate => micro::evaluate(count),
    }
}

async fn measure(arguments: &Arguments) -> Result<ExitCode> {
    let results = run(&arguments.settings).await?;
    let section = section(&arguments.settings, &results)?;
    println!("\n{section}");
    if let Some(path) = &arguments.report {
        let before = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        let after =
            document::with_section(&before, arguments.settings.workloads, &arguments.settings.shape(), &section);
        std::fs::write(path, after).with_context(|| format!("write {}", path.display()))?;
    }
    let missed = results.budgets().iter().filter(|budget| !budget.is_met()).count();
    println!("bench: {missed} promises missed");
    Ok(if missed > 0 && arguments.strict { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn section(settings: &Settings, results: &Results) -> Result<String> {
    let date = jiff::Zoned::now().date();
    Ok(format!(
        "## {} workloads{}\n\n`{}` on {date}: {}; {}. Figures are medians, with least and most in brackets.\n\n{}",
        settings.workloads,
        if settings.shape().is_empty() { String::new() } else { format!(", {}", settings.shape()) },
        settings.command(),
        machine::machine(),
        machine::versions(&programs::versions()?),
        results.tables()
    ))
}
