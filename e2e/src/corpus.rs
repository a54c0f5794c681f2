//! Real manifests, written by others, to run against. They are not part of the repository.

use std::path::PathBuf;
use std::{env, io};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::programs::repository;

/// One file of the corpus: one public project.
#[derive(Clone, Debug)]
pub struct CorpusFile {
    /// File name without `.yaml`
    pub name: String,
    /// Where it lies, for `kubectl apply -f`
    pub path: PathBuf,
    /// Its documents in order, namespaces first
    pub documents: Vec<Value>,
}

/// The files of the folder `$GOLDENPATH_CORPUS`, or `../shared/corpus` beside the repository, sorted by name.
///
/// A checkout elsewhere has no corpus: without the variable a missing folder means no files. Tests say how many they
/// ran on, so that none is not mistaken for all.
///
/// # Errors
/// When the folder that the variable names holds no YAML file, or when a file is no YAML.
pub fn corpus() -> Result<Vec<CorpusFile>> {
    let named = env::var_os("GOLDENPATH_CORPUS").map(PathBuf::from);
    let folder = named.clone().unwrap_or_else(|| repository().join("../shared/corpus"));
    if named.is_none() && !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = folder.read_dir().with_context(|| format!("read {}", folder.display()))?;
    let paths: io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    ensure!(!paths.is_empty(), "{} holds no .yaml file", folder.display());
    paths.into_iter().map(read).collect()
}

fn read(path: PathBuf) -> Result<CorpusFile> {
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let mut documents: Vec<Value> =
        serde_saphyr::from_multiple(&text).with_context(|| format!("parse {}", path.display()))?;
    documents.retain(|document| !document.is_null());
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(CorpusFile { name, path, documents })
}
