//! An entry of `matches` as CEL.

use crate::api::DeprecationMatch;
use crate::policy::cel_text::{any, string};
use crate::policy::metadata::CREATES;

/// Whether an object is old. `object` names it: the object of the request, or the one before it.
///
/// The text of an expression goes in as its author wrote it. What it calls `object` is a variable of a comprehension
/// around it, so that the same text can be asked about the object as it was, and since that variable is `dyn` the API server
/// has no type to warn of. The line break ends a comment that the expression may end with.
pub fn matches(entry: &DeprecationMatch, object: &str) -> String {
    let mut terms = Vec::new();
    if !entry.images.is_empty() {
        terms.push(images(&entry.images, object));
    }
    // the request itself came through one of the versions, or the policy would not be asked
    if !entry.written_as.is_empty() && object != "object" {
        terms.push(written_as(&entry.written_as, object));
    }
    if let Some(expression) = &entry.expression {
        terms.push(format!("[dyn({object})].all(object, {expression}\n)"));
    }
    if terms.is_empty() { "true".to_owned() } else { terms.join(" && ") }
}

/// A field manager writes the object through one of the versions. Of what one manager wrote in several versions the newest
/// counts: unless it applies server-side, unchanged fields stay with the version that it wrote them in.
fn written_as(versions: &[String], object: &str) -> String {
    let versions: Vec<String> = versions.iter().map(|version| string(version)).collect();
    let is_old = |m: &str| format!("{m}[?'apiVersion'].orValue('') in [{}]", versions.join(", "));
    let is_main = |m: &str| format!("{m}[?'subresource'].orValue('') == ''");
    let is_newer = "n[?'manager'] == m[?'manager'] && n[?'operation'] == m[?'operation'] && has(n.time) && \
                    has(m.time) && timestamp(string(n.time)) > timestamp(string(m.time))";
    format!(
        "[dyn({object}).metadata[?'managedFields'].orValue([])].exists(all, all.exists(m, {} && {} && \
         !all.exists(n, {} && !({}) && {is_newer})))",
        is_main("m"),
        is_old("m"),
        is_main("n"),
        is_old("n")
    )
}

/// A container of any sort has one of the images: in a workload, a CronJob, a Pod or a PodTemplate.
fn images(globs: &[String], object: &str) -> String {
    let like = any(globs.iter().map(|glob| is_like(glob)));
    format!(
        "[dyn({object})].exists(o, \
         [o[?'spec'], o[?'spec'][?'template'][?'spec'], o[?'spec'][?'jobTemplate'][?'spec'][?'template'][?'spec'], \
         o[?'template'][?'spec']].exists(p, \
         [p[?'containers'], p[?'initContainers'], p[?'ephemeralContainers']].exists(l, \
         l.orValue([]).exists(c, [dyn(c)[?'image'].orValue('')].exists(i, {like})))))"
    )
}

/// Image `i` is as a pattern says, in which `*` stands for any characters.
fn is_like(glob: &str) -> String {
    match glob.split_once('*') {
        None => format!("i == {}", string(glob)),
        Some((first, "")) => format!("i.startsWith({})", string(first)),
        Some(_) => {
            let parts: Vec<String> = glob.split('*').map(regex::escape).collect();
            format!("i.matches({})", string(&format!("^{}$", parts.join(".*"))))
        }
    }
}

/// The request changes the content of an object: everything but metadata and status, whatever the kind.
///
/// Replicas are no content: who scales by an edit or an apply does what `kubectl scale` does, which no policy sees. Of the
/// metadata those labels and annotations are content that the expression is about: those that it names, or whose domain
/// it does. Others, such as those that controllers write, pass.
pub fn changes(entry: &DeprecationMatch) -> String {
    let rest = |object: &str| format!("dyn({object}).transformMap(k, v, !(k in ['metadata', 'status', 'spec']), v)");
    // a spec may be anything in a kind that somebody made up
    let spec = |object: &str| {
        format!(
            "dyn({object})[?'spec'].optMap(s, type(s) == map ? dyn(dyn(s).transformMap(k, v, k != 'replicas', v)) : dyn(s))"
        )
    };
    let differ = |of: &dyn Fn(&str) -> String| format!("{} != {}", of("object"), of("oldObject"));
    let mut terms = vec![CREATES.to_owned(), differ(&rest), differ(&spec)];
    if let Some(expression) = entry.expression.as_ref().filter(|expression| expression.contains("metadata")) {
        let named = |object: &str, part: &str| {
            format!(
                "dyn({object}).metadata[?'{part}'].orValue(dyn({{}})).transformMap(k, v, \
                 {}.contains(k.contains('/') ? k.split('/')[0] + '/' : k), v)",
                string(expression)
            )
        };
        terms.extend(["labels", "annotations"].map(|part| differ(&|object: &str| named(object, part))));
    }
    terms.join(" || ")
}
