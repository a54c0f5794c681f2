//! Files that are derived from the code, and from `paths/`.

use std::path::Path;

use super::markdown::{replace_between, table};
use crate::api::{GoldenPath, PathDefault, crds};

type Failed = Box<dyn std::error::Error>;

/// Writes every derived file below `root`.
pub fn write(root: &Path) -> Result<(), Failed> {
    let folder = root.join("crds");
    std::fs::create_dir_all(&folder)?;
    for crd in crds::all() {
        std::fs::write(folder.join(crds::file_name(&crd)), crds::yaml(&crd)?)?;
    }
    std::fs::create_dir_all(root.join("manifests"))?;
    std::fs::write(root.join("manifests/rbac.yaml"), crate::rbac::manifest())?;
    std::fs::write(root.join(SHIPPED_PATHS), shipped_paths(root)?)?;
    Ok(())
}

const SHIPPED_PATHS: &str = "docs/shipped-paths.md";

/// The page about the shipped paths with one table a path, in the order of their files.
fn shipped_paths(root: &Path) -> Result<String, Failed> {
    let mut text = std::fs::read_to_string(root.join(SHIPPED_PATHS))?;
    for name in ["web-service", "worker", "cron"] {
        let file = std::fs::read_to_string(root.join(format!("paths/{name}.yaml")))?;
        let path: GoldenPath = serde_saphyr::from_str(&file)?;
        text = replace_between(&text, name, &defaults(&path))?;
    }
    Ok(text)
}

fn defaults(path: &GoldenPath) -> String {
    let row = |default: &PathDefault| {
        vec![
            format!("`{}`", default.name),
            if default.pod_template.is_some() { "filled" } else { "checked" }.to_owned(),
            default.owner.map(|owner| format!("{owner:?}")).unwrap_or_default(),
            default.category.map(|category| format!("{category:?}")).unwrap_or_default(),
            default.weight.to_string(),
            default.reason.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<Vec<String>> = path.spec.defaults.iter().map(row).collect();
    table(&["default", "how", "owner", "category", "weight", "without it"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_the_shipped_paths() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let file = std::fs::read_to_string(root.join(SHIPPED_PATHS)).unwrap();
        assert!(file == shipped_paths(root).unwrap(), "{SHIPPED_PATHS} differs from paths/: run make generate");
    }
}
