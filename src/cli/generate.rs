//! Files that are derived from the code.

use std::path::Path;

use crate::api::crds;

/// Writes every derived file below `root`.
pub fn write(root: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let folder = root.join("crds");
    std::fs::create_dir_all(&folder)?;
    for crd in crds::all() {
        std::fs::write(folder.join(crds::file_name(&crd)), crds::yaml(&crd)?)?;
    }
    std::fs::create_dir_all(root.join("manifests"))?;
    std::fs::write(root.join("manifests/rbac.yaml"), crate::rbac::manifest())?;
    Ok(())
}
