//! What a request is about, in the words of Kubernetes' own `RequestInfo`: pure, from method and address alone.

use std::fmt;

use http::{Method, Uri};

/// What a request does, as RBAC and audit logs say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Read one object.
    Get,
    /// Read many objects.
    List,
    /// Follow changes.
    Watch,
    /// POST.
    Create,
    /// PUT.
    Update,
    /// PATCH.
    Patch,
    /// Delete one object.
    Delete,
    /// Delete many objects.
    DeleteCollection,
    /// Anything else, such as OPTIONS.
    Other,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Other => "other",
        })
    }
}

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestInfo {
    /// What it does.
    pub verb: Verb,
    /// Plural, with `/<subresource>` behind it where there is one; empty outside the resources, such as for `/readyz`.
    pub resource: String,
    /// Empty for cluster-scoped objects and for requests over all namespaces.
    pub namespace: String,
    /// Empty for requests that name no object.
    pub name: String,
    /// As sent, without the question mark.
    pub query: String,
}

impl RequestInfo {
    /// Reads it from what every HTTP request begins with.
    #[must_use]
    pub fn new(method: &Method, uri: &Uri) -> Self {
        let segments: Vec<&str> = uri.path().split('/').filter(|segment| !segment.is_empty()).collect();
        let below = match segments.as_slice() {
            ["api", _, below @ ..] | ["apis", _, _, below @ ..] => below,
            _ => &[],
        };
        let (namespace, below) = match below {
            // These two are subresources of the namespace itself.
            ["namespaces", _, "status" | "finalize", ..] => ("", below),
            ["namespaces", namespace, below @ ..] if !below.is_empty() => (*namespace, below),
            _ => ("", below),
        };
        let (resource, name) = match below {
            [] => (String::new(), ""),
            [resource] => ((*resource).to_owned(), ""),
            [resource, name] => ((*resource).to_owned(), *name),
            [resource, name, subresource, ..] => (format!("{resource}/{subresource}"), *name),
        };
        let query = uri.query().unwrap_or_default().to_owned();
        let one = !name.is_empty() || resource.is_empty();
        let verb = match *method {
            Method::GET if has(&query, "watch=true") || has(&query, "watch=1") => Verb::Watch,
            Method::GET if one => Verb::Get,
            Method::GET => Verb::List,
            Method::POST => Verb::Create,
            Method::PUT => Verb::Update,
            Method::PATCH => Verb::Patch,
            Method::DELETE if one => Verb::Delete,
            Method::DELETE => Verb::DeleteCollection,
            _ => Verb::Other,
        };
        Self { verb, resource, namespace: namespace.to_owned(), name: name.to_owned(), query }
    }

    /// Whether it begins to read all objects anew: the first page of a LIST, or a watch that sends them as events.
    #[must_use]
    pub fn is_full_list(&self) -> bool {
        match self.verb {
            Verb::List => !self.query.split('&').any(|pair| pair.starts_with("continue=")),
            Verb::Watch => has(&self.query, "sendInitialEvents=true"),
            _ => false,
        }
    }
}

impl fmt::Display for RequestInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        for part in [&self.namespace, &self.name].into_iter().filter(|part| !part.is_empty()) {
            write!(f, " {part}")?;
        }
        if self.query.is_empty() { Ok(()) } else { write!(f, " ?{}", self.query) }
    }
}

fn has(query: &str, pair: &str) -> bool {
    query.split('&').any(|part| part == pair)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn info(method: &Method, uri: &'static str) -> RequestInfo {
        RequestInfo::new(method, &Uri::from_static(uri))
    }

    #[rstest]
    #[case::list_everywhere(Method::GET, "/apis/apps/v1/deployments?limit=500", "list deployments ?limit=500")]
    #[case::watch(Method::GET, "/apis/apps/v1/deployments?watch=true", "watch deployments ?watch=true")]
    #[case::watch_as_go_sends_it(Method::GET, "/api/v1/namespaces?watch=1", "watch namespaces ?watch=1")]
    #[case::get(Method::GET, "/apis/batch/v1/namespaces/shop/cronjobs/nightly", "get cronjobs shop nightly")]
    #[case::get_of_a_namespace(Method::GET, "/api/v1/namespaces/shop", "get namespaces shop")]
    #[case::status_of_a_namespace(Method::PUT, "/api/v1/namespaces/shop/status", "update namespaces/status shop")]
    #[case::in_a_namespace(Method::GET, "/api/v1/namespaces/shop/pods", "list pods shop")]
    #[case::status(
        Method::PATCH,
        "/apis/goldenpath.dev/v1alpha1/goldenpaths/web/status",
        "patch goldenpaths/status web"
    )]
    #[case::create(Method::POST, "/apis/events.k8s.io/v1/namespaces/shop/events", "create events shop")]
    #[case::delete(Method::DELETE, "/api/v1/namespaces/shop/pods/a", "delete pods shop a")]
    #[case::delete_many(Method::DELETE, "/api/v1/namespaces/shop/pods", "deletecollection pods shop")]
    #[case::no_resource(Method::GET, "/readyz", "get ")]
    #[case::discovery(Method::GET, "/apis/apps/v1", "get ")]
    fn a_request_is_named_as_rbac_names_it(#[case] method: Method, #[case] uri: &'static str, #[case] expected: &str) {
        assert_eq!(info(&method, uri).to_string(), expected);
    }

    #[rstest]
    #[case::first_page("/api/v1/pods?limit=500", true)]
    #[case::next_page("/api/v1/pods?limit=500&continue=abc", false)]
    #[case::streaming_list("/api/v1/pods?watch=true&sendInitialEvents=true", true)]
    #[case::watch("/api/v1/pods?watch=true&resourceVersion=7", false)]
    fn a_full_list_is_told_from_the_rest(#[case] uri: &'static str, #[case] expected: bool) {
        assert_eq!(info(&Method::GET, uri).is_full_list(), expected);
    }
}
