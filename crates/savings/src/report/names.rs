//! What to call contracts, functions and places.

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256, hex, keccak256};
use warpline_engine::Function;

use crate::{Cause, Place};

/// Names of contracts and functions. What has none is told by its address or selector.
#[derive(Clone, Debug)]
pub struct Names {
    contracts: BTreeMap<Address, String>,
    functions: BTreeMap<[u8; 4], String>,
    slots: BTreeMap<(Address, U256), String>,
}

/// Functions that many contracts have: of tokens (ERC-20, 721, 1155, 4626) and of common exchanges.
const COMMON: [&str; 34] = [
    "transfer(address,uint256)",
    "transferFrom(address,address,uint256)",
    "approve(address,uint256)",
    "balanceOf(address)",
    "allowance(address,address)",
    "totalSupply()",
    "mint()",
    "mint(address,uint256)",
    "mint(uint256)",
    "burn(uint256)",
    "deposit()",
    "deposit(uint256)",
    "withdraw(uint256)",
    "safeTransferFrom(address,address,uint256)",
    "safeTransferFrom(address,address,uint256,bytes)",
    "safeTransferFrom(address,address,uint256,uint256,bytes)",
    "setApprovalForAll(address,bool)",
    "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)",
    "multicall(bytes[])",
    "multicall(uint256,bytes[])",
    "execute(bytes,bytes[],uint256)",
    "execute(bytes,bytes[])",
    "swap(uint256,uint256,address,bytes)",
    "swap(address,bool,int256,uint160,bytes)",
    "sync()",
    "skim(address)",
    "getReserves()",
    "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)",
    "swapExactETHForTokens(uint256,address[],address,uint256)",
    "swapExactTokensForETH(uint256,uint256,address[],address,uint256)",
    "swapTokensForExactTokens(uint256,uint256,address[],address,uint256)",
    "swapETHForExactTokens(uint256,address[],address,uint256)",
    "swapExactTokensForETHSupportingFeeOnTransferTokens(uint256,uint256,address[],address,uint256)",
    "claim()",
];

impl Default for Names {
    fn default() -> Self {
        let mut names =
            Self { contracts: BTreeMap::new(), functions: BTreeMap::new(), slots: BTreeMap::new() };
        for signature in COMMON {
            names.name_function(signature);
        }
        names
    }
}

impl Names {
    /// From now on the contract has this name.
    pub fn name_contract(&mut self, address: Address, name: impl Into<String>) {
        self.contracts.insert(address, name.into());
    }

    /// From now on a function with this signature, such as `transfer(address,uint256)`, is called so.
    pub fn name_function(&mut self, signature: &str) {
        let hash = keccak256(signature);
        let name = signature.split('(').next().unwrap_or(signature);
        self.functions.insert([hash[0], hash[1], hash[2], hash[3]], format!("{name}()"));
    }

    /// From now on the slot has this name.
    pub fn name_slot(&mut self, address: Address, slot: U256, name: impl Into<String>) {
        self.slots.insert((address, slot), name.into());
    }

    /// What to call a contract or account.
    pub fn contract(&self, address: Address) -> String {
        self.contracts.get(&address).cloned().unwrap_or_else(|| short(&address.to_string()))
    }

    /// What to call a function of any contract.
    pub fn selector(&self, selector: [u8; 4]) -> String {
        let name = self.functions.get(&selector).cloned();
        name.unwrap_or_else(|| match selector {
            [0, 0, 0, 0] => "fallback or constructor".to_owned(),
            selector => format!("0x{}", hex::encode(selector)),
        })
    }

    /// What to call a function.
    pub fn function(&self, function: Function) -> String {
        format!("{} {}", self.contract(function.contract), self.selector(function.selector))
    }

    /// What to call a place.
    pub fn place(&self, place: Place) -> String {
        match place {
            Place::Balance(address) => format!("balance of {}", self.contract(address)),
            Place::Account(address) => {
                format!("account {} (nonce or code)", self.contract(address))
            }
            Place::Slot(address, slot) => {
                format!("{} {}", self.contract(address), self.slot(address, slot))
            }
        }
    }

    /// What to call a slot.
    pub fn slot(&self, address: Address, slot: U256) -> String {
        self.slots.get(&(address, slot)).cloned().unwrap_or_else(|| {
            let text = if slot < U256::from(10_000) { slot.to_string() } else { hex_of(slot) };
            format!("slot {}", short(&text))
        })
    }

    /// What to call a cause.
    pub fn cause(&self, cause: &Cause) -> String {
        match cause {
            Cause::Place(place) => self.place(*place),
            Cause::Function(function) => self.function(*function),
            Cause::Contract(address) => self.contract(*address),
        }
    }
}

/// A word in hexadecimal.
pub(super) fn hex_of(word: U256) -> String {
    format!("{word:#066x}")
}

/// The beginning and the end of something long.
fn short(text: &str) -> String {
    if text.len() <= 14 {
        text.to_owned()
    } else {
        format!("{}…{}", &text[..8], &text[text.len() - 4..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_name_is_told_by_its_number() {
        let mut names = Names::default();
        let token = Address::repeat_byte(0xab);
        assert_eq!(names.contract(token), "0xABaBaB…ABaB");
        assert_eq!(names.selector([0xa9, 0x05, 0x9c, 0xbb]), "transfer()");
        assert_eq!(names.selector([1, 2, 3, 4]), "0x01020304");
        assert_eq!(names.place(Place::Slot(token, U256::from(7))), "0xABaBaB…ABaB slot 7");
        let large = Place::Slot(token, U256::MAX);
        assert_eq!(names.place(large), "0xABaBaB…ABaB slot 0xffffff…ffff");
        names.name_contract(token, "Copper");
        names.name_slot(token, U256::from(7), "totalSupply");
        assert_eq!(names.place(Place::Slot(token, U256::from(7))), "Copper totalSupply");
        assert_eq!(names.place(Place::Balance(token)), "balance of Copper");
    }
}
