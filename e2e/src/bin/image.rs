//! `make image`: puts a static program into an OCI archive.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use goldenpath_e2e::image::{About, write};

/// The promise about its size, in bytes.
const LARGEST: u64 = 15_000_000;

/// Puts a static program into an OCI archive and prints its digest
#[derive(Parser)]
struct Arguments {
    /// The program
    #[arg(long)]
    program: PathBuf,
    /// Name of the image with its tag
    #[arg(long)]
    reference: String,
    /// `amd64` or `arm64`
    #[arg(long)]
    architecture: String,
    /// Commit that the program was built of
    #[arg(long)]
    revision: String,
    /// Time of that commit, RFC 3339
    #[arg(long)]
    created: String,
    /// The archive to write
    #[arg(long)]
    out: PathBuf,
}

fn main() -> Result<()> {
    let Arguments { program, reference, architecture, revision, created, out } = Arguments::parse();
    let bytes = std::fs::read(&program).with_context(|| format!("read {}", program.display()))?;
    let version = reference.rsplit(':').next().unwrap_or_default().to_owned();
    let about = About { reference, architecture, version, revision, created };
    let digest = write(&bytes, &about, &out)?;
    let size = std::fs::metadata(&out)?.len();
    println!("{} {digest} {}, {} bytes", about.reference, out.display(), size);
    ensure!(size <= LARGEST, "the image has {size} bytes, and promised are {LARGEST} at most");
    Ok(())
}
