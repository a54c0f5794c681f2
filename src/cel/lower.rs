//! From the parser's syntax tree to [`Node`]s: resolves names, checks types, and refuses what an API server would
//! refuse or we do not offer. Macros are in [`macros`](super::macros).

use ::cel::common::ast::{
    CallExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr, ListExpr, LiteralValue, SourceInfo, operators,
};

use super::error::CheckError;
use super::limits::MAX_DEPTH;
use super::node::{Access, Index, Literal, Node, Root, Select};
use super::types::{Namespace, Type};

/// A compiled part and its type.
pub(super) type Typed = (Node, Type);

/// Names of types that can be compared with `type(x)`.
const TYPE_NAMES: &[&str] = &["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];

/// API servers up to 1.37 panic when they compile `[?object.a]`.
const OPTIONAL_ENTRY: &str = "optional entries, as in [?a] and {?k: a}, are not supported; use a conditional";

/// What a check can refer to, for an error text.
const KNOWN_VARIABLES: &str = "it knows object, namespaceObject and variables.template";

/// Walks one expression.
pub(super) struct Lowering<'s> {
    source: &'s SourceInfo,
    /// Variables of the loops around, innermost last; the position is the slot.
    pub(super) locals: Vec<(String, Type)>,
    depth: usize,
    pub(super) loops: usize,
}

impl<'s> Lowering<'s> {
    pub(super) const fn new(source: &'s SourceInfo) -> Self {
        Self { source, locals: Vec::new(), depth: 0, loops: 0 }
    }

    /// Compiles a whole check, which must be a `bool` and nothing else, as in a `ValidatingAdmissionPolicy`.
    pub(super) fn check(mut self, expr: &IdedExpr) -> Result<Node, CheckError> {
        let (node, found) = self.lower(expr)?;
        match found {
            Type::Bool => Ok(node),
            Type::Dyn | Type::Free => Err(CheckError::NotBoolean {
                found: format!("{}, whose type is only known at run time; write `.. == true`", node.describe()),
            }),
            other => Err(CheckError::NotBoolean { found: format!("of type {other}") }),
        }
    }

    /// An error of the expression, with its place.
    pub(super) fn wrong(&self, at: &IdedExpr, message: &str) -> CheckError {
        let place = self.source.offset_for(at.id).map(|(start, _)| {
            let before = self.source.source.chars().take(start as usize);
            let (line, column) =
                before.fold((1, 1), |(line, column), c| if c == '\n' { (line + 1, 1) } else { (line, column + 1) });
            format!(" (line {line}, column {column})")
        });
        CheckError::DoesNotCompile { message: format!("{message}{}", place.unwrap_or_default()) }
    }

    pub(super) fn lower(&mut self, expr: &IdedExpr) -> Result<Typed, CheckError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(CheckError::TooDeep { what: "operators and calls", depth: self.depth, max: MAX_DEPTH });
        }
        let lowered = match &expr.expr {
            Expr::Literal(literal) => self.literal(expr, literal),
            Expr::Ident(name) => self.ident(name),
            Expr::Select(select) => self.select(expr, &select.operand, &select.field, Access::Value),
            Expr::Call(call) => self.call(expr, call),
            Expr::List(list) => self.list(expr, list),
            Expr::Map(map) => self.map(expr, &map.entries),
            Expr::Struct(message) => Err(CheckError::UnknownReference {
                name: message.type_name.clone(),
                known: "Kubernetes objects are maps; write {'key': value}".into(),
            }),
            Expr::Comprehension(_) | Expr::Unspecified => Err(self.wrong(expr, "this part has no meaning")),
        };
        self.depth -= 1;
        lowered
    }

    fn literal(&self, expr: &IdedExpr, literal: &LiteralValue) -> Result<Typed, CheckError> {
        let (literal, of) = match literal {
            LiteralValue::Null => (Literal::Null, Type::Null),
            LiteralValue::Boolean(b) => (Literal::Bool(*b.inner()), Type::Bool),
            LiteralValue::Int(i) => (Literal::Int(*i.inner()), Type::Int),
            LiteralValue::Double(d) => (Literal::Double(*d.inner()), Type::Double),
            LiteralValue::String(s) => (Literal::Text(s.inner().into()), Type::String),
            LiteralValue::UInt(_) => return Err(self.wrong(expr, "uint is not supported; leave the `u` out")),
            LiteralValue::Bytes(_) => return Err(self.wrong(expr, "bytes are not supported; leave the `b` out")),
        };
        Ok((Node::Literal(literal), of))
    }

    fn local(&self, name: &str) -> Option<Typed> {
        let slot = self.locals.iter().rposition(|(local, _)| local == name)?;
        let of = self.locals.get(slot).map(|(_, of)| of.clone())?;
        Some((Node::Local(slot, name.into()), of))
    }

    fn ident(&self, name: &str) -> Result<Typed, CheckError> {
        if let Some(local) = self.local(name) {
            return Ok(local);
        }
        match name {
            "object" => Ok((Node::Root(Root::Object), Type::Dyn)),
            "namespaceObject" => Ok((Node::Root(Root::NamespaceObject), Type::Namespace(Namespace::Root))),
            _ => match TYPE_NAMES.iter().find(|known| **known == name) {
                Some(known) => Ok((Node::Type(known), Type::Meta)),
                None => Err(CheckError::UnknownReference { name: name.to_owned(), known: KNOWN_VARIABLES.to_owned() }),
            },
        }
    }

    /// `operand.field`, `operand.?field` and `has(operand.field)`.
    pub(super) fn select(
        &mut self,
        expr: &IdedExpr,
        operand: &IdedExpr,
        field: &str,
        access: Access,
    ) -> Result<Typed, CheckError> {
        if matches!(&operand.expr, Expr::Ident(name) if name == "variables") && self.local("variables").is_none() {
            return match (field, access) {
                ("template", Access::Value) => Ok((Node::Root(Root::Template), Type::Dyn)),
                ("template", _) => Err(self.wrong(expr, "variables.template is always there")),
                _ => Err(CheckError::UnknownReference {
                    name: format!("variables.{field}"),
                    known: KNOWN_VARIABLES.to_owned(),
                }),
            };
        }
        let (operand, of) = self.lower(operand)?;
        let (inner, optional) = match &of {
            Type::Optional(inner) => (&**inner, true),
            other => (other, false),
        };
        let selected = match inner {
            Type::Dyn | Type::Free => Type::Dyn,
            Type::Map(_, value) => (**value).clone(),
            Type::Namespace(part) => part.field(field).ok_or_else(|| CheckError::UnknownReference {
                name: format!("{}.{field}", operand.describe()),
                known: format!("a check can read {}", part.fields()),
            })?,
            other => return Err(self.wrong(expr, &format!("a {other} has no fields, so `.{field}` cannot be read"))),
        };
        let selected = match access {
            Access::Presence => Type::Bool,
            Access::Value if !optional => selected,
            _ => Type::Optional(Box::new(selected)),
        };
        Ok((Node::Select(Box::new(Select { operand, field: field.into(), access, optional })), selected))
    }

    fn index(&mut self, expr: &IdedExpr, args: [&IdedExpr; 2], access: Access) -> Result<Typed, CheckError> {
        let (operand, of) = self.lower(args[0])?;
        let (key, key_of) = self.lower(args[1])?;
        let (inner, optional) = match &of {
            Type::Optional(inner) => (&**inner, true),
            other => (other, false),
        };
        let item = match inner {
            // a literal of another type is refused by API servers too, in their own way
            Type::Dyn | Type::Free
                if matches!(key_of, Type::Dyn | Type::Free | Type::Int | Type::Double | Type::String | Type::Bool) =>
            {
                Some(Type::Dyn)
            }
            Type::List(item) => Type::Int.join(&key_of).map(|_| (**item).clone()),
            Type::Map(keys, value) => keys.join(&key_of).map(|_| (**value).clone()),
            _ => None,
        };
        let Some(item) = item else {
            return Err(self.wrong(expr, &format!("a {inner} cannot be indexed with a {key_of}")));
        };
        // where several signatures fit, cel-go knows nothing: `a[?b]` is `dyn` while `a.?b` is an optional
        if of.is_open() {
            return Err(self.wrong(expr, "an empty literal has no items to look up"));
        }
        let unknown = matches!(inner, Type::Dyn | Type::Free);
        let item = match access {
            Access::Optional if !optional && unknown => Type::Dyn,
            _ if optional && unknown && matches!(key_of, Type::Dyn | Type::Int) => Type::Dyn,
            _ if optional && unknown => Type::Optional(Box::new(Type::Free)),
            Access::Value if !optional => item,
            _ => Type::Optional(Box::new(item)),
        };
        Ok((Node::Index(Box::new(Index { operand, key, access })), item))
    }

    fn call(&mut self, expr: &IdedExpr, call: &CallExpr) -> Result<Typed, CheckError> {
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::IN, [_, list]) if matches!(&list.expr, Expr::List(list) if list.elements.is_empty()) => {
                Err(self.wrong(expr, "nothing is in an empty list; write false"))
            }
            (operators::LOGICAL_AND, [a, b]) => Ok((Node::And(self.logical(a, b)?), Type::Bool)),
            (operators::LOGICAL_OR, [a, b]) => Ok((Node::Or(self.logical(a, b)?), Type::Bool)),
            (operators::CONDITIONAL, [condition, yes, no]) => self.conditional(expr, [condition, yes, no]),
            (operators::INDEX, [operand, key]) => self.index(expr, [operand, key], Access::Value),
            (operators::OPT_INDEX, [operand, key]) => self.index(expr, [operand, key], Access::Optional),
            (operators::OPT_SELECT, [operand, field]) => match &field.expr {
                Expr::Literal(LiteralValue::String(field)) => {
                    self.select(expr, operand, field.inner(), Access::Optional)
                }
                _ => Err(self.wrong(expr, "after `.?` a field's name is expected")),
            },
            _ => match self.macro_call(expr, call)? {
                Some(expanded) => Ok(expanded),
                None => self.function(expr, call),
            },
        }
    }

    /// The operands of `&&` and `||`.
    fn logical(&mut self, a: &IdedExpr, b: &IdedExpr) -> Result<Box<[Node; 2]>, CheckError> {
        Ok(Box::new([self.condition(a)?, self.condition(b)?]))
    }

    /// A part that must be a `bool`.
    pub(super) fn condition(&mut self, expr: &IdedExpr) -> Result<Node, CheckError> {
        match self.lower(expr)? {
            (node, of) if of.may_be_bool() => Ok(node),
            (_, other) => Err(self.wrong(expr, &format!("a bool is needed here, not a {other}"))),
        }
    }

    fn conditional(&mut self, expr: &IdedExpr, [condition, yes, no]: [&IdedExpr; 3]) -> Result<Typed, CheckError> {
        let condition = self.condition(condition)?;
        let (yes, yes_of) = self.lower(yes)?;
        let (no, no_of) = self.lower(no)?;
        let of = yes_of.join(&no_of).ok_or_else(|| {
            self.wrong(expr, &format!("both sides of `:` must have one type, not {yes_of} and {no_of}"))
        })?;
        Ok((Node::Conditional(Box::new([condition, yes, no])), of))
    }

    fn list(&mut self, expr: &IdedExpr, list: &ListExpr) -> Result<Typed, CheckError> {
        if !list.optional_indices.is_empty() {
            return Err(self.wrong(expr, OPTIONAL_ENTRY));
        }
        let mut of = Type::Free;
        let mut items = Vec::with_capacity(list.elements.len());
        for element in &list.elements {
            let (item, item_of) = self.lower(element)?;
            of = self.same(element, &of, &item_of)?;
            items.push(item);
        }
        Ok((Node::List(items), Type::List(Box::new(of))))
    }

    fn map(&mut self, expr: &IdedExpr, entries: &[IdedEntryExpr]) -> Result<Typed, CheckError> {
        let (mut keys, mut values) = (Type::Free, Type::Free);
        let mut lowered = Vec::with_capacity(entries.len());
        for entry in entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else {
                return Err(self.wrong(expr, "a map has keys and values"));
            };
            if entry.optional {
                return Err(self.wrong(expr, OPTIONAL_ENTRY));
            }
            let (key, key_of) = self.lower(&entry.key)?;
            if !matches!(key_of, Type::String | Type::Int | Type::Bool | Type::Dyn) {
                return Err(self.wrong(&entry.key, &format!("a {key_of} cannot be a key; use a string, int or bool")));
            }
            let (value, value_of) = self.lower(&entry.value)?;
            keys = self.same(&entry.key, &keys, &key_of)?;
            values = self.same(&entry.value, &values, &value_of)?;
            lowered.push((key, value));
        }
        Ok((Node::Map(lowered), Type::Map(Box::new(keys), Box::new(values))))
    }

    /// API servers want list and map literals of one type throughout, `dyn` being one.
    fn same(&self, at: &IdedExpr, so_far: &Type, this: &Type) -> Result<Type, CheckError> {
        match so_far.join(this) {
            Some(joined) if so_far.is_equivalent(this) => Ok(joined),
            _ => {
                let message = format!("one literal cannot hold both {so_far} and {this}; wrap each in dyn(..)");
                Err(self.wrong(at, &message))
            }
        }
    }
}
