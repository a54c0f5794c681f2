//! The static types of a check, as an API server's CEL checker sees them.
//!
//! An API server compiles a policy's expression with `object` as `dyn` and `namespaceObject` as a typed struct, and
//! refuses what cannot be well typed, `1 == 'a'` or a check that is not exactly `bool`. We do the same, because the
//! same text ends up in a `ValidatingAdmissionPolicy`
//! (<https://kubernetes.io/docs/reference/using-api/cel/#type-checking>).

use std::fmt;

/// A CEL type. `bytes`, `timestamp` and `duration` are missing on purpose: JSON objects hold none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// Known at run time only, like every field of `object`.
    Dyn,
    /// Not decided: the element of `[]`, or `value()` of something unknown.
    Free,
    Null,
    Bool,
    Int,
    /// No value has it: it makes `%` of two unknown types unknown, as in cel-go.
    Uint,
    Double,
    String,
    /// The type of a type: `type(1)`.
    Meta,
    Quantity,
    List(Box<Type>),
    Map(Box<Type>, Box<Type>),
    Optional(Box<Type>),
    Namespace(Namespace),
    /// A type parameter of a signature: `T` is 0, `U` is 1.
    Param(usize),
}

/// The parts of `namespaceObject` an API server offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Namespace {
    Root,
    Metadata,
    Spec,
    Status,
    Condition,
}

impl Namespace {
    /// The type of a field, `None` if an API server has no such field.
    ///
    /// Left out although it has them: the timestamps, as we have no such type, and `UID`, which it declares under a
    /// name that no object has.
    pub(super) fn field(self, name: &str) -> Option<Type> {
        let strings = || Type::Map(Box::new(Type::String), Box::new(Type::String));
        let list = |of: Type| Type::List(Box::new(of));
        Some(match (self, name) {
            (Self::Root, "metadata") => Type::Namespace(Self::Metadata),
            (Self::Root, "spec") => Type::Namespace(Self::Spec),
            (Self::Root, "status") => Type::Namespace(Self::Status),
            (Self::Metadata, "name" | "generateName" | "namespace" | "resourceVersion")
            | (Self::Status, "phase")
            | (Self::Condition, "type" | "status" | "message" | "reason") => Type::String,
            (Self::Metadata, "labels" | "annotations") => strings(),
            (Self::Metadata, "generation" | "deletionGracePeriodSeconds") => Type::Int,
            (Self::Metadata | Self::Spec, "finalizers") => list(Type::String),
            (Self::Status, "conditions") => list(Type::Namespace(Self::Condition)),
            _ => return None,
        })
    }

    /// The fields, for an error text.
    pub(super) const fn fields(self) -> &'static str {
        match self {
            Self::Root => "metadata, spec, status",
            Self::Metadata => {
                "name, generateName, namespace, labels, annotations, generation, deletionGracePeriodSeconds, \
                 resourceVersion, finalizers"
            }
            Self::Spec => "finalizers",
            Self::Status => "phase, conditions",
            Self::Condition => "type, status, reason, message",
        }
    }
}

/// What the parameters of one signature stand for in one call.
pub(super) type Bindings = [Option<Type>; 2];

impl Type {
    /// The type both belong to, the more general of the two; `None` if they cannot be equal.
    pub(super) fn join(&self, other: &Self) -> Option<Self> {
        let both = |a: &Self, b: &Self| a.join(b).map(Box::new);
        Some(match (self, other) {
            (Self::Free, known) | (known, Self::Free) => known.clone(),
            (Self::Dyn, _) | (_, Self::Dyn) => Self::Dyn,
            (Self::List(a), Self::List(b)) => Self::List(both(a, b)?),
            (Self::Map(k, v), Self::Map(l, w)) => Self::Map(both(k, l)?, both(v, w)?),
            (Self::Optional(a), Self::Optional(b)) => Self::Optional(both(a, b)?),
            // only what is no plain value may be null
            (Self::Null, t) | (t, Self::Null) if t.is_nullable() => t.clone(),
            (a, b) if a == b => a.clone(),
            _ => return None,
        })
    }

    /// Whether this is, or holds, what `[]`, `{}` or `optional.none()` leave open.
    pub(super) fn is_open(&self) -> bool {
        match self {
            Self::Free => true,
            Self::List(t) | Self::Optional(t) => t.is_open(),
            Self::Map(k, v) => k.is_open() || v.is_open(),
            _ => false,
        }
    }

    /// Whether both can be in one list literal: an API server wants `dyn` with `dyn` only.
    pub(super) fn is_equivalent(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Free, _) | (_, Self::Free) => true,
            (Self::List(a), Self::List(b)) | (Self::Optional(a), Self::Optional(b)) => a.is_equivalent(b),
            (Self::Map(k, v), Self::Map(l, w)) => k.is_equivalent(l) && v.is_equivalent(w),
            (a, b) => a == b,
        }
    }

    fn is_nullable(&self) -> bool {
        matches!(self, Self::Null | Self::Quantity | Self::Optional(_) | Self::Namespace(_))
    }

    /// Whether an argument of type `given` fits this parameter; remembers what type parameters stand for.
    pub(super) fn accepts(&self, given: &Self, bound: &mut Bindings) -> bool {
        match (self, given) {
            (Self::Param(i), _) => {
                let Some(slot) = bound.get_mut(*i) else { return false };
                let joined = slot.as_ref().map_or_else(|| Some(given.clone()), |known| known.join(given));
                let fits = joined.is_some();
                *slot = joined;
                fits
            }
            (Self::List(a), Self::List(b)) | (Self::Optional(a), Self::Optional(b)) => a.accepts(b, bound),
            (Self::Map(k, v), Self::Map(l, w)) => k.accepts(l, bound) && v.accepts(w, bound),
            (Self::List(_) | Self::Map(..), Self::Null) => false,
            _ => self.join(given).is_some(),
        }
    }

    /// This result type with type parameters replaced.
    pub(super) fn bind(&self, bound: &Bindings) -> Self {
        let inner = |t: &Self| Box::new(t.bind(bound));
        match self {
            Self::Param(i) => bound.get(*i).cloned().flatten().unwrap_or(Self::Free),
            Self::List(t) => Self::List(inner(t)),
            Self::Map(k, v) => Self::Map(inner(k), inner(v)),
            Self::Optional(t) => Self::Optional(inner(t)),
            other => other.clone(),
        }
    }

    /// Whether a value of this type can stand where a `bool` is needed.
    pub(super) const fn may_be_bool(&self) -> bool {
        matches!(self, Self::Bool | Self::Dyn | Self::Free)
    }
}

impl fmt::Display for Type {
    /// Types inside one another are left out from the fourth on: a check can build thousands.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 4)
    }
}

impl Type {
    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        let Some(below) = depth.checked_sub(1) else {
            return f.write_str("..");
        };
        let (name, inner): (&str, &[&Self]) = match self {
            Self::Dyn | Self::Free => ("dyn", &[]),
            Self::Null => ("null", &[]),
            Self::Bool => ("bool", &[]),
            Self::Int => ("int", &[]),
            Self::Uint => ("uint", &[]),
            Self::Double => ("double", &[]),
            Self::String => ("string", &[]),
            Self::Meta => ("type", &[]),
            Self::Quantity => ("quantity", &[]),
            Self::List(t) => ("list", &[t]),
            Self::Map(k, v) => ("map", &[k, v]),
            Self::Optional(t) => ("optional", &[t]),
            Self::Namespace(Namespace::Root) => ("namespaceObject", &[]),
            Self::Namespace(part) => return write!(f, "namespaceObject.{part:?}"),
            Self::Param(0) => ("T", &[]),
            Self::Param(_) => ("U", &[]),
        };
        f.write_str(name)?;
        for (i, t) in inner.iter().enumerate() {
            f.write_str(if i == 0 { "(" } else { ", " })?;
            t.write(f, below)?;
        }
        f.write_str(if inner.is_empty() { "" } else { ")" })
    }
}
