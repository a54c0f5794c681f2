//! Calls of functions and methods, compiled to the signatures that may fit.

use ::cel::common::ast::{CallExpr, Expr, IdedExpr};

use super::error::CheckError;
use super::limits::{Fault, Meter};
use super::lower::{Lowering, Typed};
use super::node::{Callee, Literal, Node};
use super::pattern::Pattern;
use super::signatures::{self, Call, Overload};
use super::types::Type;
use super::value::Value;

/// Functions an API server applies to literals when it compiles.
const CONVERSIONS: &[&str] = &["bool", "double", "int", "string"];

impl Lowering<'_> {
    /// A function, an operator that is one, or a method.
    pub(super) fn function(&mut self, expr: &IdedExpr, call: &CallExpr) -> Result<Typed, CheckError> {
        // `sets.contains(a, b)` is a function of that name, not a method of a variable `sets`
        let qualified = call.target.as_ref().and_then(|target| match &target.expr {
            Expr::Ident(space) => Some(format!("{space}.{}", call.func_name)),
            _ => None,
        });
        let qualified = qualified.filter(|name| signatures::named(name, false).next().is_some());
        let receiver = if qualified.is_some() { None } else { call.target.as_deref() };
        let name = qualified.as_deref().unwrap_or(&call.func_name);
        if signatures::named(name, receiver.is_some()).next().is_none() {
            return Err(unknown_function(name, receiver.is_some()));
        }
        let mut args = Vec::with_capacity(call.args.len() + 1);
        let mut types = Vec::with_capacity(call.args.len() + 1);
        for part in receiver.into_iter().chain(&call.args) {
            let (node, of) = self.lower(part)?;
            args.push(node);
            types.push(of);
        }
        let Some((overloads, result)) = signatures::resolve(name, receiver.is_some(), &types) else {
            let message = if types.iter().any(Type::is_open) {
                format!("the operands of `{}` have no known type; write dyn(..) around them", plain(name))
            } else {
                no_overload(name, receiver.is_some(), &types)
            };
            return Err(self.wrong(expr, &message));
        };
        if receiver.is_some() && matches!(name, "or" | "orValue") {
            let operands = <[Node; 2]>::try_from(args).map_err(|_| self.wrong(expr, "one argument is needed"))?;
            return Ok((Node::OrElse { operands: Box::new(operands), unwrap: name == "orValue" }, result));
        }
        if let (true, [Node::Literal(literal)]) = (CONVERSIONS.contains(&name), args.as_slice()) {
            return self.fold(expr, literal, &overloads).map(|node| (node, result));
        }
        let pattern = self.pattern(expr, name, &args)?;
        Ok((Node::Call(Box::new(Callee { name: name.into(), overloads, args, pattern })), result))
    }

    /// Converts a literal. An API server does so when it compiles, and refuses what cannot be converted.
    fn fold(&self, expr: &IdedExpr, literal: &Literal, overloads: &[&Overload]) -> Result<Node, CheckError> {
        let args = [Value::from(literal)];
        let mut meter = Meter::new();
        let mut call = Call { args: &args, pattern: None, meter: &mut meter };
        let converted = overloads.first().map(|overload| (overload.run)(&mut call));
        match converted {
            Some(Ok(Value::Bool(b))) => Ok(Node::Literal(Literal::Bool(b))),
            Some(Ok(Value::Int(i))) => Ok(Node::Literal(Literal::Int(i))),
            Some(Ok(Value::Double(d))) => Ok(Node::Literal(Literal::Double(d))),
            Some(Ok(Value::Text(text))) => Ok(Node::Literal(Literal::Text((&*text).into()))),
            Some(Err(Fault::Failed(message))) => Err(self.wrong(expr, &message)),
            _ => Err(self.wrong(expr, "this cannot be converted")),
        }
    }

    /// Patterns must be literals: they are then compiled once, and a bad one is found before any object is seen.
    fn pattern(&self, expr: &IdedExpr, name: &str, args: &[Node]) -> Result<Option<Pattern>, CheckError> {
        if !matches!(name, "matches" | "find" | "findAll") {
            return Ok(None);
        }
        let Some(Node::Literal(Literal::Text(pattern))) = args.get(1) else {
            return Err(self.wrong(expr, &format!("the pattern of {name} must be written out, as in {name}('^a+$')")));
        };
        Pattern::new(pattern)
            .map(Some)
            .map_err(|why| self.wrong(expr, &format!("the pattern {pattern:?} cannot be used: {why}")))
    }
}

fn unknown_function(name: &str, method: bool) -> CheckError {
    let similar = signatures::similar(name);
    let known = if signatures::named(name, !method).next().is_some() {
        if method { format!("call it as {name}(..)") } else { format!("call it as value.{name}(..)") }
    } else if similar.is_empty() {
        "only the functions listed in the documentation of checks are supported".to_owned()
    } else {
        format!("did you mean {}?", similar.join(" or "))
    };
    CheckError::UnknownReference { name: format!("{name}()"), known }
}

/// `+` for `_+_`, `in` for `@in`.
pub(super) fn plain(name: &str) -> &str {
    name.trim_matches('_').trim_start_matches('@')
}

fn no_overload(name: &str, method: bool, types: &[Type]) -> String {
    let list = |types: &[Type]| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let operator = plain(name);
    match types {
        [a, b] if operator != name => format!("`{operator}` cannot be applied to {a} and {b}"),
        [a] if operator != name => format!("`{operator}` cannot be applied to {a}"),
        [receiver, rest @ ..] if method => format!("{receiver} has no {name}({})", list(rest)),
        _ => format!("there is no {name}({})", list(types)),
    }
}
