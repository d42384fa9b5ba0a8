//! Conflicts.
use super::{
    operator::Operator,
    template::{Expr, Template},
};
use alloy_primitives::U256;

/// Whether two calls with different arguments may mean one slot by two templates. `false` rests on
/// hashes not colliding, and on no hash being a small number.
pub(super) fn may_coincide(left: &Template, right: &Template) -> bool {
    let (left_base, left_offset) = split(left);
    let (right_base, right_offset) = split(right);
    let are_small = left_offset.bit_len() <= 64 && right_offset.bit_len() <= 64;
    match (left_base.map(Template::expr), right_base.map(Template::expr)) {
        (None, None) => left_offset == right_offset,
        (None, Some(Expr::Keccak { .. })) | (Some(Expr::Keccak { .. }), None) => !are_small,
        (
            Some(Expr::Keccak { words: left, length: left_length }),
            Some(Expr::Keccak { words: right, length: right_length }),
        ) if are_small => {
            left_offset == right_offset
                && left_length == right_length
                && left.iter().zip(right).all(|(left, right)| may_coincide(left, right))
        }
        _ => true,
    }
}

/// A template as a base and a number to be added.
fn split(template: &Template) -> (Option<&Template>, U256) {
    match template.expr() {
        Expr::Constant(number) => (None, *number),
        Expr::Apply(Operator::Add, base, offset) => match offset.as_constant() {
            Some(offset) => (Some(base), offset),
            None => (Some(template), U256::ZERO),
        },
        _ => (Some(template), U256::ZERO),
    }
}
