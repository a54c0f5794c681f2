//! What the shipped paths were decided on: `e2e/evidence.yaml`, counted over the corpus with the project's own evaluation.

mod count;
mod tables;

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use goldenpath::api::{GoldenPath, WorkloadKind};
use serde::Deserialize;
use serde_json::{Map, Value};

pub use count::{Breaks, Corpus, Row, count};
pub use tables::{corpus_tables, decision_table, image_table};

use crate::programs::repository;

/// The file `e2e/evidence.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// What is publicly known of images.
    pub images: Vec<Image>,
    /// Why each default is what it is, by its name.
    pub decisions: BTreeMap<String, Decision>,
}

/// What is publicly known of some images.
#[derive(Deserialize, Clone, Default)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Their names without tags. A `*` stands for anything without a slash.
    pub names: Vec<String>,
    /// Who they run as.
    pub user: Option<User>,
    /// What they do that a default could disturb.
    #[serde(default)]
    pub does: Vec<Fact>,
    /// Folders that they write to and that are no volumes by themselves.
    #[serde(default)]
    pub writes: Vec<String>,
    /// Kinds of workloads that run them; empty: every kind.
    #[serde(default)]
    pub kinds: Vec<WorkloadKind>,
    /// Where it was read.
    pub from: String,
}

/// Who an image runs as where a manifest says nothing.
#[derive(Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum User {
    /// Root.
    Root,
    /// A name, which the kubelet cannot tell from root.
    Name,
}

/// What a default could disturb.
#[derive(Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Fact {
    /// It runs as root.
    RootUser,
    /// It runs as a user with a name.
    NamedUser,
    /// It begins as root and becomes a user.
    DropsPrivileges,
    /// Its commands install packages.
    InstallsPackages,
    /// A program in it carries capabilities.
    FileCapabilities,
    /// It calls sudo.
    Sudo,
    /// It writes outside of volumes.
    Writes,
    /// It uses its ServiceAccount's token.
    TalksToTheApi,
    /// An autoscaler computes with its request.
    UtilisationAutoscaler,
}

/// Why a default is what it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// What was tried as a fill, where the path itself fills nothing.
    pub candidate: Option<Map<String, Value>>,
    /// What breaks under it.
    #[serde(default)]
    pub breaks: Vec<Fact>,
    /// The reason, for people.
    pub decided: String,
}

impl Evidence {
    /// Reads the file.
    ///
    /// # Errors
    /// When it is not as described here.
    pub fn read() -> Result<Self> {
        let file = repository().join("e2e/evidence.yaml");
        let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        serde_saphyr::from_str(&text).with_context(|| format!("parse {}", file.display()))
    }

    /// What is known of a container's image: of the first entry that names it.
    fn image(&self, reference: &str) -> Option<&Image> {
        let name = image_name(reference);
        self.images.iter().find(|image| image.names.iter().any(|pattern| matches(pattern, name)))
    }
}

/// The shipped paths, in the order of their file names.
///
/// # Errors
/// When a file cannot be read or is no GoldenPath.
pub fn shipped_paths() -> Result<Vec<GoldenPath>> {
    let folder = repository().join("paths");
    let mut files: Vec<_> = folder.read_dir()?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort();
    let read = |file: &std::path::PathBuf| {
        let text = std::fs::read_to_string(file)?;
        serde_saphyr::from_str(&text).with_context(|| format!("parse {}", file.display()))
    };
    files.iter().map(read).collect()
}

/// The name of an image: without registry where that is the usual one, tag and digest.
fn image_name(reference: &str) -> &str {
    let name = reference.split('@').next().unwrap_or_default();
    let name = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    };
    let usual = ["docker.io/library/", "public.ecr.aws/docker/library/", "docker.io/"];
    usual.into_iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
}

fn matches(pattern: &str, name: &str) -> bool {
    let pattern = pattern.strip_prefix("docker.io/").unwrap_or(pattern);
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, end)) => name
            .strip_prefix(start)
            .and_then(|rest| rest.strip_suffix(end))
            .is_some_and(|between| !between.contains('/')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_known_by_their_names() {
        assert_eq!(image_name("docker.io/library/redis:7.2@sha256:00"), "redis");
        assert_eq!(image_name("localhost:5000/team/app"), "localhost:5000/team/app");
        assert!(matches("codewisdom/ts-*", "codewisdom/ts-order-service"));
        assert!(matches("bank/*-db", "bank/ledger-db"));
        assert!(!matches("prom/*", "prom/a/b") && !matches("redis", "bitnami/redis"));
    }
}
