//! The compiled-in table of pod fields against the API server that it was read from.

use goldenpath_e2e::programs::repository;
use goldenpath_e2e::{ControlPlane, pod_schema};

/// With `GOLDENPATH_UPDATE` set it writes the file instead of comparing it.
#[tokio::test]
async fn the_pod_schema_is_what_the_api_server_says() {
    let path = repository().join("src/plan/pod_schema.json");
    let said = pod_schema::generate(ControlPlane::shared().await.unwrap()).await.unwrap();
    if std::env::var_os("GOLDENPATH_UPDATE").is_some() {
        std::fs::write(&path, &said).unwrap();
    }
    let file = std::fs::read_to_string(&path).unwrap();
    let difference = said.lines().zip(file.lines()).find(|(said, file)| said != file);
    assert!(
        said == file,
        "{} is not what the API server says: run `make generate-pod-schema`; the first difference is {difference:?}",
        path.display()
    );
}
