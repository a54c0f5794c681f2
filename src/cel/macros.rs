//! The macros of CEL, compiled without expanding them: `has`, loops and `optMap`.
//!
//! The parser is told of no macros. cel's own expansion of `optMap` writes its target twice, so that a chain of 30
//! of them, 400 characters, would fill the memory before any limit could be checked.
//! (<https://github.com/google/cel-spec/blob/master/doc/langdef.md#macros>)

use ::cel::common::ast::{CallExpr, Expr, IdedExpr};

use super::error::CheckError;
use super::limits::MAX_LOOPS;
use super::lower::{Lowering, Typed};
use super::node::{Access, Loop, LoopKind, Node, OptMap};
use super::types::Type;

impl Lowering<'_> {
    /// `None` if the call is no macro: a macro called with another number of arguments is an ordinary function.
    pub(super) fn macro_call(&mut self, expr: &IdedExpr, call: &CallExpr) -> Result<Option<Typed>, CheckError> {
        let Some(target) = call.target.as_deref() else {
            return match (call.func_name.as_str(), call.args.as_slice()) {
                ("has", [field]) => self.has(expr, field).map(Some),
                _ => Ok(None),
            };
        };
        let found = match (call.func_name.as_str(), call.args.as_slice()) {
            ("all", [x, condition]) => self.test(LoopKind::All, target, &[x], condition),
            ("all", [x, y, condition]) => self.test(LoopKind::All, target, &[x, y], condition),
            ("exists", [x, condition]) => self.test(LoopKind::Exists, target, &[x], condition),
            ("exists", [x, y, condition]) => self.test(LoopKind::Exists, target, &[x, y], condition),
            ("exists_one", [x, condition]) => self.test(LoopKind::ExistsOne, target, &[x], condition),
            ("existsOne", [x, y, condition]) => self.test(LoopKind::ExistsOne, target, &[x, y], condition),
            ("filter", [x, condition]) => self.collect(target, x, Some(condition), None),
            ("map", [x, value]) => self.collect(target, x, None, Some(value)),
            ("map", [x, condition, value]) => self.collect(target, x, Some(condition), Some(value)),
            ("optMap", [x, value]) => self.opt_map(target, x, value, false),
            ("optFlatMap", [x, value]) => self.opt_map(target, x, value, true),
            _ => return Ok(None),
        };
        found.map(Some)
    }

    fn has(&mut self, expr: &IdedExpr, field: &IdedExpr) -> Result<Typed, CheckError> {
        match &field.expr {
            Expr::Select(select) => {
                let (node, of) = self.select(field, &select.operand, &select.field, Access::Presence)?;
                match node {
                    // cel-go answers with the field's value instead of true where this is a branch of a conditional
                    Node::Select(select) if select.optional => {
                        Err(self.wrong(expr, "has() does not work on an optional; write a.?b.hasValue()"))
                    }
                    node => Ok((node, of)),
                }
            }
            _ => {
                Err(self.wrong(expr, "has() takes a field, as in has(object.spec.replicas); for a key write 'k' in m"))
            }
        }
    }

    fn variable(&self, expr: &IdedExpr) -> Result<String, CheckError> {
        match &expr.expr {
            Expr::Ident(name) if !name.starts_with('.') && name != "__result__" => Ok(name.clone()),
            _ => Err(self.wrong(expr, "the first argument must be the name of a variable, as in all(c, ..)")),
        }
    }

    /// Lowers the range of a loop: the node, and the types of its one or two variables.
    fn range(&mut self, target: &IdedExpr, pairs: bool) -> Result<(Node, Vec<Type>), CheckError> {
        let (range, of) = self.lower(target)?;
        if of.is_open() {
            return Err(self.wrong(target, "a loop over an empty literal does nothing; leave it out"));
        }
        let types = match (of, pairs) {
            (Type::Dyn, false) => vec![Type::Dyn],
            (Type::Dyn, true) => vec![Type::Dyn, Type::Dyn],
            (Type::List(item), false) => vec![*item],
            (Type::List(item), true) => vec![Type::Int, *item],
            (Type::Map(key, _), false) => vec![*key],
            (Type::Map(key, value), true) => vec![*key, *value],
            (other, _) => return Err(self.wrong(target, &format!("a loop needs a list or a map, not a {other}"))),
        };
        Ok((range, types))
    }

    /// Runs `inner` with the variables of a loop in scope.
    fn within<T>(
        &mut self,
        names: &[&IdedExpr],
        types: Vec<Type>,
        inner: impl FnOnce(&mut Self) -> Result<T, CheckError>,
    ) -> Result<T, CheckError> {
        let slot = self.locals.len();
        for (name, of) in names.iter().zip(types) {
            let name = self.variable(name)?;
            self.locals.push((name, of));
        }
        let lowered = inner(self);
        self.locals.truncate(slot);
        lowered
    }

    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, CheckError>) -> Result<T, CheckError> {
        self.loops += 1;
        if self.loops > MAX_LOOPS {
            return Err(CheckError::TooDeep { what: "loops", depth: self.loops, max: MAX_LOOPS });
        }
        let lowered = inner(self);
        self.loops -= 1;
        lowered
    }

    fn test(
        &mut self,
        kind: LoopKind,
        target: &IdedExpr,
        names: &[&IdedExpr],
        condition: &IdedExpr,
    ) -> Result<Typed, CheckError> {
        let pairs = names.len() == 2;
        if pairs && self.variable(names[0])? == self.variable(names[1])? {
            return Err(self.wrong(names[1], "the two variables of a loop need different names"));
        }
        let (range, types) = self.range(target, pairs)?;
        let slot = self.locals.len();
        let condition = self.nested(|this| this.within(names, types, |this| this.condition(condition)))?;
        let lowered = Loop { kind, range, slot, pairs, condition: Some(condition), yields: None };
        Ok((Node::Loop(Box::new(lowered)), Type::Bool))
    }

    fn collect(
        &mut self,
        target: &IdedExpr,
        name: &IdedExpr,
        condition: Option<&IdedExpr>,
        value: Option<&IdedExpr>,
    ) -> Result<Typed, CheckError> {
        let (range, types) = self.range(target, false)?;
        let element = types.first().cloned().unwrap_or(Type::Dyn);
        let slot = self.locals.len();
        let (condition, value) = self.nested(|this| {
            this.within(&[name], types, |this| {
                Ok((
                    condition.map(|c| this.condition(c)).transpose()?,
                    value.map(|value| this.lower(value)).transpose()?,
                ))
            })
        })?;
        let (yields, of) = value.map_or((None, element), |(node, of)| (Some(node), of));
        let lowered = Loop { kind: LoopKind::Collect, range, slot, pairs: false, condition, yields };
        Ok((Node::Loop(Box::new(lowered)), Type::List(Box::new(of))))
    }

    fn opt_map(
        &mut self,
        target: &IdedExpr,
        name: &IdedExpr,
        body: &IdedExpr,
        flat: bool,
    ) -> Result<Typed, CheckError> {
        let (node, of) = self.lower(target)?;
        let inner = match of {
            Type::Optional(inner) if !inner.is_open() => *inner,
            // cel-go lets the first use of the variable decide its type: optMap(v, int(v)) then fails on a string
            other if other == Type::Dyn || other.is_open() => {
                let message =
                    "optMap needs an optional of the form a.?b; after [..] write a conditional or orValue(..)";
                return Err(self.wrong(target, message));
            }
            other => {
                return Err(self.wrong(target, &format!("optMap needs an optional, not a {other}; write `.?field`")));
            }
        };
        let slot = self.locals.len();
        let (body_node, body_of) = self.within(&[name], vec![inner], |this| this.lower(body))?;
        let result = match body_of {
            Type::Optional(_) | Type::Dyn | Type::Free if flat => body_of,
            other if flat => return Err(self.wrong(body, &format!("optFlatMap must yield an optional, not a {other}"))),
            other => Type::Optional(Box::new(other)),
        };
        Ok((Node::OptMap(Box::new(OptMap { target: node, slot, body: body_node, flat })), result))
    }
}
