//! A running control plane as tests see it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::PostParams;
use kube::config::Kubeconfig;
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::options::Options;
use crate::programs::{self, Programs};
use crate::supervisor::{Ready, data_folder};
use crate::{concurrency, kubeconfig, wait};

/// A control plane whose processes end with this value, and with this process at the latest; or, for the demo, one of the
/// user's own that is only attached to.
///
/// It holds nothing of a tokio runtime, so that one can serve the tests of a whole binary, each with its own runtime.
#[derive(Debug)]
pub struct ControlPlane {
    ready: Ready,
    programs: Programs,
    supervisor: Option<Child>,
    /// Folder of one that is attached to: the supervisor of another has made its own
    _attached: Option<TempDir>,
    installed: OnceCell<Result<(), String>>,
}

impl ControlPlane {
    /// The one that all tests of this process share; the first caller starts it.
    ///
    /// Tests therefore keep to a namespace of their own and count only what their own users did.
    ///
    /// # Errors
    /// As [`Self::start`]; a failed start is remembered, so that not every test waits for its own.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Result<ControlPlane, String>> = OnceCell::const_new();
        concurrency::shared(&SHARED, async || Self::start(Options::default()).await).await
    }

    /// Starts an own one, for tests that break it or need flags; it takes about 10 s.
    ///
    /// # Errors
    /// When programs are missing or the control plane does not get ready; the supervisor explains it on stderr.
    pub async fn start(options: Options) -> Result<Self> {
        concurrency::begin().await;
        let programs = Programs::find(options.kubernetes_version.as_deref())?;
        let program = programs::sibling("control-plane")?;
        tokio::task::spawn_blocking(move || {
            let mut supervisor = Command::new(program)
                .args(options.to_args())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                // Ctrl-C reaches it as a closed stdin when this process has ended, not before.
                .process_group(0)
                .spawn()
                .context("start the supervisor")?;
            let mut line = String::new();
            let stdout = supervisor.stdout.take().context("no pipe from the supervisor")?;
            BufReader::new(stdout).read_line(&mut line).context("read from the supervisor")?;
            ensure!(!line.is_empty(), "the control plane did not get ready: the reason is on stderr");
            let ready =
                serde_json::from_str(&line).with_context(|| format!("parse what the supervisor said: {line}"))?;
            Ok(Self { ready, programs, supervisor: Some(supervisor), _attached: None, installed: OnceCell::new() })
        })
        .await?
    }

    /// A cluster that runs already and goes on afterwards. Of it there are neither process ids nor an audit log.
    ///
    /// # Errors
    /// When the kubeconfig cannot be used, or kubectl and helm are not built.
    pub fn attach(kubeconfig: &Path) -> Result<Self> {
        let file = Kubeconfig::read_from(kubeconfig).with_context(|| format!("read {}", kubeconfig.display()))?;
        let server = kubeconfig::server(&file).with_context(|| format!("use {}", kubeconfig.display()))?;
        let attached = data_folder()?;
        let folder = attached.path().to_owned();
        let audit_log = folder.join("audit.log");
        let kubeconfig = std::path::absolute(kubeconfig)?;
        let ready = Ready { kubeconfig, folder, audit_log, server, pids: BTreeMap::new() };
        let programs = Programs::find(None)?;
        Ok(Self { ready, programs, supervisor: None, _attached: Some(attached), installed: OnceCell::new() })
    }

    /// One that whoever calls has started, and ends.
    pub(crate) fn of(ready: Ready, programs: Programs) -> Self {
        Self { ready, programs, supervisor: None, _attached: None, installed: OnceCell::new() }
    }

    /// Kubeconfig of an administrator (`system:masters`).
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.ready.kubeconfig
    }

    /// Data folder, deleted at the end; tests may put files of their own there.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.ready.folder
    }

    /// What the supervisor said: server address, process ids, audit log.
    #[must_use]
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Whether the chart was installed, and what went wrong.
    pub(crate) fn installed(&self) -> &OnceCell<Result<(), String>> {
        &self.installed
    }

    /// The programs that it runs on, and those to talk to it with.
    #[must_use]
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// A fresh client of the administrator, for the runtime of the calling test.
    ///
    /// # Errors
    /// When the kubeconfig cannot be used.
    pub async fn client(&self) -> Result<Client> {
        kubeconfig::client(self.kubeconfig()).await
    }

    /// A fresh client of whoever a kubeconfig names, such as one of [`Self::as_account`].
    ///
    /// # Errors
    /// When the kubeconfig cannot be used.
    pub async fn client_for(&self, kubeconfig: &Path) -> Result<Client> {
        kubeconfig::client(kubeconfig).await
    }

    /// Creates a namespace `<prefix>-<random>` and gives its name. See [`Self::namespace_with`].
    ///
    /// # Errors
    /// As [`Self::namespace_with`].
    pub async fn namespace(&self, prefix: &str) -> Result<String> {
        self.namespace_with(prefix, &[]).await
    }

    /// Creates a namespace `<prefix>-<random>` with labels, and waits until pods can be created in it.
    ///
    /// Nothing deletes it: the control plane is thrown away as a whole.
    ///
    /// # Errors
    /// When it cannot be created, or gets no default `ServiceAccount` in time.
    pub async fn namespace_with(&self, prefix: &str, labels: &[(&str, &str)]) -> Result<String> {
        let client = self.client().await?;
        let labels: BTreeMap<_, _> = labels.iter().copied().collect();
        let namespace =
            serde_json::from_value(json!({"metadata": {"generateName": format!("{prefix}-"), "labels": labels}}))?;
        let created = Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await;
        let name = created.with_context(|| format!("create a namespace {prefix}-"))?.name_any();
        let accounts: Api<ServiceAccount> = Api::namespaced(client, &name);
        let what = format!("ServiceAccount default in namespace {name}");
        wait::until(&what, Duration::from_secs(30), async || Ok(accounts.get_opt("default").await?)).await?;
        Ok(name)
    }

    /// A kubeconfig of an existing `ServiceAccount`, good for a day: what it does is bound by its RBAC rules.
    ///
    /// # Errors
    /// When there is no such `ServiceAccount`.
    pub async fn as_account(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, namespace);
        let spec = TokenRequestSpec { expiration_seconds: Some(24 * 60 * 60), ..TokenRequestSpec::default() };
        let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
        let answer = accounts.create_token_request(name, &PostParams::default(), &request).await;
        let answer = answer.with_context(|| format!("request a token of ServiceAccount {namespace}/{name}"))?;
        let token = answer.status.and_then(|status| status.token).context("the answer holds no token")?;
        let path = self.folder().join(format!("account-{namespace}-{name}.kubeconfig"));
        kubeconfig::with_token(self.kubeconfig(), &path, &token)?;
        Ok(path)
    }
}

impl Drop for ControlPlane {
    /// Closes the supervisor's stdin and waits until its processes and its folder are gone.
    fn drop(&mut self) {
        let Some(supervisor) = &mut self.supervisor else { return };
        drop(supervisor.stdin.take());
        // It is our child and ends when stdin does; there is nothing left to do about an error.
        let _ = supervisor.wait();
    }
}
