//! Goldenpath on a control plane, as users have it: the chart, and the operator with its ServiceAccount's token.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use tokio::sync::OnceCell;

use crate::{ControlPlane, Operator, OperatorOptions, concurrency, wait};

/// Namespace of the operator.
pub const NAMESPACE: &str = "goldenpath-system";
/// Name of its ServiceAccount.
pub const ACCOUNT: &str = "goldenpath";
/// How long a path may take to be proved and in force on a busy machine.
pub const PATH_TIMEOUT: Duration = Duration::from_mins(3);

/// The operator of the shared control plane.
static INSTALLED: OnceCell<Result<Operator, String>> = OnceCell::const_new();

impl ControlPlane {
    /// The operator that [`Self::with_goldenpath`] has started.
    ///
    /// # Errors
    /// When it has not.
    pub fn operator_of_all() -> Result<&'static Operator> {
        let operator = INSTALLED.get().ok_or_else(|| anyhow!("no operator was started"))?;
        operator.as_ref().map_err(|error| anyhow!("{error}"))
    }

    /// The shared control plane with Goldenpath installed and one operator running.
    ///
    /// # Errors
    /// When the control plane, the manifests or the operator fail; a failure is remembered.
    pub async fn with_goldenpath() -> Result<&'static Self> {
        let control_plane = Self::shared().await?;
        let start = async || {
            let kubeconfig = control_plane.install_goldenpath().await?;
            control_plane.start_operator(kubeconfig).await
        };
        concurrency::shared(&INSTALLED, start).await?;
        Ok(control_plane)
    }

    /// Installs the chart, the first time it is called; the answer is a kubeconfig of the operator's ServiceAccount.
    ///
    /// # Errors
    /// When helm fails or a definition is not served in time; a failure is remembered.
    pub async fn install_goldenpath(&self) -> Result<PathBuf> {
        concurrency::shared(self.installed(), async || self.install_chart().await).await?;
        self.as_account(NAMESPACE, ACCOUNT).await
    }

    /// Starts one more operator with a kubeconfig of its account.
    ///
    /// # Errors
    /// When it is not ready in time.
    pub async fn start_operator(&self, kubeconfig: PathBuf) -> Result<Operator> {
        Operator::start(self, &OperatorOptions { kubeconfig, ..OperatorOptions::default() }).await
    }

    /// Applies a GoldenPath and waits until it is proved and in force; the answer is its revision.
    ///
    /// # Errors
    /// When it is refused, or not ready in time: then with its conditions.
    pub async fn golden_path(&self, yaml: &str) -> Result<String> {
        let applied = self.apply(yaml).await?;
        let name = applied.split([' ', '/']).nth(1).unwrap_or_default().to_owned();
        wait::until(&format!("GoldenPath {name} to be Ready"), PATH_TIMEOUT, async || {
            let query = "{.metadata.generation} {.status.observedGeneration} {.status.currentRevision} \
                         {.status.conditions[?(@.type==\"Ready\")].status} {.status.conditions[0].message}";
            let text = self.kubectl(["get", "goldenpath", &name, "-o", &format!("jsonpath={query}")]).await?;
            let words: Vec<&str> = text.split(' ').collect();
            ensure!(words.len() > 3 && words[0] == words[1] && words[3] == "True", "{text}");
            Ok(Some(words[2].to_owned()))
        })
        .await
    }

    /// Waits until a JSONPath of an object has a value.
    ///
    /// # Errors
    /// When it has not in time: then with what it had last.
    pub async fn expect(&self, namespace: &str, object: &str, jsonpath: &str, value: &str) -> Result<()> {
        wait::until(&format!("{object} {jsonpath} = {value}"), Duration::from_mins(1), async || {
            let query = format!("jsonpath={jsonpath}");
            let text = self.kubectl(["get", "-n", namespace, object, "-o", &query]).await?;
            ensure!(text == value, "{text}");
            Ok(Some(()))
        })
        .await
    }
}
