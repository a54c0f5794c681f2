//! `make dashboards`: a migration on a real control plane, a real Prometheus over it, and every dashboard drawn and checked.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use goldenpath_e2e::migration::{Migration, busy};
use goldenpath_e2e::{ControlPlane, Options, page};

/// Draws every dashboard.
#[derive(Parser)]
struct Arguments {
    /// Folder for pictures
    #[arg(long, default_value = "docs/dashboards")]
    pictures: PathBuf,
    /// Serve the page until Ctrl-C instead of drawing
    #[arg(long)]
    serve: bool,
}

/// So long is the operator watched at work: rates need some time.
const AT_WORK: Duration = Duration::from_mins(2);

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    page::is_built()?;
    let control_plane = ControlPlane::start(Options::default()).await?;
    let kubeconfig = control_plane.install_goldenpath().await?;
    let operator = control_plane.start_operator(kubeconfig).await?;
    println!("dashboards: playing a migration of three months");
    let history = Migration::new(&control_plane, &operator).play().await?;
    let prometheus = history.served(&control_plane, &operator).await?;
    println!("dashboards: Prometheus is at {}", prometheus.url());
    if arguments.serve {
        let page = page::Page::start(control_plane.folder(), &prometheus).await?;
        println!("dashboards: {}", page.url("goldenpath-program"));
        tokio::signal::ctrl_c().await?;
        return Ok(());
    }
    println!("dashboards: watching the operator at work for {} s", AT_WORK.as_secs());
    busy(&control_plane, AT_WORK).await?;
    page::draw(&prometheus, &arguments.pictures)
}
