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
}

#[tokio::main]
async fn main() -> Result<()> {
    let Arguments { runs } = Arguments::parse();
    let (replicas, mark, mut leader, mut follower) = Replicas::led().await?;
    let mut table = Table::new(["The leader", "runs", "median, s", "least, s", "worst, s"]);
    for (what, kills) in [("gets SIGTERM", false), ("gets SIGKILL", true)] {
        let mut took = Vec::new();
        for run in 0..runs {
            let name = format!("{}-{run}", if kills { "killed" } else { "stopped" });
            took.push(end(&replicas, &mut leader, kills, &name).await?);
            leader = std::mem::replace(&mut follower, replicas.replica(&name).await?);
        }
        if let Some(Spread { median, least, most }) = Spread::of(took) {
            let figures = [median, least, most].map(|seconds| format!("{seconds:.2}"));
            table.row([what.to_owned(), runs.to_string()].into_iter().chain(figures));
        }
    }
    replicas.one_at_a_time(mark)?;
    println!("{table}");
    println!("one at a time: between the first write of a replica and its last nobody else wrote, by the audit log");
    Ok(())
}

/// Ends the leader, asks for something meanwhile, and answers how many seconds later the next one has sent its write.
async fn end(replicas: &Replicas, leader: &mut Operator, kills: bool, name: &str) -> Result<f64> {
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
    let ((), (written, _)) = tokio::try_join!(ends, replicas.answer(name))?;
    let seconds = (written - began).total(jiff::Unit::Second)?;
    eprintln!("failover: {name}: {seconds:.3} s");
    Ok(seconds)
}
