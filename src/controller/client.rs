//! The client that writes.
//!
//! A request that is given up may still be on its way: what the kernel has taken and the network has lost is sent again for
//! minutes, also after the process has ended, and arrives when the next leader has written something else. So what nobody has
//! acknowledged in time is thrown away, before a lease can have run out (tcp(7), TCP_USER_TIMEOUT).

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::retry::RetryPolicy;
use kube::client::{ClientBuilder, ConfigExt};
use kube::{Client, Config, Error};
use tower::retry::RetryLayer;
use tower::{BoxError, ServiceBuilder};

use crate::plan::lease::ON_ITS_WAY;

/// Makes it. As kube's own but for that, and without its timeouts: each request has a deadline.
pub fn writing(config: Config) -> Result<Client, Error> {
    if config.proxy_url.is_some() {
        // what the kernel throws away has reached a proxy then, which is out of reach
        return Client::try_from(config);
    }
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_connect_timeout(config.connect_timeout);
    #[cfg(target_os = "linux")]
    http.set_tcp_user_timeout(Some(ON_ITS_WAY));
    let https = config.rustls_https_connector_with_connector(http)?;
    let retry = config.default_retry.then(|| RetryLayer::new(RetryPolicy::server_retry()));
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(retry)
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(https));
    Ok(ClientBuilder::new(service, config.default_namespace).build())
}
