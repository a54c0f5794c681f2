//! A namespace of a story: what stands there, what becomes of it, and what the operator writes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::audit::{self, AuditEvent, Counts, Mark};
use crate::installed::{ACCOUNT, NAMESPACE};
use crate::{ControlPlane, wait};

/// How long a controller or a simulated node may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(1);
/// What the operator was refused again and again it tries after five minutes at most.
pub const LONGEST_PAUSE: Duration = Duration::from_mins(6);
/// An operator that has not written for so long has nothing left to write: its own pauses are shorter.
const STILL: Duration = Duration::from_secs(2);

/// A namespace on a control plane.
#[derive(Clone, Debug)]
pub struct Space<'a> {
    /// Where it is.
    pub control_plane: &'a ControlPlane,
    /// What it is called.
    pub namespace: String,
}

impl<'a> Space<'a> {
    /// Makes a namespace whose name begins so.
    ///
    /// # Errors
    /// When the API server does not take it.
    pub async fn new(control_plane: &'a ControlPlane, prefix: &str) -> Result<Self> {
        Ok(Self { control_plane, namespace: control_plane.namespace(prefix).await? })
    }

    /// Applies an object with the rights of an administrator.
    ///
    /// # Errors
    /// What kubectl says.
    pub async fn apply(&self, object: &Value) -> Result<()> {
        let args = ["apply", "-n", &self.namespace, "-f", "-"];
        self.control_plane.kubectl_stdin(args, &object.to_string()).await.map(drop)
    }

    /// Runs kubectl with words that hold no blanks.
    ///
    /// # Errors
    /// What kubectl says.
    pub async fn kubectl(&self, words: &str) -> Result<String> {
        self.control_plane.kubectl(words.split(' ').chain(["-n", &self.namespace])).await
    }

    /// An object, `kind/name`, with everything, `managedFields` included.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn object(&self, name: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.kubectl(&format!("get {name} -o json --show-managed-fields")).await?)?)
    }

    /// Names of all objects of a kind.
    ///
    /// # Errors
    /// What kubectl says.
    pub async fn names(&self, kind: &str) -> Result<Vec<String>> {
        let text = self.kubectl(&format!("get {kind} -o name")).await?;
        Ok(text.lines().map(|line| line.rsplit('/').next().unwrap_or_default().to_owned()).collect())
    }

    /// Waits for something about an object.
    ///
    /// # Errors
    /// When it does not come in time: then with the object and what the services of the namespace say.
    pub async fn until(&self, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Result<Value> {
        let what = format!("{name} in {}: {what}", self.namespace);
        let found = wait::until(&what, PATIENCE, async || {
            let object = self.object(name).await?;
            ensure!(holds(&object), "{object}");
            Ok(Some(object))
        })
        .await;
        match found {
            Ok(object) => Ok(object),
            Err(error) => {
                let conditions = "get psvc -o jsonpath={.items[*].status.conditions}";
                let said = self.kubectl(conditions).await.unwrap_or_default();
                Err(error).with_context(|| format!("in {}, where services say {said}", self.namespace))
            }
        }
    }

    /// Waits until an object is not there any more.
    ///
    /// # Errors
    /// When it stays.
    pub async fn gone(&self, name: &str) -> Result<()> {
        wait::until(&format!("{name} in {} to be gone", self.namespace), PATIENCE, async || {
            let left = self.kubectl(&format!("get {name} --ignore-not-found -o name")).await?;
            ensure!(left.is_empty(), "{left}");
            Ok(Some(()))
        })
        .await
    }

    /// Waits until the operator has taken in what happened in the namespace: it wrote nothing there for a second.
    ///
    /// # Errors
    /// When it goes on writing.
    pub async fn still(&self) -> Result<()> {
        let user = audit::account(NAMESPACE, ACCOUNT);
        let is_its = |event: &AuditEvent| event.namespace == self.namespace && event.user == user;
        self.control_plane.is_still(STILL, PATIENCE, |event| is_its(event) && event.is_write_of_objects()).await
    }

    /// What the operator wrote in the namespace since a mark, without Events.
    ///
    /// # Errors
    /// When the audit log cannot be read.
    pub fn operator_writes(&self, mark: Mark) -> Result<Counts> {
        let mut events = self.control_plane.audit_since(mark)?;
        events.retain(|event| event.namespace == self.namespace);
        Ok(audit::writes(&events, &audit::account(NAMESPACE, ACCOUNT)))
    }
}
