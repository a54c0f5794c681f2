//! `make demo`, on a cluster as a user has one: it plays to its end, leaves nothing, and refuses what it would disturb.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use goldenpath_e2e::{ControlPlane, Options, programs};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Longer than it takes on a busy machine.
const TIMEOUT: Duration = Duration::from_mins(5);

fn demo(control_plane: &ControlPlane, flags: &[&str]) -> Result<Command> {
    let mut command = Command::new(programs::sibling("demo")?);
    command.arg("--kubeconfig").arg(control_plane.kubeconfig()).args(flags).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command)
}

/// Exit code, and all that was said.
async fn play(control_plane: &ControlPlane, flags: &[&str]) -> Result<(bool, String)> {
    let output =
        tokio::time::timeout(TIMEOUT, demo(control_plane, flags)?.output()).await.context("it does not end")??;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((output.status.success(), text(&output.stdout) + &text(&output.stderr)))
}

/// Everything that the demo could leave behind on a cluster.
async fn left(control_plane: &ControlPlane) -> Result<String> {
    let kinds = "namespaces,customresourcedefinitions,clusterroles,clusterrolebindings,mutatingadmissionpolicies,\
                 mutatingadmissionpolicybindings,validatingadmissionpolicies,priorityclasses";
    control_plane.kubectl(["get", kinds, "-o", "name"]).await
}

#[tokio::test]
async fn the_demo_plays_on_a_users_cluster_and_leaves_it_as_it_was() -> Result<()> {
    let control_plane = ControlPlane::start(Options::default()).await?;
    let before = left(&control_plane).await?;
    let (succeeded, said) = play(&control_plane, &["--once"]).await?;
    println!("{said}");
    ensure!(succeeded && said.contains("Two ReplicaSets") && said.contains("nothing is left running"), "{said}");
    ensure!(left(&control_plane).await? == before, "{}", left(&control_plane).await?);

    // interrupted in the middle, it cleans up as well
    let mut child = demo(&control_plane, &[])?.spawn()?;
    reaches(&mut child, "2. The platform team").await?;
    interrupt(&child)?;
    ensure!(tokio::time::timeout(TIMEOUT, child.wait()).await??.success());
    ensure!(left(&control_plane).await? == before, "{}", left(&control_plane).await?);

    // killed, it cannot; the next one does, and plays on, but not while the first is still there
    let mut child = demo(&control_plane, &[])?.spawn()?;
    reaches(&mut child, "3. Two teams").await?;
    let (succeeded, said) = play(&control_plane, &["--once"]).await?;
    ensure!(!succeeded && said.contains("another demo plays on this cluster"), "{said}");
    child.kill().await?;
    ensure!(left(&control_plane).await? != before, "nothing was left, so nothing is tested");
    let mut child = demo(&control_plane, &[])?.spawn()?;
    reaches(&mut child, "An earlier demo was cut off here").await?;
    reaches(&mut child, "1. Four teams").await?;
    interrupt(&child)?;
    ensure!(tokio::time::timeout(TIMEOUT, child.wait()).await??.success());
    ensure!(left(&control_plane).await? == before, "{}", left(&control_plane).await?);

    refuses(&control_plane).await
}

/// Somebody's own namespace, and somebody's own Goldenpath.
async fn refuses(control_plane: &ControlPlane) -> Result<()> {
    control_plane.kubectl(["create", "namespace", "payments"]).await?;
    let (succeeded, said) = play(control_plane, &["--once"]).await?;
    ensure!(!succeeded && said.contains("has a namespace payments already"), "{said}");
    control_plane.kubectl(["delete", "namespace", "payments"]).await?;
    control_plane.install_goldenpath().await?;
    let before = left(control_plane).await?;
    let (succeeded, said) = play(control_plane, &["--once"]).await?;
    ensure!(!succeeded && said.contains("Goldenpath is installed on this cluster"), "{said}");
    ensure!(left(control_plane).await? == before, "{}", left(control_plane).await?);
    Ok(())
}

#[tokio::test]
async fn the_demo_says_that_a_cluster_is_too_old() -> Result<()> {
    let control_plane = ControlPlane::start(Options::without_mutating_policies()).await?;
    let (succeeded, said) = play(&control_plane, &["--once"]).await?;
    ensure!(!succeeded && said.contains("does not serve MutatingAdmissionPolicy v1"), "{said}");
    Ok(())
}

fn interrupt(child: &Child) -> Result<()> {
    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)).context("it has ended")?;
    kill_process(pid, Signal::INT).context("send SIGINT")
}

/// Reads what it says until a line begins with this; what comes after is read and dropped, so that it never blocks.
async fn reaches(child: &mut Child, line: &str) -> Result<()> {
    let stdout = child.stdout.as_mut().context("no pipe")?;
    let mut lines = BufReader::new(stdout).lines();
    let found = async {
        while let Some(said) = lines.next_line().await? {
            if said.starts_with(line) {
                return Ok(());
            }
        }
        anyhow::bail!("it ended before `{line}`")
    };
    tokio::time::timeout(TIMEOUT, found).await.with_context(|| format!("it does not come to `{line}`"))?
}
