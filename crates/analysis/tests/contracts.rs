//! What is said of our own contracts is what their compiler says.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{U256, keccak256};
use serde_json::Value as Json;
use warpline_analysis::bytecode::{
    AccessKind, CallInput, CallKind, Contract, Entry, Expr, Function, Names, Relation, Signature,
    Template, Value, WriteValue,
};
use warpline_workloads::artifact::{Artifact, COLLECTIBLE, POOL, TOKEN};

/// A contract with what its compiler says of it.
struct Compiled {
    artifact: &'static Artifact,
    contract: Contract,
    names: Names,
}

impl Compiled {
    fn new(artifact: &'static Artifact) -> Self {
        let path = format!(
            "{}/../workloads/contracts/artifacts/{}.json",
            env!("CARGO_MANIFEST_DIR"),
            artifact.contract
        );
        let json: Json = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let functions = json["abi"].as_array().unwrap().iter();
        let functions = functions.filter(|item| item["type"] == "function").map(|item| {
            let name = item["name"].as_str().unwrap().to_owned();
            let inputs = item["inputs"].as_array().unwrap().iter();
            let arguments: Vec<_> = inputs
                .map(|it| {
                    (
                        it["name"].as_str().unwrap().to_owned(),
                        it["type"].as_str().unwrap().to_owned(),
                    )
                })
                .collect();
            let types: Vec<_> = arguments.iter().map(|(_, kind)| kind.as_str()).collect();
            let hash = keccak256(format!("{name}({})", types.join(",")));
            (*hash.first_chunk().unwrap(), Signature { name, arguments })
        });
        let names = Names { functions: functions.collect(), variables: Vec::new() };
        Self { artifact, contract: Contract::analyze(&artifact.deployed_bytecode), names }
    }

    fn selector(&self, name: &str) -> [u8; 4] {
        let mut functions = self.names.functions.iter();
        *functions.find(|(_, signature)| signature.name == name).unwrap().0
    }

    fn function(&self, name: &str) -> &Function {
        self.contract.function_of(&self.selector(name))
    }

    /// The variable's slot.
    fn slot(&self, label: &str) -> Template {
        Template::constant(self.artifact.slot(label))
    }

    /// The slot of `key`'s entry in the mapping.
    fn entry(&self, label: &str, keys: &[Template]) -> Template {
        keys.iter().fold(self.slot(label), |slot, key| hash(key, &slot))
    }

    fn reads(&self, name: &str) -> BTreeSet<Template> {
        let accesses = self.function(name).accesses.iter();
        accesses.filter(|it| !it.is_write()).map(|it| it.slot.clone()).collect()
    }

    fn writes(&self, name: &str) -> BTreeMap<Template, &AccessKind> {
        let accesses = self.function(name).accesses.iter();
        accesses.filter(|it| it.is_write()).map(|it| (it.slot.clone(), &it.kind)).collect()
    }
}

fn hash(key: &Template, slot: &Template) -> Template {
    Template::new(Expr::Keccak { words: [key.clone(), slot.clone()].into(), length: 64 })
}

fn caller() -> Template {
    Template::new(Expr::Value(Value::Caller))
}

/// The argument at `index` as a word, masked where it is an address.
fn argument(index: u64, is_address: bool) -> Template {
    let word = Template::new(Expr::Calldata(Template::constant(U256::from(4 + 32 * index))));
    if !is_address {
        return word;
    }
    let mask = Template::constant(U256::MAX >> 96);
    Template::new(Expr::Apply(warpline_analysis::bytecode::Operator::And, word, mask))
}

#[test]
fn selectors_are_those_of_the_abi_and_no_others() {
    for artifact in [&TOKEN, &POOL, &COLLECTIBLE] {
        let compiled = Compiled::new(artifact);
        let found =
            compiled.contract.functions.iter().filter_map(|function| match function.entry {
                Entry::Selector(selector) => Some((selector, function)),
                _ => None,
            });
        let found: BTreeMap<_, _> = found.collect();
        assert!(found.keys().eq(compiled.names.functions.keys()), "{}", artifact.contract);
        for (selector, signature) in &compiled.names.functions {
            let kinds: Vec<_> = signature.arguments.iter().map(|(_, kind)| kind.clone()).collect();
            assert_eq!(found[selector].arguments, Some(kinds), "{}", signature.name);
            assert_eq!(found[selector].incomplete, None, "{}", signature.name);
        }
    }
}

#[test]
fn getters_read_their_variable() {
    let table: [(&'static Artifact, &[&str]); 3] = [
        (&TOKEN, &["totalSupply"]),
        (&COLLECTIBLE, &["nextId"]),
        (
            &POOL,
            &[
                "token0",
                "token1",
                "reserve0",
                "reserve1",
                "updatedAt",
                "price0Accumulator",
                "price1Accumulator",
                "fees0",
                "fees1",
                "volume0",
                "volume1",
                "trades",
                "lastPrice",
            ],
        ),
    ];
    for (artifact, getters) in table {
        let compiled = Compiled::new(artifact);
        for getter in getters {
            assert!(compiled.function(getter).is_known(), "{getter}");
            assert_eq!(compiled.reads(getter), BTreeSet::from([compiled.slot(getter)]), "{getter}");
            assert!(compiled.writes(getter).is_empty(), "{getter}");
        }
    }
    for (artifact, getter, is_address) in
        [(&TOKEN, "balanceOf", false), (&COLLECTIBLE, "ownerOf", false), (&POOL, "traders", false)]
    {
        let compiled = Compiled::new(artifact);
        let entry = compiled.entry(getter, &[argument(0, is_address)]);
        assert_eq!(compiled.reads(getter), BTreeSet::from([entry]), "{getter}");
    }
}

#[test]
fn a_token_moves_what_it_says() {
    let token = Compiled::new(&TOKEN);
    let (to, from) = (argument(0, true), argument(0, true));
    let ours = token.entry("balanceOf", &[caller()]);
    let theirs = token.entry("balanceOf", &[to]);
    let writes = token.writes("transfer");
    assert_eq!(token.reads("transfer"), BTreeSet::from([ours.clone(), theirs.clone()]));
    assert_eq!(writes.keys().cloned().collect::<BTreeSet<_>>(), token.reads("transfer"));
    let AccessKind::Write(WriteValue::Increment(added)) = writes[&theirs] else {
        panic!("{writes:?}")
    };
    assert_eq!((&added.by, added.is_tested), (&argument(1, false), false));
    let AccessKind::Write(WriteValue::Increment(taken)) = writes[&ours] else {
        panic!("{writes:?}")
    };
    assert!(taken.is_tested, "whether it is enough decides something");

    let allowance = token.entry("allowance", &[caller(), argument(0, true)]);
    let AccessKind::Write(WriteValue::Value(value)) = token.writes("approve")[&allowance] else {
        panic!("{:?}", token.writes("approve"))
    };
    assert_eq!(*value, argument(1, false));
    assert!(token.reads("approve").is_empty());

    let expected = [
        token.entry("allowance", &[from.clone(), caller()]),
        token.entry("balanceOf", &[from]),
        token.entry("balanceOf", &[argument(1, true)]),
    ];
    assert_eq!(token.reads("transferFrom"), BTreeSet::from(expected));
    assert!(token.function("transferFrom").accesses.iter().all(|access| access.always));
}

#[test]
fn a_mint_takes_the_next_number() {
    let collectible = Compiled::new(&COLLECTIBLE);
    let next = collectible.slot("nextId");
    let owner = collectible.entry("ownerOf", &[Template::new(Expr::Load(next.clone()))]);
    let balance = collectible.entry("balanceOf", &[caller()]);
    let writes = collectible.writes("mint");
    assert_eq!(
        writes.keys().cloned().collect::<BTreeSet<_>>(),
        BTreeSet::from([next.clone(), owner, balance])
    );
    let AccessKind::Write(WriteValue::Increment(step)) = writes[&next] else {
        panic!("{writes:?}")
    };
    assert_eq!(step.by.as_constant(), Some(U256::from(1)));
    assert!(!step.is_tested);
    let mint = collectible.function("mint");
    assert_eq!(collectible.contract.relation(mint, mint), Relation::Always);
    let words: Vec<_> = collectible
        .contract
        .touches(mint)
        .iter()
        .map(|touch| collectible.names.touch(mint, touch))
        .collect();
    assert_eq!(
        words[..2],
        [
            "increments slot 2: every call conflicts (the additions would commute)",
            "increments slot 4[caller]: calls of the same caller conflict (the additions would commute)",
        ]
    );
}

#[test]
fn a_trade_calls_its_tokens_with_what_it_was_given() {
    let pool = Compiled::new(&POOL);
    let trade = pool.function("trade");
    assert!(trade.is_known());
    let pull = trade.calls.iter().find(|call| call.target == argument(0, true)).unwrap();
    let CallInput::Words { selector, words, length } = &pull.input else { panic!("{pull:?}") };
    assert_eq!((pull.kind, *length, pull.always), (CallKind::Call, 100, true));
    assert_eq!(*selector, Some([0x23, 0xb8, 0x72, 0xdd]));
    let this = Template::new(Expr::Value(Value::This));
    assert_eq!(words[..], [caller(), this, argument(1, false)]);
    for variable in ["token0", "token1"] {
        let load = Template::new(Expr::Load(pool.slot(variable)));
        let balance = trade.calls.iter().filter(|call| call.kind == CallKind::StaticCall);
        assert!(
            balance.map(|call| call.target.to_string()).any(|target| target == load.to_string()),
            "the balance in {variable} is asked for"
        );
    }
    let lock = pool.writes("trade")[&pool.slot("lock")].clone();
    assert!(matches!(lock, AccessKind::Write(WriteValue::Constant(_))));
}

#[test]
fn what_neither_reads_nor_writes_never_conflicts() {
    let (pool, token) = (Compiled::new(&POOL), Compiled::new(&TOKEN));
    let (quote, trade) = (pool.function("quote"), pool.function("trade"));
    assert_eq!(pool.contract.relation(quote, trade), Relation::Never);
    let (supply, transfer) = (token.function("totalSupply"), token.function("transfer"));
    assert_eq!(token.contract.relation(supply, transfer), Relation::Never);
    assert_eq!(token.contract.relation(transfer, transfer), Relation::Depends);
}

#[test]
fn segments_divide_every_instruction_once() {
    for artifact in [&TOKEN, &POOL, &COLLECTIBLE] {
        let contract = Contract::analyze(&artifact.deployed_bytecode);
        for function in &contract.functions {
            let mut ranges: Vec<_> =
                function.segments.iter().flat_map(|segment| segment.ranges.clone()).collect();
            ranges.sort_unstable();
            assert!(ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0), "they overlap");
            let covered: u32 = ranges.iter().map(|(from, to)| to - from).sum();
            let run = contract.blocks.iter().filter(|it| function.blocks.contains(&it.start));
            let (bytes, gas) =
                run.fold((0, 0), |sum, it| (sum.0 + it.end - it.start, sum.1 + it.gas));
            assert_eq!(covered, bytes);
            assert_eq!(function.segments.iter().map(|it| it.gas).sum::<u64>(), gas);
        }
    }
}
