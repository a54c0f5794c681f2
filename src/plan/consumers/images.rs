//! Images of the containers of an object, whatever its kind, and the patterns that they are compared with.

use serde_json::Value;

/// Where objects keep the spec of a pod: workloads, CronJobs, Pods and PodTemplates.
const POD_SPECS: [&str; 4] = ["/spec/template/spec", "/spec/jobTemplate/spec/template/spec", "/spec", "/template/spec"];
/// Containers of every sort.
const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// Images of all containers of an object.
pub fn images(object: &Value) -> impl Iterator<Item = &str> {
    let specs = POD_SPECS.iter().filter_map(|place| object.pointer(place));
    let lists = specs.flat_map(|spec| CONTAINERS.iter().filter_map(|list| spec.get(list)?.as_array()));
    lists.flatten().filter_map(|container| container.get("image")?.as_str())
}

/// Whether a text is as a pattern says, in which `*` stands for any characters, also for none.
#[must_use]
pub fn is_like(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        // the earliest place leaves most for what follows
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.len() >= last.len() && rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::a_pod(json!({"spec": {"containers": [{"image": "a"}], "ephemeralContainers": [{"image": "b"}]}}), &["a", "b"])]
    #[case::a_deployment(
        json!({"spec": {"template": {"spec": {"initContainers": [{"image": "i"}], "containers": [{"image": "a"}]}}}}),
        &["a", "i"]
    )]
    #[case::a_cron_job(
        json!({"spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": [{"image": "a"}]}}}}}}),
        &["a"]
    )]
    #[case::a_pod_template(json!({"template": {"spec": {"containers": [{"image": "a"}]}}}), &["a"])]
    #[case::no_pods(json!({"data": {"containers": "a"}, "spec": {"containers": {"image": "a"}}}), &[])]
    #[case::no_image(json!({"spec": {"containers": [{"name": "a"}, {"image": 7}]}}), &[])]
    fn images_of_every_kind_are_found(#[case] object: Value, #[case] expected: &[&str]) {
        assert_eq!(images(&object).collect::<Vec<_>>(), expected);
    }

    #[rstest]
    #[case::the_same("nginx", "nginx", true)]
    #[case::no_part_of_it("nginx:1", "nginx", false)]
    #[case::the_beginning("registry.example.com/base/java8u412", "registry.example.com/base/java8*", true)]
    #[case::nothing_more("a/java8", "a/java8*", true)]
    #[case::the_end("docker.io/nginx:latest", "*:latest", true)]
    #[case::in_between("a/x/nginx:1.2", "a/*/nginx:*", true)]
    #[case::over_slashes("a/x/y/nginx:1.2", "a/*/nginx:*", true)]
    #[case::both_ends_must_fit("aba", "ab*ba", false)]
    #[case::the_end_is_not_the_first_one("a:latest-x:latest", "a*:latest", true)]
    #[case::everything("anything", "*", true)]
    #[case::a_dot_is_a_dot("registryXexample.com/a", "registry.example.com/*", false)]
    #[case::beyond_ascii("bild/ä:1", "bild/*:1", true)]
    fn a_star_stands_for_anything(#[case] text: &str, #[case] pattern: &str, #[case] expected: bool) {
        assert_eq!(is_like(text, pattern), expected);
    }
}
