//! When a policy acts, and what it does to labels, annotations and the operator's own managedFields entry.

use super::cel_text::string;
use super::leaves::Variable;
use crate::api::labels;
use crate::plan::metadata::pointer;
use crate::plan::ownership::CLIENT_SIDE_APPLY;

/// Name and expression of a match condition.
pub struct MatchCondition {
    pub name: &'static str,
    pub expression: String,
}

pub fn label(object: &str, name: &str) -> String {
    format!("{object}.metadata[?'labels'][?{}]", string(name))
}

pub fn annotation(object: &str, name: &str) -> String {
    format!("{object}.metadata[?'annotations'][?{}]", string(name))
}

pub const CREATES: &str = "request.operation == 'CREATE'";

fn template_changes() -> String {
    "(request.kind.kind == 'CronJob' \
     ? object.spec.jobTemplate.spec.template != oldObject.spec.jobTemplate.spec.template \
     : object.spec.template != oldObject.spec.template)"
        .to_owned()
}

/// `fill` is the operator's request to act now.
pub fn fill_changes() -> String {
    let (new, old) = (annotation("object", labels::FILL), annotation("oldObject", labels::FILL));
    format!("({new}.hasValue() && {new} != {old})")
}

/// Setting `skip` is a person's request to act now. Dropping it is not: nothing comes back before the next rollout.
fn skip_is_set() -> String {
    let all = format!("optional.of({})", string(labels::SKIP_ALL));
    let (new, old) = (annotation("object", labels::SKIP), annotation("oldObject", labels::SKIP));
    format!("({new} == {all} && {old} != {all})")
}

/// A label that the old object has is missing: `kubectl replace` and Helm's `--force` drop labels that they do not know.
fn label_is_missing() -> String {
    let missing = labels::WORKLOAD_LABELS
        .map(|name| format!("({}.hasValue() && !{}.hasValue())", label("oldObject", name), label("object", name)));
    format!("({} || {})", missing.join(" || "), format_args!("{OLD_LABELS}.exists(k, {})", skip_is_missing()))
}

const OLD_LABELS: &str = "oldObject.metadata[?'labels'].orValue({})";

/// Label `k` of the old object says that the workload does without a default, and the new object does not have it.
fn skip_is_missing() -> String {
    format!("k.startsWith({}) && !(k in object.metadata[?'labels'].orValue({{}}))", string(labels::SKIP_PREFIX))
}

/// The workload carries the label of a revision, also where the request drops it.
pub fn is_revision(revision: &str) -> MatchCondition {
    let effective = format!(
        "{}.orValue({CREATES} ? '' : {}.orValue(''))",
        label("object", labels::REVISION),
        label("oldObject", labels::REVISION)
    );
    MatchCondition { name: "revision", expression: format!("{effective} == {}", string(revision)) }
}

/// The workload is on its way from `path` to another one. Here the old object's label does not count: this policy takes the
/// label away, and is run again when the other path's has changed the object after it; it would take out what that filled.
pub fn is_switching(path: &str) -> MatchCondition {
    let here = label("object", labels::RELEASE);
    MatchCondition { name: "release", expression: format!("{here} == optional.of({})", string(path)) }
}

/// A policy acts on a request about a workload of which `whose` is true.
pub fn match_conditions(whose: MatchCondition, operator: &str) -> Vec<MatchCondition> {
    vec![
        whose,
        MatchCondition {
            name: "acts",
            expression: format!(
                "{CREATES} || {} || {} || {} || {}",
                template_changes(),
                fill_changes(),
                skip_is_set(),
                label_is_missing()
            ),
        },
        MatchCondition {
            name: "not-the-operator",
            // what the operator itself deploys, from a template, is filled like anybody's
            expression: format!(
                "request.userInfo.username != {} || {CREATES} || {} || ({}.hasValue() && {})",
                string(operator),
                fill_changes(),
                annotation("object", labels::APPLIED),
                template_changes()
            ),
        },
    ]
}

/// What every policy knows about the request.
pub fn variables() -> Vec<Variable> {
    let all = [request(), ownership(), acting()].into_iter().flatten();
    all.map(|(name, expression)| Variable { name: name.to_owned(), expression }).collect()
}

type Named = (&'static str, String);

fn request() -> Vec<Named> {
    vec![
        ("cronJob", "request.kind.kind == 'CronJob'".to_owned()),
        ("base", "variables.cronJob ? '/spec/jobTemplate/spec/template/spec' : '/spec/template/spec'".to_owned()),
        (
            "template",
            "dyn(variables.cronJob ? object.spec.jobTemplate.spec.template : object.spec.template)".to_owned(),
        ),
        ("spec", "variables.template.spec".to_owned()),
        ("containers", "variables.spec.containers".to_owned()),
        ("initContainers", "variables.spec[?'initContainers'].orValue([])".to_owned()),
    ]
}

/// Who owns what: `fieldsV1` below the pod spec, one a manager.
fn ownership() -> Vec<Named> {
    let pod_fields = |managers: &str| {
        let below = |template: &str| {
            format!("{managers}.map(m, dyn(m.fieldsV1){template}[?'f:spec']).filter(f, f.hasValue()).map(f, f.value())")
        };
        format!(
            "variables.cronJob ? {} : {}",
            below("[?'f:spec'][?'f:jobTemplate'][?'f:spec'][?'f:template']"),
            below("[?'f:spec'][?'f:template']")
        )
    };
    let in_containers = |owners: &str, list: &str| {
        format!(
            "variables.{list}.map(c, variables.{owners}.map(o, o[?'f:{list}'][?'k:{{\"name\":\"' + c.name + '\"}}'])\
             .filter(o, o.hasValue()).map(o, o.value()))"
        )
    };
    vec![
        (
            "managers",
            "object.metadata[?'managedFields'].orValue([])\
             .filter(m, m[?'fieldsV1'].hasValue() && m[?'subresource'].orValue('') == '')"
                .to_owned(),
        ),
        ("tracked", "variables.managers.exists(m, dyn(m.fieldsV1)[?'f:spec'].hasValue())".to_owned()),
        // a policy that has changed an object is run a second time: what it fills on CREATE it leaves alone then
        ("earlier", format!("!({CREATES}) && variables.tracked")),
        ("ownersPod", pod_fields("variables.managers")),
        ("ownersContainers", in_containers("ownersPod", "containers")),
        ("ownersInitContainers", in_containers("ownersPod", "initContainers")),
        // those that send back what they have read, with a change
        (
            "editorsPod",
            pod_fields(&format!(
                "variables.managers.filter(m, m[?'operation'].orValue('') != 'Apply' && m[?'manager'].orValue('') != {})",
                string(CLIENT_SIDE_APPLY)
            )),
        ),
        ("editorsContainers", in_containers("editorsPod", "containers")),
        ("editorsInitContainers", in_containers("editorsPod", "initContainers")),
        (
            "lastApplied",
            format!("{}.orValue('')", annotation("object", "kubectl.kubernetes.io/last-applied-configuration")),
        ),
        ("appliedRequests", applied_quantities("requests")),
        ("appliedLimits", applied_quantities("limits")),
    ]
}

/// What stands in all maps of that name: quantities have no braces.
fn applied_quantities(map: &str) -> String {
    let opening = string(&format!("\"{map}\":{{"));
    format!("variables.lastApplied.split({opening}).transformList(i, text, i > 0, text.split('}}')[0]).join(',')")
}

fn acting() -> Vec<Named> {
    let skip = |object: &str| annotation(object, labels::SKIP);
    let all = string(labels::SKIP_ALL);
    vec![
        ("templateChanges", format!("!({CREATES}) && {}", template_changes())),
        ("changes", format!("{CREATES} || {} || {} || {}", template_changes(), fill_changes(), skip_is_set())),
        // labels that a request loses come back, so the old object's count as well
        (
            "skips",
            format!(
                "(object.metadata[?'labels'].orValue({{}}).map(k, k) + ({CREATES} ? [] : {OLD_LABELS}.map(k, k)))\
                 .filter(k, k.startsWith({}))",
                string(labels::SKIP_PREFIX)
            ),
        ),
        (
            "enforcing",
            format!(
                "{}.orValue({CREATES} ? '' : {}.orValue('')) == 'Enforce'",
                label("object", labels::MODE),
                label("oldObject", labels::MODE)
            ),
        ),
        // `kubectl rollout undo` replaces all annotations: a request that changes the template cannot lose the skip
        (
            "skipIsLost",
            format!(
                "{} == optional.of({all}) && !{}.hasValue() && variables.templateChanges",
                skip("oldObject"),
                skip("object")
            ),
        ),
        ("skipped", format!("{} == optional.of({all}) || variables.skipIsLost", skip("object"))),
    ]
}

fn pointer_to(map: &str, name: &str) -> String {
    string(&pointer(["metadata", map, name]))
}

/// Labels and `skip` come back where a request lost them.
pub fn restore() -> Vec<String> {
    let parent = |map: &str, condition: &str| {
        format!(
            "({condition} && !object.metadata[?'{map}'].hasValue() \
             ? [JSONPatch{{op: 'add', path: '/metadata/{map}', value: dyn({{}})}}] : [])"
        )
    };
    let mut lost = vec![parent("labels", "true")];
    for name in labels::WORKLOAD_LABELS {
        let (new, old) = (label("object", name), label("oldObject", name));
        lost.push(format!(
            "({old}.hasValue() && !{new}.hasValue() ? [JSONPatch{{op: 'add', path: {}, value: {old}.value()}}] : [])",
            pointer_to("labels", name)
        ));
    }
    // Where the others are lost as well: alone, the policy of the path that is left has taken it away in this very request. And
    // where the template stays: who replaces both labels and template has taken the values out, which are in no manifest.
    let (new, old) = (label("object", labels::RELEASE), label("oldObject", labels::RELEASE));
    lost.push(format!(
        "({old}.hasValue() && !{new}.hasValue() && !{}.hasValue() && !variables.templateChanges \
         ? [JSONPatch{{op: 'add', path: {}, value: {old}.value()}}] : [])",
        label("object", labels::SERVICE),
        pointer_to("labels", labels::RELEASE)
    ));
    lost.push(format!(
        "{OLD_LABELS}.map(k, k).filter(k, {}).map(k, JSONPatch{{op: 'add', \
         path: '/metadata/labels/' + jsonpatch.escapeKey(k), value: oldObject.metadata.labels[k]}})",
        skip_is_missing()
    ));
    let mut operations = vec![format!("(!({CREATES}) && {} ? {} : [])", label_is_missing(), lost.join("\n + "))];
    operations.push(parent("annotations", "variables.skipIsLost"));
    operations.push(format!(
        "(variables.skipIsLost ? [JSONPatch{{op: 'add', path: {}, value: {}}}] : [])",
        pointer_to("annotations", labels::SKIP),
        string(labels::SKIP_ALL)
    ));
    operations
}

/// The values of a path are gone, and so is the label that asked for it, with the operator's record of it: the API server
/// keeps the record of a label that a policy takes away.
pub fn switch() -> Vec<String> {
    let record = ["f:metadata", "f:labels", &format!("f:{}", labels::RELEASE)];
    let mine = format!(
        "m.manager == {} && dyn(m[?'fieldsV1'].orValue({{}})){}.hasValue()",
        string(labels::FIELD_MANAGER),
        record.map(|name| format!("[?{}]", string(name))).concat()
    );
    vec![
        format!(
            "({}.hasValue() ? [JSONPatch{{op: 'remove', path: {}}}] : [])",
            label("object", labels::RELEASE),
            pointer_to("labels", labels::RELEASE)
        ),
        format!(
            "object.metadata[?'managedFields'].orValue([]).transformList(i, m, {mine}, \
             JSONPatch{{op: 'remove', path: '/metadata/managedFields/' + string(i) + '/fieldsV1' + {}}})",
            string(&pointer(record))
        ),
    ]
}

/// The workload leaves the road: labels, `fill` and the operator's managedFields entry, which holds nothing else. What it
/// applies from a template is another entry, and stays.
pub fn leave() -> Vec<String> {
    let mut operations: Vec<String> = labels::WORKLOAD_LABELS
        .iter()
        .map(|name| {
            let here = label("object", name);
            let path = pointer_to("labels", name);
            format!("({here}.hasValue() ? [JSONPatch{{op: 'remove', path: {path}}}] : [])")
        })
        .collect();
    operations.push(format!(
        "object.metadata[?'labels'].orValue({{}}).map(k, k).filter(k, k.startsWith({})).map(k, JSONPatch{{op: 'remove', \
         path: '/metadata/labels/' + jsonpatch.escapeKey(k)}})",
        string(labels::SKIP_PREFIX)
    ));
    operations.push(format!(
        "({}.hasValue() ? [JSONPatch{{op: 'remove', path: {}}}] : [])",
        annotation("object", labels::FILL),
        pointer_to("annotations", labels::FILL)
    ));
    // more than one entry would shift the indexes; there is one, as the operator writes nothing but metadata
    let mine = format!(
        "m.manager == {} && m[?'operation'].orValue('') == 'Update' && m[?'subresource'].orValue('') == ''",
        string(labels::FIELD_MANAGER)
    );
    operations.push(format!(
        "(object.metadata[?'managedFields'].orValue([]).filter(m, {mine}).size() == 1 \
         ? object.metadata.managedFields.transformList(i, m, {mine}, \
           JSONPatch{{op: 'remove', path: '/metadata/managedFields/' + string(i)}}) : [])"
    ));
    operations
}
