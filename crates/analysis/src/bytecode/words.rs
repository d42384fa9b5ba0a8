//! What is said of a function, in words that its author understands.

use std::{collections::BTreeMap, fmt::Write as _, sync::LazyLock};

use alloy_primitives::{U256, keccak256};

use super::{
    conflict::{Action, Scope, Touch, split},
    function::{Entry, Function},
    operator::{Operand, Operator},
    simplify::NEIGHBOURS,
    template::{Expr, Template, argument_at, number},
};

/// What functions, arguments and variables are called, where that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The functions by selector.
    pub functions: BTreeMap<[u8; 4], Signature>,
    /// The state variables.
    pub variables: Vec<Variable>,
}

/// A function as it is declared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signature {
    /// Its name.
    pub name: String,
    /// Names and types of its arguments in order. Names may be empty.
    pub arguments: Vec<(String, String)>,
}

/// A state variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub label: String,
    /// The slot it begins in.
    pub slot: U256,
    /// The byte in the slot at which it begins, counted from the low end.
    pub offset: u32,
    /// How many bytes it has in all.
    pub bytes: u32,
}

/// Where the arrays of the first slots begin.
static ARRAYS: LazyLock<Vec<U256>> = LazyLock::new(|| {
    let begin = |slot: u64| keccak256(U256::from(slot).to_be_bytes::<32>()).into();
    (0..64).map(begin).collect()
});

/// The entries for key zero in mappings of the first slots.
static ZERO_ENTRIES: LazyLock<Vec<U256>> = LazyLock::new(|| {
    let entry = |slot: u64| keccak256([[0; 32], U256::from(slot).to_be_bytes::<32>()].concat());
    (0..64).map(|slot| entry(slot).into()).collect()
});

/// Key zero.
static ZERO: LazyLock<Template> = LazyLock::new(|| Template::constant(U256::ZERO));

impl Names {
    /// What `entry` is called: its name, or its selector.
    pub fn entry(&self, entry: Entry) -> String {
        match entry {
            Entry::Selector(selector) => match self.functions.get(&selector) {
                Some(signature) => format!("{}()", signature.name),
                None => alloy_primitives::hex::encode_prefixed(selector),
            },
            Entry::Receive => "receive".to_owned(),
            Entry::Fallback => "fallback".to_owned(),
        }
    }

    /// The function with the types of its arguments, as far as they are known.
    pub fn heading(&self, function: &Function) -> String {
        let Entry::Selector(selector) = function.entry else { return self.entry(function.entry) };
        let Some(signature) = self.functions.get(&selector) else {
            let types = function.arguments.as_ref().map(|types| types.join(", "));
            return format!("{}({})", self.entry(function.entry), types.unwrap_or_default());
        };
        let arguments = signature.arguments.iter().map(|(name, kind)| format!("{kind} {name}"));
        let arguments: Vec<_> = arguments.map(|text| text.trim_end().to_owned()).collect();
        format!("{}({})", signature.name, arguments.join(", "))
    }

    /// What a touch is and whom it sets at odds, as `` `increments slot 7: every call conflicts` ``.
    pub fn touch(&self, function: &Function, touch: &Touch) -> String {
        let action = self.action(function, touch);
        if touch.action == Action::Read {
            return format!("{action}: {}", self.writers(touch));
        }
        let mut text = format!("{action}: {}", self.scope(function, &touch.scope));
        if let Action::Add { is_tested, .. } = touch.action {
            text += if is_tested {
                " (the additions would commute, but what was there may decide something)"
            } else {
                " (the additions would commute)"
            };
        }
        text
    }

    fn action(&self, function: &Function, touch: &Touch) -> String {
        let place = |bits: U256| {
            let slot = self.bits_of_slot(function, &touch.slot, bits);
            if bits == U256::MAX || slot.1 { slot.0 } else { format!("a part of {}", slot.0) }
        };
        let slot = place(U256::MAX);
        match &touch.action {
            Action::Read => format!("reads {slot}"),
            Action::Set(value) => format!("sets {slot} to {}", number(*value)),
            Action::Add { bits, by, .. } => {
                let slot = place(*bits);
                match by.as_ref().map(|by| (by, by.as_constant())) {
                    Some((_, Some(one))) if one == U256::from(1) => format!("increments {slot}"),
                    Some((_, Some(less))) if less == U256::MAX => format!("decrements {slot}"),
                    Some((by, None)) if by.is_known() => match negated(by) {
                        Some(by) => format!("takes {} from {slot}", self.template(function, by)),
                        None => format!("adds {} to {slot}", self.template(function, by)),
                    },
                    _ => format!("adds to {slot}"),
                }
            }
            Action::WriteBits(bits) => format!("writes {}", place(*bits)),
            Action::Write => format!("writes {slot}"),
            Action::Update => format!("reads and writes {slot}"),
        }
    }

    /// Which calls of the function conflict.
    fn scope(&self, function: &Function, scope: &Scope) -> String {
        if scope.unknown {
            return "may conflict with any other, as it is not known which slot that is".to_owned();
        }
        if scope.is_everything() {
            return "every call conflicts".to_owned();
        }
        let mut same = Vec::new();
        if !scope.arguments.is_empty() {
            let names = scope.arguments.iter().map(|index| self.argument(function, *index));
            same.push(format!("with the same {}", names.collect::<Vec<_>>().join(" and ")));
        }
        if scope.other {
            same.push("with the same input otherwise".to_owned());
        }
        if !scope.loads.is_empty() {
            let slots = scope.loads.iter().map(|slot| self.slot(function, slot));
            same.push(format!("that find the same in {}", slots.collect::<Vec<_>>().join(" and ")));
        }
        let caller = if scope.caller { " of the same caller" } else { "" };
        let same = same.join(" and ");
        format!("calls{caller}{}{same} conflict", if same.is_empty() { "" } else { " " })
    }

    fn writers(&self, touch: &Touch) -> String {
        let names: Vec<_> = touch.writers.iter().map(|entry| self.entry(*entry)).collect();
        let shown = names.len().min(4);
        let mut text = format!("written by {}", names[..shown].join(", "));
        if names.len() > shown {
            let _ = write!(text, " and {} more", names.len() - shown);
        }
        text
    }

    /// The slot in words: `` slot 7 (`totalSupply`) ``, `` `balanceOf[to]` `` or `slot 3[arg0]`.
    pub fn slot(&self, function: &Function, slot: &Template) -> String {
        self.bits_of_slot(function, slot, U256::MAX).0
    }

    /// The slot in words, and whether they say which bits are meant.
    fn bits_of_slot(&self, function: &Function, slot: &Template, bits: U256) -> (String, bool) {
        let place = Place::of(slot);
        let Some(place) = place else {
            let text = self.template(function, slot);
            let is_known = slot.is_known();
            return (format!("{}slot {text}", if is_known { "" } else { "an unknown " }), false);
        };
        let bits = if place.is_root() { bits } else { U256::MAX };
        let (labels, is_exact) = self.variables(place.root, bits);
        let keys = place.keys.iter().map(|key| format!("[{}]", self.template(function, key)));
        let keys: String = keys.collect();
        let root = match labels.as_slice() {
            [label] if !place.is_root() => format!("`{label}{keys}`"),
            [] => format!("slot {}{keys}", number(place.root)),
            labels => {
                let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
                format!("slot {}{keys} ({})", number(place.root), labels.join(", "))
            }
        };
        let text = match (place.is_content, place.offset) {
            (true, Some(offset)) => format!("the content of {root} + {}", number(offset)),
            (true, None) => format!("somewhere in the content of {root}"),
            (false, None) => format!("somewhere behind {root}"),
            (false, Some(U256::ZERO)) => root,
            (false, Some(offset)) => format!("{root} + {}", number(offset)),
        };
        (text, is_exact && place.is_root())
    }

    /// The variables that have some of these bits of a slot, and whether they have no others in it.
    fn variables(&self, slot: U256, bits: U256) -> (Vec<&str>, bool) {
        let (mut labels, mut covered) = (Vec::new(), U256::ZERO);
        for variable in &self.variables {
            let slots = U256::from(variable.bytes.div_ceil(32).max(1));
            if slot < variable.slot || slot - variable.slot >= slots {
                continue;
            }
            let mask = if variable.bytes >= 32 {
                U256::MAX
            } else {
                ((U256::from(1) << (8 * variable.bytes)) - U256::from(1)) << (8 * variable.offset)
            };
            if !(mask & bits).is_zero() {
                labels.push(variable.label.as_str());
                covered |= mask;
            }
        }
        let exact = !labels.is_empty() && covered == bits;
        (labels, exact)
    }

    fn argument(&self, function: &Function, index: usize) -> String {
        let Entry::Selector(selector) = function.entry else { return format!("arg{index}") };
        let signature = self.functions.get(&selector);
        let named = signature.and_then(|signature| signature.arguments.get(index));
        // Beyond a value of several words, words and arguments do not go together.
        let is_one_word = |kind: &str| {
            !kind.contains(['(', '[']) || (kind.ends_with("[]") && !kind.contains('('))
        };
        let in_order = signature.is_some_and(|signature| {
            signature.arguments.iter().take(index).all(|(_, kind)| is_one_word(kind))
        });
        match named {
            Some((name, _)) if in_order && !name.is_empty() => name.clone(),
            _ => format!("arg{index}"),
        }
    }

    /// What is in a slot, in words that fit an expression: the variable's name, or `slot 7`.
    fn content(&self, function: &Function, slot: &Template) -> String {
        let root = slot.as_constant().map(|root| (root, self.variables(root, U256::MAX).0));
        match root.as_ref().map(|(root, labels)| (root, labels.as_slice())) {
            Some((_, [label])) => (*label).to_owned(),
            Some((root, _)) if root.bit_len() <= 64 => format!("slot {}", number(*root)),
            _ => self.slot(function, slot).replace('`', ""),
        }
    }

    /// The template, with arguments and slots by name.
    pub fn template(&self, function: &Function, template: &Template) -> String {
        match template.expr() {
            Expr::Calldata(offset) => match argument_at(offset) {
                Some(index) => self.argument(function, index),
                None => format!("calldata[{}]", self.template(function, offset)),
            },
            Expr::Load(slot) => self.content(function, slot),
            Expr::Apply(operator, left, right) => {
                let operand = |it| Operand::new(it, self.template(function, it));
                operator.text(&operand(left), &operand(right))
            }
            Expr::Keccak { words, .. } => {
                let words = words.iter().map(|word| self.template(function, word));
                format!("keccak({})", words.collect::<Vec<_>>().join(" . "))
            }
            _ => template.to_string(),
        }
    }
}

/// A slot as compilers lay it out: a variable's, or an element of it.
struct Place<'a> {
    root: U256,
    keys: Vec<&'a Template>,
    /// How many slots further on; `None` where nobody knows.
    offset: Option<U256>,
    /// Whether it belongs to what an array or a long string holds, which begins elsewhere.
    is_content: bool,
}

impl<'a> Place<'a> {
    fn of(slot: &'a Template) -> Option<Self> {
        if let Expr::Apply(Operator::Add, base, index) = slot.expr()
            && !index.is_known()
        {
            return match base.as_constant() {
                Some(number) => Self::near(number),
                None => Self::of(base).map(|place| Self { offset: None, ..place }),
            };
        }
        let (base, offset) = split(slot);
        let Some(base) = base else { return Some(Self::of_number(offset)) };
        let Expr::Keccak { words, length } = base.expr() else { return None };
        if let ([array], 32) = (&**words, length) {
            let place = Self::of(array).filter(|place| place.is_element())?;
            return Some(Self { offset: Some(offset), is_content: true, ..place });
        }
        let ([first, second], 64) = (&**words, length) else { return None };
        // Solidity hashes the key and then the slot, Vyper the other way round.
        for (key, slot) in [(first, second), (second, first)] {
            let is_slot = match slot.expr() {
                Expr::Constant(number) => number.bit_len() <= 64,
                Expr::Keccak { .. } => true,
                _ => false,
            };
            if is_slot && let Some(mut place) = Self::of(slot).filter(Self::is_element) {
                place.keys.push(key);
                place.offset = Some(offset);
                return Some(place);
            }
        }
        None
    }

    /// Whether it is where a variable or an element begins, and not behind that.
    fn is_element(&self) -> bool {
        self.offset == Some(U256::ZERO) && !self.is_content
    }

    fn of_number(slot: U256) -> Self {
        let is_in = |begin: &U256| slot >= *begin && (slot - begin).bit_len() <= NEIGHBOURS;
        let array = (0u64..).zip(ARRAYS.iter()).find(|(_, begin)| is_in(begin));
        if let Some((root, _)) =
            (0u64..).zip(ZERO_ENTRIES.iter()).find(|(_, entry)| **entry == slot)
        {
            let (keys, offset) = (vec![&*ZERO], Some(U256::ZERO));
            return Self { root: U256::from(root), keys, offset, is_content: false };
        }
        let (root, offset) = match array {
            Some((root, begin)) => (U256::from(root), slot - begin),
            None => (slot, U256::ZERO),
        };
        Self { root, keys: Vec::new(), offset: Some(offset), is_content: array.is_some() }
    }

    /// Somewhere in the array that begins near a number.
    fn near(number: U256) -> Option<Self> {
        let is_near = |begin: &U256| number >> NEIGHBOURS == *begin >> NEIGHBOURS;
        let (root, _) = (0u64..).zip(ARRAYS.iter()).find(|(_, begin)| is_near(begin))?;
        Some(Self { root: U256::from(root), keys: Vec::new(), offset: None, is_content: true })
    }

    /// Whether the variables of the root's slot are meant themselves.
    fn is_root(&self) -> bool {
        self.keys.is_empty() && self.is_element()
    }
}

/// What is subtracted, where a template is zero less something.
fn negated(by: &Template) -> Option<&Template> {
    match by.expr() {
        Expr::Apply(Operator::Sub, zero, by) if zero.as_constant() == Some(U256::ZERO) => Some(by),
        _ => None,
    }
}
