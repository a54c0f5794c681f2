//! `make failover`: how long nobody leads, when the leader is asked to stop and when it is killed.

use anyhow::{Result, ensure};
use clap::Parser;
use goldenpath_e2e::Operator;
use goldenpath_e2e::bench::stats::Spread;
use goldenpath_e2e::bench::table::Table;
use goldenpath_e2e::replicas::Replicas;
use jiff::Timestamp;

/// Ends the leader many times and measures when the next one has written what was asked for in the same moment
#[derive(Parser)]
struct Arguments {
    /// Ends of each kind
    #[arg(long, default_value_t = 20)]
    runs: usize,
    /// Fail when a promise is missed
    #[arg(long)]
    strict: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Arguments { runs, strict } = Arguments::parse();
    let (replicas, mark, mut leader, mut follower) = Replicas::led().await?;
    let mut next = "second".to_owned();
    let mut table = Table::new(["The leader", "runs", "promise, s", "median, s", "least, s", "worst, s"]);
    let mut missed = Vec::new();
    for (what, kills, promise) in [("gets SIGTERM", false, 1.0), ("gets SIGKILL", true, 6.0)] {
        let mut took = Vec::new();
        for run in 0..runs {
            let name = format!("{}-{run}", if kills { "killed" } else { "stopped" });
            let (seconds, who) = end(&replicas, &mut leader, kills, &name).await?;
            ensure!(who == next, "{who} has answered {name}, not {next}");
            took.push(seconds);
            leader = std::mem::replace(&mut follower, replicas.replica(&name).await?);
            next = name;
        }
        if let Some(Spread { median, least, most }) = Spread::of(took) {
            let figures = [median, least, most].map(|seconds| format!("{seconds:.2}"));
            table.row([what.to_owned(), runs.to_string(), format!("{promise}")].into_iter().chain(figures));
            missed
                .extend((most > promise).then(|| format!("the leader {what}: {most:.2} s, promised are {promise} s")));
        }
    }
    replicas.one_at_a_time(mark)?;
    println!("{table}");
    println!("one at a time: between the first write of a replica and its last nobody else wrote, by the audit log");
    println!("promises missed: {}", if missed.is_empty() { "none".to_owned() } else { missed.join("; ") });
    ensure!(missed.is_empty() || !strict, "a promise was missed");
    Ok(())
}

/// Ends the leader, asks for something meanwhile, and answers how many seconds later the next one has sent its write, and who.
async fn end(replicas: &Replicas, leader: &mut Operator, kills: bool, name: &str) -> Result<(f64, String)> {
    ensure!(leader.leads().await?, "the replica does not lead: {}", leader.log());
    let began = Timestamp::now();
    let ends = async {
        if kills {
            leader.kill().await
        } else {
            let (status, _) = leader.terminate().await?;
            ensure!(status.success(), "{status}");
            Ok(())
        }
    };
    let ((), (written, who)) = tokio::try_join!(ends, replicas.answer(name))?;
    let seconds = (written - began).total(jiff::Unit::Second)?;
    eprintln!("failover: {name}: {seconds:.3} s");
    Ok((seconds, who))
}
