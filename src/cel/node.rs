//! A compiled expression: names resolved to slots, calls to the signatures that may fit, patterns compiled.

use std::sync::Arc;

use super::pattern::Pattern;
use super::signatures::Overload;

/// An expression. Evaluating it never looks at a name again.
#[derive(Debug)]
pub(super) enum Node {
    Literal(Literal),
    Root(Root),
    /// A variable of a loop: its slot, and its name for error texts.
    Local(usize, Box<str>),
    /// A type by name, as in `type(x) == int`.
    Type(&'static str),
    /// `a.b`, `a.?b` or `has(a.b)`.
    Select(Box<Select>),
    /// `a[b]` or `a[?b]`.
    Index(Box<Index>),
    And(Box<[Node; 2]>),
    Or(Box<[Node; 2]>),
    Conditional(Box<[Node; 3]>),
    Call(Box<Callee>),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Loop(Box<Loop>),
    /// `a.or(b)`, and with `unwrap` `a.orValue(b)`: `b` is only evaluated when needed.
    OrElse {
        operands: Box<[Node; 2]>,
        unwrap: bool,
    },
    OptMap(Box<OptMap>),
}

#[derive(Debug)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Box<str>),
}

/// The variables of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Root {
    Object,
    NamespaceObject,
    Template,
}

#[derive(Debug)]
pub(super) struct Select {
    pub(super) operand: Node,
    pub(super) field: Box<str>,
    pub(super) access: Access,
    /// Whether the operand is known to be an optional.
    pub(super) optional: bool,
}

/// How a field or index is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// An error if missing.
    Value,
    /// `optional.none()` if missing.
    Optional,
    /// Whether it is there.
    Presence,
}

#[derive(Debug)]
pub(super) struct Index {
    pub(super) operand: Node,
    pub(super) key: Node,
    pub(super) access: Access,
}

pub(super) struct Callee {
    pub(super) name: Box<str>,
    pub(super) overloads: Vec<&'static Overload>,
    pub(super) args: Vec<Node>,
    pub(super) pattern: Option<Pattern>,
}

impl std::fmt::Debug for Callee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Callee").field("name", &self.name).field("args", &self.args).finish_non_exhaustive()
    }
}

/// A comprehension.
#[derive(Debug)]
pub(super) struct Loop {
    pub(super) kind: LoopKind,
    pub(super) range: Node,
    /// Slot of the element, or of the index or key where there are two variables.
    pub(super) slot: usize,
    /// Whether there is a second variable, in the next slot: the element or the map's value.
    pub(super) pairs: bool,
    /// The condition; `None` for a `map` without one.
    pub(super) condition: Option<Node>,
    /// What `map` yields.
    pub(super) yields: Option<Node>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoopKind {
    All,
    Exists,
    ExistsOne,
    /// `map`, and `filter`, which yields the element itself.
    Collect,
}

/// `target.optMap(slot, body)`; `flat` for `optFlatMap`, whose body is an optional itself.
#[derive(Debug)]
pub(super) struct OptMap {
    pub(super) target: Node,
    pub(super) slot: usize,
    pub(super) body: Node,
    pub(super) flat: bool,
}

impl Node {
    /// How the source spells this, for error texts.
    pub(super) fn describe(&self) -> Arc<str> {
        match self {
            Self::Root(Root::Object) => "object".into(),
            Self::Root(Root::NamespaceObject) => "namespaceObject".into(),
            Self::Root(Root::Template) => "variables.template".into(),
            Self::Local(_, name) => (&**name).into(),
            Self::Select(select) => format!("{}.{}", select.operand.describe(), select.field).into(),
            Self::Index(index) => {
                let key = match &index.key {
                    Node::Literal(Literal::Text(key)) => format!("'{key}'"),
                    Node::Literal(Literal::Int(key)) => key.to_string(),
                    _ => "..".into(),
                };
                format!("{}[{key}]", index.operand.describe()).into()
            }
            Self::Call(callee) if callee.name.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                format!("{}(..)", callee.name).into()
            }
            _ => "the value".into(),
        }
    }
}
