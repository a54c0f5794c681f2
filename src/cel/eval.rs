//! Evaluates a compiled check. Recursion follows the syntax tree, whose depth is bounded when it is compiled.

use super::Subject;
use super::calls::plain;
use super::limits::{Fault, LIST_COST, MAP_COST, Meter};
use super::node::{Access, Callee, Index, Loop, LoopKind, Node, OptMap, Root, Select};
use super::signatures::Call;
use super::value::{List, Map, Value};

type Answer<'a> = Result<Value<'a>, Fault>;

/// The one or two variables of a loop in one round.
type Binding<'a> = (Value<'a>, Value<'a>);

/// One evaluation: the subject, the variables of the loops it is in, and what is left to spend.
pub(super) struct Evaluation<'a> {
    subject: &'a Subject<'a>,
    locals: Vec<Value<'a>>,
    pub(super) meter: Meter,
}

impl<'a> Evaluation<'a> {
    pub(super) const fn new(subject: &'a Subject<'a>) -> Self {
        Self { subject, locals: Vec::new(), meter: Meter::new() }
    }

    /// The value of a node.
    pub(super) fn value(&mut self, node: &'a Node) -> Answer<'a> {
        self.meter.charge(1)?;
        match node {
            Node::Literal(literal) => Ok(Value::from(literal)),
            Node::Root(root) => Ok(Value::from(match root {
                Root::Object => self.subject.object,
                Root::NamespaceObject => self.subject.namespace_object,
                Root::Template => self.subject.template,
            })),
            Node::Local(slot, name) => {
                self.locals.get(*slot).cloned().ok_or_else(|| Fault::new(format!("{name} has no value")))
            }
            Node::Type(name) => Ok(Value::Type(name)),
            Node::Select(select) => self.select(select),
            Node::Index(index) => self.index(index),
            Node::And(operands) => self.logical(operands, false),
            Node::Or(operands) => self.logical(operands, true),
            Node::Conditional(parts) => {
                let [condition, yes, no] = &**parts;
                if self.truth(condition)? { self.value(yes) } else { self.value(no) }
            }
            Node::Call(callee) => self.call(callee),
            Node::List(items) => self.list(items),
            Node::Map(entries) => self.map(entries),
            Node::Loop(this) => self.run_loop(this),
            Node::OrElse { operands, unwrap } => self.or_else(operands, *unwrap),
            Node::OptMap(this) => self.opt_map(this),
        }
    }

    /// A node whose value must be a bool.
    pub(super) fn truth(&mut self, node: &'a Node) -> Result<bool, Fault> {
        match self.value(node)? {
            Value::Bool(b) => Ok(b),
            other => Err(Fault::new(format!("{} is a {}, not a bool", node.describe(), other.type_name()))),
        }
    }

    #[inline(never)]
    fn select(&mut self, select: &'a Select) -> Answer<'a> {
        let operand = self.value(&select.operand)?;
        self.meter.charge_text(select.field.len())?;
        let missing = || {
            let operand = select.operand.describe();
            let field = &select.field;
            Fault::new(format!(
                "{operand} has no field `{field}`; ask has({operand}.{field}) first, or read {operand}.?{field}"
            ))
        };
        access(operand, select.access, missing, |value| match value {
            Value::Map(map) => Ok(map.field(&select.field)),
            Value::List(_) => Err(Fault::new(format!("{} is a list, it has no fields", select.operand.describe()))),
            _ => Ok(None),
        })
    }

    #[inline(never)]
    fn index(&mut self, index: &'a Index) -> Answer<'a> {
        let operand = self.value(&index.operand)?;
        let key = self.value(&index.key)?;
        if !matches!(key, Value::Text(_) | Value::Int(_) | Value::Double(_) | Value::Bool(_)) {
            return Err(Fault::new(format!("a {} can be no key and no index", key.type_name())));
        }
        let meter = &mut self.meter;
        let missing = || {
            let key = match &key {
                Value::Text(key) => format!("key '{}'", &**key),
                Value::Int(i) => format!("item {i}"),
                other => format!("item for this {}", other.type_name()),
            };
            Fault::new(format!("{} has no {key}; look it up with [?..] and orValue(..)", index.operand.describe()))
        };
        access(operand, index.access, missing, |value| match value {
            Value::Map(map) => map.find(&key, meter),
            Value::List(list) => {
                let list = list.in_order()?;
                Ok(list_index(&key)?.and_then(|i| list.get(i)))
            }
            _ => Ok(None),
        })
    }

    /// `&&` and `||` do not care for the order of their operands: one that decides beats an error on the other side.
    #[inline(never)]
    fn logical(&mut self, operands: &'a [Node; 2], decides: bool) -> Answer<'a> {
        let mut error = None;
        for operand in operands {
            match self.truth(operand) {
                Ok(b) if b == decides => return Ok(Value::Bool(decides)),
                Ok(_) => {}
                Err(Fault::TooCostly) => return Err(Fault::TooCostly),
                Err(fault) => error = Some(fault),
            }
        }
        error.map_or(Ok(Value::Bool(!decides)), Err)
    }

    #[inline(never)]
    fn call(&mut self, callee: &'a Callee) -> Answer<'a> {
        let mut args = Vec::with_capacity(callee.args.len());
        for arg in &callee.args {
            args.push(self.value(arg)?);
        }
        let Some(overload) = callee.overloads.iter().find(|o| o.fits(&args)) else {
            let types: Vec<_> = args.iter().map(Value::type_name).collect();
            let name = plain(&callee.name);
            return Err(Fault::new(format!("`{name}` cannot be applied to {}", types.join(" and "))));
        };
        let mut call = Call { args: &args, pattern: callee.pattern.as_ref(), meter: &mut self.meter };
        (overload.run)(&mut call)
    }

    #[inline(never)]
    fn list(&mut self, items: &'a [Node]) -> Answer<'a> {
        self.meter.charge(LIST_COST)?;
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            values.push(self.value(item)?);
        }
        Ok(Value::list(values))
    }

    /// Of two entries with one key the last stays, as in cel-go.
    #[inline(never)]
    fn map(&mut self, entries: &'a [(Node, Node)]) -> Answer<'a> {
        self.meter.charge(MAP_COST)?;
        let mut map: Vec<(Value<'a>, Value<'a>)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let key = self.value(key)?;
            if !matches!(key, Value::Text(_) | Value::Int(_) | Value::Bool(_)) {
                return Err(Fault::new(format!("a {} cannot be the key of a map", key.type_name())));
            }
            let value = self.value(value)?;
            let mut known = None;
            for (i, (other, _)) in map.iter().enumerate() {
                if other.equals(&key, &mut self.meter)? {
                    known = Some(i);
                }
            }
            match known.and_then(|i| map.get_mut(i)) {
                Some(entry) => entry.1 = value,
                None => map.push((key, value)),
            }
        }
        Ok(Value::Map(Map::Made(map.into())))
    }

    #[inline(never)]
    fn run_loop(&mut self, this: &'a Loop) -> Answer<'a> {
        let range = self.value(&this.range)?;
        let (bindings, ordered) = self.bindings(this, &range)?;
        let result = match this.kind {
            LoopKind::All => self.quantifier(this, bindings, false),
            LoopKind::Exists => self.quantifier(this, bindings, true),
            LoopKind::ExistsOne => self.exists_one(this, bindings),
            LoopKind::Collect => self.collect(this, bindings).map(|values| Value::List(List::made(values, ordered))),
        };
        self.locals.truncate(this.slot);
        result
    }

    /// The values of a loop's variables in each round, and whether their order means something.
    fn bindings(&mut self, this: &'a Loop, range: &Value<'a>) -> Result<(Vec<Binding<'a>>, bool), Fault> {
        match range {
            Value::List(list) => {
                self.meter.charge(list.len())?;
                let list = if this.pairs { list.in_order()? } else { list };
                let number = |i| Value::Int(i64::try_from(i).unwrap_or(i64::MAX));
                let pair = |(i, v)| if this.pairs { (number(i), v) } else { (v, Value::Null) };
                Ok((list.iter().enumerate().map(pair).collect(), list.is_ordered()))
            }
            Value::Map(map) => {
                self.meter.charge(map.len())?;
                Ok((map.entries(), map.len() < 2))
            }
            other => {
                let range = this.range.describe();
                Err(Fault::new(format!("{range} is a {}, a loop needs a list or a map", other.type_name())))
            }
        }
    }

    /// Sets the variables of a loop for one round.
    fn bind(&mut self, this: &Loop, (first, second): Binding<'a>) {
        self.locals.truncate(this.slot);
        self.locals.push(first);
        if this.pairs {
            self.locals.push(second);
        }
    }

    /// `all` and `exists`: one deciding element beats the errors of all others.
    fn quantifier(&mut self, this: &'a Loop, range: Vec<Binding<'a>>, decides: bool) -> Answer<'a> {
        let Some(condition) = &this.condition else {
            return Ok(Value::Bool(!decides));
        };
        let mut error = None;
        for binding in range {
            self.bind(this, binding);
            match self.truth(condition) {
                Ok(b) if b == decides => return Ok(Value::Bool(decides)),
                Ok(_) => {}
                Err(Fault::TooCostly) => return Err(Fault::TooCostly),
                Err(fault) => error = Some(fault),
            }
        }
        error.map_or(Ok(Value::Bool(!decides)), Err)
    }

    fn exists_one(&mut self, this: &'a Loop, range: Vec<Binding<'a>>) -> Answer<'a> {
        let Some(condition) = &this.condition else {
            return Ok(Value::Bool(false));
        };
        let mut found = 0;
        for binding in range {
            self.bind(this, binding);
            found += usize::from(self.truth(condition)?);
        }
        Ok(Value::Bool(found == 1))
    }

    fn collect(&mut self, this: &'a Loop, range: Vec<Binding<'a>>) -> Result<Vec<Value<'a>>, Fault> {
        let mut values = Vec::new();
        self.meter.charge(LIST_COST)?;
        for binding in range {
            let element = binding.0.clone();
            self.bind(this, binding);
            let wanted = match &this.condition {
                Some(condition) => self.truth(condition)?,
                None => true,
            };
            if wanted {
                self.meter.charge(LIST_COST + 2)?;
                values.push(this.yields.as_ref().map_or(Ok(element), |value| self.value(value))?);
            }
        }
        Ok(values)
    }

    #[inline(never)]
    fn or_else(&mut self, [first, second]: &'a [Node; 2], unwrap: bool) -> Answer<'a> {
        match self.value(first)? {
            Value::Optional(Some(held)) if unwrap => Ok((*held).clone()),
            Value::Optional(Some(held)) => Ok(Value::Optional(Some(held))),
            Value::Optional(None) => match self.value(second)? {
                value if unwrap || matches!(value, Value::Optional(_)) => Ok(value),
                _ => Err(Fault::new("or(..) needs an optional; for a plain value write orValue(..)")),
            },
            other => Err(Fault::new(format!("{} is a {}, not an optional", first.describe(), other.type_name()))),
        }
    }

    #[inline(never)]
    fn opt_map(&mut self, this: &'a OptMap) -> Answer<'a> {
        let held = match self.value(&this.target)? {
            Value::Optional(Some(held)) => (*held).clone(),
            Value::Optional(None) => return Ok(Value::Optional(None)),
            other => {
                let target = this.target.describe();
                return Err(Fault::new(format!("{target} is a {}, not an optional", other.type_name())));
            }
        };
        self.locals.truncate(this.slot);
        self.locals.push(held);
        let value = self.value(&this.body);
        self.locals.truncate(this.slot);
        if this.flat { value } else { value.map(Value::some) }
    }
}

/// Reads a field or item: through an optional the answer is an optional, and what is not there is none.
fn access<'a>(
    operand: Value<'a>,
    access: Access,
    missing: impl FnOnce() -> Fault,
    read: impl FnOnce(&Value<'a>) -> Result<Option<Value<'a>>, Fault>,
) -> Answer<'a> {
    let (value, access) = match operand {
        Value::Optional(None) if access == Access::Presence => return Ok(Value::Bool(false)),
        Value::Optional(None) => return Ok(Value::Optional(None)),
        Value::Optional(Some(held)) if access == Access::Value => ((*held).clone(), Access::Optional),
        Value::Optional(Some(held)) => ((*held).clone(), access),
        other => (other, access),
    };
    let found = read(&value)?;
    match access {
        Access::Presence => Ok(Value::Bool(found.is_some())),
        Access::Optional => Ok(found.map_or(Value::Optional(None), Value::some)),
        Access::Value => found.ok_or_else(missing),
    }
}

/// A whole number indexes a list, be it written as a double; out of its range is `None`.
fn list_index(key: &Value<'_>) -> Result<Option<usize>, Fault> {
    /// Doubles from here on are no `i64`.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    let number = match key {
        Value::Int(i) => *i,
        #[expect(clippy::cast_possible_truncation)] // whole and in range
        Value::Double(d) if d.fract() == 0.0 && (-LIMIT..LIMIT).contains(d) => *d as i64,
        other => {
            return Err(Fault::new(format!("a list cannot be indexed with this {}", other.type_name())));
        }
    };
    Ok(usize::try_from(number).ok())
}
