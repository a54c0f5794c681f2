//! `make bench`: measures the operator at scale and writes docs/benchmarks.md.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, ValueEnum};
use goldenpath_e2e::bench::report::{Budget, budget_table};
use goldenpath_e2e::bench::{Settings, document, machine, micro, null_client, run, run_deprecations};
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
    let settings = &arguments.settings;
    let (part, budgets, tables) = if settings.only_deprecations {
        let results = run_deprecations(settings).await?;
        let budgets = results.budgets();
        ("deprecations", budgets.clone(), format!("{}\n{}", budget_table(budgets), results.tables()))
    } else {
        let results = run(settings).await?;
        ("", results.budgets(), results.tables())
    };
    let section = section(settings, part, &tables)?;
    println!("\n{section}");
    if let Some(path) = &arguments.report {
        let before = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        let part = if part.is_empty() { settings.shape() } else { part.to_owned() };
        let after = document::with_section(&before, settings.workloads, &part, &section);
        std::fs::write(path, after).with_context(|| format!("write {}", path.display()))?;
    }
    let missed = budgets.iter().filter(|budget: &&Budget| !budget.is_met()).count();
    println!("bench: {missed} promises missed");
    Ok(if missed > 0 && arguments.strict { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn section(settings: &Settings, part: &str, tables: &str) -> Result<String> {
    let date = jiff::Zoned::now().date();
    let head = if part.is_empty() { "" } else { ", Deprecations alone" };
    Ok(format!(
        "## {} workloads{head}{}\n\n`{}` on {date}: {}; {}. Figures are medians, with least and most in brackets.\n\n{}",
        settings.workloads,
        if settings.shape().is_empty() { String::new() } else { format!(", {}", settings.shape()) },
        settings.command(),
        machine::machine(),
        machine::versions(&programs::versions()?),
        tables.trim_end()
    ))
}
