//! Contracts that run the code of others: which, and where it says so.

use alloy_primitives::{Address, U256, uint};

use super::{
    function::{Call, CallInput, CallKind, Entry, Function},
    operator::Operator,
    summary::as_address,
    template::{Expr, Template},
};

/// Keccak-256 of `eip1967.proxy.implementation`, less one.
const EIP1967_IMPLEMENTATION: U256 =
    uint!(0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc_U256);
/// Keccak-256 of `eip1967.proxy.beacon`, less one.
const EIP1967_BEACON: U256 =
    uint!(0xa3f0ad74e5423aebfd80d3ef4346578335a9a72aeaee59ff6cb3582b35133d50_U256);
/// Keccak-256 of `PROXIABLE`.
const EIP1822_LOGIC: U256 =
    uint!(0xc5f16f0fcc639fa48a6947836d9850f504798523bf8c9a3a87d5876cf622bcf7_U256);
/// Keccak-256 of `org.zeppelinos.proxy.implementation`: what there was before EIP-1967.
const ZEPPELIN_IMPLEMENTATION: U256 =
    uint!(0x7050c9e0f4ca769c69bd3a8ef740bc37934f8e2c036e5a723fd8ee048ed3f8c3_U256);

/// Whose code runs when a contract does not answer a call itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proxy {
    /// That of an address in the code itself, as in EIP-1167.
    Fixed {
        /// The address.
        target: Address,
    },
    /// That of the address in a slot.
    Slot {
        /// The slot.
        slot: U256,
        /// The convention that the slot belongs to.
        convention: Convention,
    },
    /// That of the address that a *beacon* names, whose address is in a slot (EIP-1967).
    Beacon {
        /// The slot.
        slot: U256,
    },
    /// That of an address which the storage has for each selector, as a diamond's (EIP-2535).
    Diamond {
        /// Whose code it is. Unknown in parts where the address is not simply in a slot.
        facet: Template,
    },
    /// That of an address which is found in another way.
    Other {
        /// Whose code it is.
        target: Template,
    },
}

/// By what convention a slot holds the address of the code to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Convention {
    /// EIP-1967.
    Eip1967,
    /// EIP-1822.
    Eip1822,
    /// That of ZeppelinOS, before EIP-1967.
    Zeppelin,
    /// The contract's own.
    Own,
}

impl Convention {
    fn of(slot: U256) -> Self {
        match slot {
            EIP1967_IMPLEMENTATION => Self::Eip1967,
            EIP1822_LOGIC => Self::Eip1822,
            ZEPPELIN_IMPLEMENTATION => Self::Zeppelin,
            _ => Self::Own,
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eip1967 => "EIP-1967",
            Self::Eip1822 => "EIP-1822",
            Self::Zeppelin => "ZeppelinOS",
            Self::Own => "a slot of its own",
        }
    }
}

/// What kind of proxy a contract with these functions is, if any.
///
/// It is one if its fallback passes the call data on as it came, by `DELEGATECALL`.
pub(crate) fn detect(functions: &[Function]) -> Option<Proxy> {
    let fallback = functions.iter().find(|function| function.entry == Entry::Fallback)?;
    let passes_on =
        |call: &&Call| call.kind == CallKind::DelegateCall && call.input == CallInput::Forwarded;
    let mut calls: Vec<_> = fallback.calls.iter().filter(passes_on).collect();
    // One that also delegates to fixed libraries is better told by what else it does.
    calls.sort_by_key(|call| !call.target.is_known());
    let target = &calls.first()?.target;
    if let Some(target) = as_address(target) {
        return Some(Proxy::Fixed { target });
    }
    if let Some(slot) = loaded_slot(target) {
        return Some(match slot.as_constant() {
            Some(slot) => Proxy::Slot { slot, convention: Convention::of(slot) },
            None if depends_on_selector(slot) => Proxy::Diamond { facet: target.clone() },
            None => Proxy::Other { target: target.clone() },
        });
    }
    let beacon = fallback.calls.iter().find_map(|call| match call.kind {
        CallKind::StaticCall => loaded_slot(&call.target)?.as_constant(),
        _ => None,
    });
    Some(match beacon {
        Some(slot) if slot == EIP1967_BEACON => Proxy::Beacon { slot },
        _ if depends_on_selector(target) => Proxy::Diamond { facet: target.clone() },
        _ => Proxy::Other { target: target.clone() },
    })
}

/// The slot, where a template is what a slot holds, with whatever is packed beside it taken away.
fn loaded_slot(target: &Template) -> Option<&Template> {
    match target.expr() {
        Expr::Load(slot) => Some(slot),
        Expr::Apply(Operator::And, word, mask) if mask.as_constant().is_some() => loaded_slot(word),
        Expr::Apply(Operator::Shr, bits, word) if bits.as_constant().is_some() => loaded_slot(word),
        _ => None,
    }
}

/// Whether something is found by the first word of the call data.
fn depends_on_selector(template: &Template) -> bool {
    template.any(&mut |expr| match expr {
        Expr::Calldata(offset) => offset.as_constant() == Some(U256::ZERO),
        _ => false,
    })
}

impl Proxy {
    /// Whose code runs, as a template over the contract's storage and the call. `None` where only another
    /// contract knows.
    pub fn target(&self) -> Option<Template> {
        match self {
            Self::Fixed { target } => {
                Some(Template::constant(U256::from_be_slice(target.as_slice())))
            }
            Self::Slot { slot, .. } => {
                let word = Template::new(Expr::Load(Template::constant(*slot)));
                let mask = Template::constant(U256::MAX >> 96);
                Some(Template::new(Expr::Apply(Operator::And, word, mask)))
            }
            Self::Beacon { .. } => None,
            Self::Diamond { facet: target } | Self::Other { target } => {
                target.is_known().then(|| target.clone())
            }
        }
    }
}
