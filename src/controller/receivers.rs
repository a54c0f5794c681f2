//! Who gets digests: configured where the operator is installed, reached by HTTP.
//!
//! An address never comes out of an object of the cluster: whoever may write one could have the operator call anything.
//!
//! Whom to trust is compiled in, Mozilla's list, or stands beside the address. The image holds nothing but this program: a
//! client that asks the system for its list finds none there and cannot even be made, not for plain HTTP either.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use http::{HeaderName, HeaderValue, StatusCode, Uri};
use kube::client::Body;
use kube::{Client, Config};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

use super::leadership::Leadership;

/// Deadline of one try.
const DEADLINE: Duration = Duration::from_secs(10);
/// Tries after the first one. Their pauses double from a second on.
const RETRIES: usize = 4;
/// What rustls says of a certificate by nobody whom we trust. It lies too deep in other errors to be asked for by its type,
/// and another try a second later meets the same certificate.
const UNTRUSTED: &str = "invalid peer certificate";

/// Why the receivers cannot be read.
#[derive(thiserror::Error, Debug)]
pub enum ReceiversError {
    /// The file is not there, or not ours to read.
    #[error("cannot read the receivers in {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It says something that a list of receivers does not.
    #[error("{path} is no list of receivers, each with a name, a url, headers and caBundle: {message}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// The parser's words, without the text that it was given: an address can be a secret.
        message: String,
    },
    /// Two of one name.
    #[error("{path}: two receivers are called {name}; rename one")]
    Twice {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// Not an address to send to.
    #[error("url of receiver {name}: {why}")]
    Url {
        /// The receiver.
        name: String,
        /// What is wrong and what to write.
        why: &'static str,
    },
    /// Not a header.
    #[error("headers of receiver {name}: {header} is no header of HTTP, or its value is none")]
    Header {
        /// The receiver.
        name: String,
        /// The name of the header.
        header: String,
    },
    /// Nobody to trust.
    #[error(
        "caBundle of receiver {name}: {why}; write certificates as PEM, each from BEGIN CERTIFICATE to END CERTIFICATE"
    )]
    CaBundle {
        /// The receiver.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// There is no client for it.
    #[error("receiver {name}")]
    Client {
        /// The receiver.
        name: String,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
}

/// A receiver, as it is configured.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Configured {
    name: String,
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// As `caBundle` of a webhook: with it, nobody else is trusted.
    #[serde(default)]
    ca_bundle: String,
}

/// A receiver that can be sent to.
pub struct Receiver {
    client: Client,
    path_and_query: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    host: String,
}

/// Why something was not delivered.
#[derive(Debug)]
pub struct Undelivered {
    /// In words, without the address.
    pub message: String,
    again: bool,
}

/// The receivers of a file, by name; none without a file.
pub fn read(path: Option<&Path>) -> Result<BTreeMap<String, Receiver>, ReceiversError> {
    let Some(path) = path else { return Ok(BTreeMap::new()) };
    let text = std::fs::read_to_string(path).map_err(|source| ReceiversError::Read { path: path.into(), source })?;
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<BTreeMap<String, Receiver>, ReceiversError> {
    let options = serde_saphyr::options! { with_snippet: false };
    let configured: Vec<Configured> = serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| ReceiversError::Parse { path: path.into(), message: error.to_string() })?;
    let mut all = BTreeMap::new();
    for one in configured {
        let name = one.name.clone();
        if all.insert(name.clone(), Receiver::new(one)?).is_some() {
            return Err(ReceiversError::Twice { path: path.into(), name });
        }
    }
    Ok(all)
}

impl Receiver {
    fn new(configured: Configured) -> Result<Self, ReceiversError> {
        let Configured { name, url, headers, ca_bundle } = configured;
        let wrong = |why| ReceiversError::Url { name: name.clone(), why };
        let uri: Uri = url.parse().map_err(|_| wrong("it cannot be read; write https://<host>/<path>"))?;
        let mut parts = uri.into_parts();
        if !parts.scheme.as_ref().is_some_and(|scheme| ["http", "https"].contains(&scheme.as_str())) {
            return Err(wrong("it begins neither with https:// nor with http://"));
        }
        let host = parts.authority.as_ref().map(ToString::to_string).filter(|host| !host.contains('@'));
        let host = host.ok_or_else(|| wrong("it has no host, or a password in it, which belongs into headers"))?;
        let asked = parts.path_and_query.replace(http::uri::PathAndQuery::from_static("/"));
        let base = Uri::from_parts(parts).map_err(|_| wrong("it cannot be read; write https://<host>/<path>"))?;
        let header = |(key, value): (String, String)| {
            let wrong = || ReceiversError::Header { name: name.clone(), header: key.clone() };
            let mut value = HeaderValue::try_from(value).map_err(|_| wrong())?;
            value.set_sensitive(true);
            Ok((HeaderName::try_from(key.as_str()).map_err(|_| wrong())?, value))
        };
        let headers = headers.into_iter().map(header).collect::<Result<_, _>>()?;
        // kube's client is an HTTP client with TLS that is there anyway; without a cluster's account it sends no credentials
        let mut config = Config::new(base);
        config.root_cert = Some(trusted(&name, &ca_bundle)?);
        config.default_retry = false;
        config.connect_timeout = Some(DEADLINE);
        let client = Client::try_from(config)
            .map_err(|source| ReceiversError::Client { name: name.clone(), source: Box::new(source) })?;
        let path_and_query = asked.map_or_else(|| "/".to_owned(), |asked| asked.to_string());
        Ok(Self { client, path_and_query, headers, host })
    }

    /// Sends JSON, and again after a pause where that may help.
    pub async fn deliver(
        &self,
        json: &[u8],
        until: tokio::time::Instant,
        leadership: &Leadership,
    ) -> Result<(), Undelivered> {
        let mut pauses = ExponentialBuilder::default().with_jitter().with_max_times(RETRIES).build();
        loop {
            // nobody is told by two
            let writes = leadership.write().await;
            let Err(failure) = self.post(json).await else { return Ok(()) };
            drop(writes);
            let pause = pauses.next().filter(|_| failure.again);
            let Some(pause) = pause.filter(|pause| tokio::time::Instant::now() + *pause < until) else {
                return Err(failure);
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn post(&self, json: &[u8]) -> Result<(), Undelivered> {
        let failed = |again, why: String| Undelivered { message: format!("{}: {why}", self.host), again };
        let mut request = http::Request::post(&self.path_and_query)
            .header(http::header::CONTENT_TYPE, "application/json")
            .header(http::header::USER_AGENT, concat!("goldenpath/", env!("CARGO_PKG_VERSION")))
            .body(Body::from(json.to_vec()))
            .map_err(|error| failed(false, error.to_string()))?;
        for (name, value) in &self.headers {
            request.headers_mut().insert(name, value.clone());
        }
        match tokio::time::timeout(DEADLINE, self.client.send(request)).await {
            Err(_) => Err(failed(true, format!("no answer within {} s", DEADLINE.as_secs()))),
            Ok(Err(error)) => {
                let why = crate::observability::outcome::chain(&error);
                Err(failed(!why.contains(UNTRUSTED), why))
            }
            Ok(Ok(answer)) if answer.status().is_success() => Ok(()),
            Ok(Ok(answer)) => Err(failed(may_help(answer.status()), format!("it answered {}", answer.status()))),
        }
    }
}

/// The certificates of those who may say that a receiver is who it is.
fn trusted(name: &str, ca_bundle: &str) -> Result<Vec<Vec<u8>>, ReceiversError> {
    let wrong = |why: String| ReceiversError::CaBundle { name: name.to_owned(), why };
    if ca_bundle.is_empty() {
        return Ok(TLS_SERVER_ROOT_CERTS.iter().map(|certificate| certificate.to_vec()).collect());
    }
    let certificates = CertificateDer::pem_slice_iter(ca_bundle.as_bytes())
        .map(|certificate| certificate.map(|certificate| certificate.to_vec()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| wrong(error.to_string()))?;
    if certificates.is_empty() { Err(wrong("there is no certificate in it".to_owned())) } else { Ok(certificates) }
}

/// Whether another try can end otherwise. A redirection is not followed: nobody configured where it leads.
fn may_help(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn found(text: &str) -> Result<BTreeMap<String, Receiver>, ReceiversError> {
        parse(Path::new("receivers.yaml"), text)
    }

    #[rstest]
    #[case::no_list("name: a", "receivers.yaml is no list of receivers")]
    #[case::a_field_too_many("[{name: a, url: 'https://h/token', token: x}]", "is no list of receivers")]
    #[case::twice("[{name: a, url: 'https://h'}, {name: a, url: 'https://h'}]", "two receivers are called a")]
    #[case::no_scheme("[{name: a, url: h}]", "url of receiver a: it begins neither with")]
    #[case::another_scheme("[{name: a, url: 'ftp://h'}]", "url of receiver a: it begins neither with")]
    #[case::a_password("[{name: a, url: 'https://u:p@h'}]", "url of receiver a: it has no host, or a password")]
    #[case::nobody_to_trust(
        "[{name: a, url: 'https://h', caBundle: aGVsbG8=}]",
        "caBundle of receiver a: there is no certificate in it; write"
    )]
    #[case::half_a_certificate(
        "[{name: a, url: 'https://h', caBundle: \"-----BEGIN CERTIFICATE-----\\naGVs\\n\"}]",
        "caBundle of receiver a: "
    )]
    #[case::no_header("[{name: a, url: 'https://h', headers: {'a b': c}}]", "headers of receiver a: a b is no header")]
    #[tokio::test]
    async fn what_cannot_be_sent_to_is_named(#[case] text: &str, #[case] words: &str) {
        let error = found(text).err().unwrap().to_string();
        assert!(error.contains(words), "{error}");
        assert!(!error.contains("token: x") && !error.contains("h/token"), "an address is a secret: {error}");
    }

    #[tokio::test]
    async fn an_address_keeps_its_path_and_query() {
        let all =
            found("[{name: a, url: 'https://h:8443/hooks/x?key=1', headers: {authorization: Bearer x}}]").unwrap();
        assert_eq!((all["a"].host.as_str(), all["a"].path_and_query.as_str()), ("h:8443", "/hooks/x?key=1"));
        assert!(read(None).unwrap().is_empty());
    }

    #[rstest]
    #[case(503, true)]
    #[case(429, true)]
    #[case(302, false)]
    #[case(404, false)]
    fn only_what_passes_is_tried_again(#[case] status: u16, #[case] again: bool) {
        assert_eq!(may_help(StatusCode::from_u16(status).unwrap()), again);
    }
}
