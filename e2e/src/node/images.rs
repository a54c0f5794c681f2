//! The images that nodes get: nothing is pulled.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::system::run;
use super::{PAUSE, REPOSITORY, TAG};
use crate::image::{About, Compression, PROGRAM, write_files};
use crate::programs::cache;

/// Writes them all.
///
/// # Errors
/// When a program is not there, or an archive cannot be written.
pub async fn all(folder: &Path, program: &Path) -> Result<Vec<PathBuf>> {
    let pause = cache()?.join("pause");
    Ok(vec![
        image(folder, "pause", PAUSE.to_owned(), &pause).await?,
        image(folder, "goldenpath", format!("{REPOSITORY}:{TAG}"), program).await?,
    ])
}

async fn image(folder: &Path, name: &str, reference: String, program: &Path) -> Result<PathBuf> {
    // names of functions and lines are a large part of a debug build
    let stripped = folder.join(name);
    run("strip", [Path::new("-o"), &stripped, program]).await.with_context(|| format!("read {}", program.display()))?;
    let mut files = vec![(PROGRAM.to_owned(), fs::read(&stripped)?)];
    for library in libraries(program).await? {
        files.push((library.clone(), fs::read(&library).with_context(|| format!("read {library}"))?));
    }
    let about = About {
        version: reference.rsplit(':').next().unwrap_or_default().to_owned(),
        reference,
        architecture: if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }.to_owned(),
        revision: String::new(),
        created: "1970-01-01T00:00:00Z".to_owned(),
    };
    let archive = folder.join(format!("{name}.tar"));
    let files: Vec<(&str, &[u8])> = files.iter().map(|(path, bytes)| (&**path, &**bytes)).collect();
    write_files(&files, Compression::none(), &about, &archive)?;
    Ok(archive)
}

/// Files that a program loads when it starts; none of a static one.
pub async fn libraries(program: &Path) -> Result<Vec<String>> {
    // it fails for a program that has none
    let text = run("ldd", [program]).await.unwrap_or_default();
    let paths = text.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    Ok(paths.map(str::to_owned).collect())
}
