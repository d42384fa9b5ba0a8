//! The workloads of the fields: both forms do the same for their users, and only one makes the users
//! wait for each other.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use alloy_consensus::{Transaction as _, transaction::Recovered};
use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::{SolCall, SolValue as _, sol};
use warpline_primitives::Transaction;
use warpline_workloads::{Field, Form, GeneratedBlock, Size, Workload, generate};

use crate::{
    reference::{Step, Views, execute},
    workloads::most_written,
};

sol! {
    #![sol(all_derives)]

    interface Lending {
        function borrow(uint128 amount) external;
        function withdraw(uint128 amount) external;
        function cashOf(address user) external view returns (uint256);
        function suppliedBy(address user) external view returns (uint256);
        function owedBy(address user) external view returns (uint256);
        function available() external view returns (uint256);
        function totalOwed() external view returns (uint256);
    }

    interface Game {
        function mint(uint32 kind) external returns (uint256 id);
        function list(uint256 id, uint64 price) external;
        function buy(uint256 id, uint64 price) external;
        function coinsOf(address player) external view returns (uint256);
        function itemsOf(address player) external view returns (uint256);
        function itemOf(uint256 id) external view returns (address owner, uint64 price, uint32 kind);
        function treasury() external view returns (uint256);
        function supply() external view returns (uint256);
    }

    interface SupplyChain {
        function register(bytes32 description) external returns (uint256 lot);
        function handOver(uint256 lot, address to, bytes32 note) external;
        function inspect(uint256 lot, bool passed, bytes32 report) external;
        function lotOf(uint256 lot) external view returns (address custodian, uint256 objections);
        function entriesOf(uint256 lot) external view returns (uint256);
        function entries() external view returns (uint256);
    }

    interface Consents {
        function grant(uint32 institution, uint16 purpose, uint40 end) external;
        function revoke(uint32 institution, uint16 purpose) external;
        function recordAccess(address patient, uint16 purpose, bytes32 request) external;
        function consentUntil(address patient, uint32 institution, uint16 purpose)
            external view returns (uint256);
        function entriesOf(address patient) external view returns (uint256);
        function entries() external view returns (uint256);
        function consents() external view returns (uint256);
        function consentsTo(uint32 institution) external view returns (uint256);
        function consentsBy(address patient) external view returns (uint256);
    }

    interface Remittance {
        function send(address recipient, address agent, uint88 amount) external returns (uint256 id);
        function payOut(uint256 id) external;
        function collect(address agent) external;
        function balanceOf(address who) external view returns (uint256);
        function due(uint256 id) external view returns (address recipient, uint256 amount);
        function sentToday() external view returns (uint256);
        function deskEarned() external view returns (uint256);
        function deskEarnedThrough(address agent) external view returns (uint256);
        function deskCollected() external view returns (uint256);
    }
}

const SEED: u64 = 7;
/// As many transactions as make each kind of call many times.
const COUNT: usize = 240;

/// A block executed, and the state after it.
struct Executed {
    transactions: Vec<Recovered<Transaction>>,
    steps: Vec<Step>,
    contract: Address,
    before: Views,
    views: Views,
}

impl Executed {
    fn both(field: Field) -> [Self; 2] {
        Form::ALL.map(|form| Self::of(Workload::Field(field, form)))
    }

    fn of(workload: Workload) -> Self {
        let GeneratedBlock { chain, block, mut state, .. } =
            generate(workload, Size::Transactions(COUNT), SEED);
        let (output, steps) = execute(&chain, &block, &state).expect("a valid block");
        assert!(steps.iter().all(|step| step.succeeded), "{workload}");
        let before = Views::new(&chain, &block, &state);
        state.apply(&output.state);
        let views = Views::new(&chain, &block, &state);
        let contract = block.transactions[0].to().expect("it is a call");
        Self { transactions: block.transactions, steps, contract, before, views }
    }

    /// What the contract answers after the block.
    fn ask<C: SolCall>(&mut self, call: &C) -> C::Return {
        self.views.ask(self.contract, call)
    }

    /// By how much the block has raised a sum.
    fn gain<C: SolCall<Return = U256>>(&mut self, call: &C) -> U256 {
        self.ask(call) - self.before.ask(self.contract, call)
    }

    /// Each call of one function with its sender and with what it returned.
    fn calls<C: SolCall>(&self) -> Vec<(Address, C, &Bytes)> {
        let mut calls = Vec::new();
        for (transaction, step) in self.transactions.iter().zip(&self.steps) {
            if let Ok(call) = C::abi_decode(transaction.input()) {
                calls.push((transaction.signer(), call, &step.returned));
            }
        }
        assert!(calls.len() > 20, "{}: {} calls", C::SIGNATURE, calls.len());
        calls
    }

    /// An id that each call of one function was given.
    fn given<C: SolCall>(&self, id: impl Fn(&C) -> U256) -> Vec<U256> {
        self.calls().iter().map(|(_, call, _)| id(call)).collect()
    }

    /// The id that each call of one function returned.
    fn returned<C: SolCall>(&self) -> Vec<U256> {
        let calls = self.calls::<C>();
        calls
            .iter()
            .map(|(_, _, returned)| U256::abi_decode(returned).expect("it is an id"))
            .collect()
    }

    fn senders(&self) -> BTreeSet<Address> {
        self.transactions.iter().map(|transaction| transaction.signer()).collect()
    }
}

/// Asserts that both forms answer the same, and returns what.
fn same<C: SolCall>(both: &mut [Executed; 2], calls: [C; 2]) -> C::Return
where
    C::Return: PartialEq + fmt::Debug,
{
    let [naive, parallel] = both;
    let [answer, other] = [naive.ask(&calls[0]), parallel.ask(&calls[1])];
    assert_eq!(
        answer,
        other,
        "{}, {:?} and {:?}",
        C::SIGNATURE,
        calls[0].abi_encode(),
        calls[1].abi_encode()
    );
    answer
}

/// What has which id in the naive form, and in the other.
fn pairs(both: &[Executed; 2], ids: impl Fn(&Executed) -> Vec<U256>) -> BTreeMap<U256, U256> {
    let [naive, parallel] = [ids(&both[0]), ids(&both[1])];
    assert_eq!(naive.len(), parallel.len());
    let pairs: BTreeMap<_, _> = naive.iter().copied().zip(parallel.iter().copied()).collect();
    let distinct: BTreeSet<_> = pairs.values().collect();
    assert_eq!(distinct.len(), pairs.len(), "one has one id");
    for (naive, parallel) in naive.iter().zip(&parallel) {
        assert_eq!(pairs[naive], *parallel, "and the same in all calls");
    }
    pairs
}

#[test]
fn the_same_users_call_the_same_functions_whichever_form_it_is() {
    for field in Field::ALL {
        let calls = Form::ALL.map(|form| {
            let block =
                generate(Workload::Field(field, form), Size::Transactions(COUNT), SEED).block;
            let call = |tx: &Recovered<Transaction>| {
                (tx.signer(), tx.nonce(), tx.input()[..4].to_vec(), tx.input().len())
            };
            block.transactions.iter().map(call).collect::<Vec<_>>()
        });
        assert!(calls[0] == calls[1], "{field:?}: other calls");
        let senders: BTreeSet<_> = calls[0].iter().map(|call| call.0).collect();
        assert!(senders.len() > COUNT * 6 / 10, "{field:?}: {} senders", senders.len());
    }
}

#[test]
fn only_the_naive_form_has_a_place_that_all_transactions_write() {
    for field in Field::ALL {
        let [naive, parallel] =
            Form::ALL.map(|form| most_written(Workload::Field(field, form), COUNT)[0]);
        println!("{field:?}: {naive} and {parallel} of {COUNT}");
        // The first call of a market has the interest added, and changes nothing else.
        assert!(naive >= COUNT - 1, "{field:?}: {naive}");
        // Something is shared all the same.
        assert!((4..=COUNT / 8).contains(&parallel), "{field:?}: {parallel}");
    }
}

#[test]
fn a_market_lends_the_same_in_either_form() {
    let mut both = Executed::both(Field::Lending);
    let mut owed = U256::ZERO;
    for user in both[0].senders() {
        same(&mut both, [Lending::cashOfCall { user }, Lending::cashOfCall { user }]);
        same(&mut both, [Lending::suppliedByCall { user }, Lending::suppliedByCall { user }]);
        owed += same(&mut both, [Lending::owedByCall { user }, Lending::owedByCall { user }]);
    }
    same(&mut both, [Lending::availableCall {}, Lending::availableCall {}]);
    let total = same(&mut both, [Lending::totalOwedCall {}, Lending::totalOwedCall {}]);
    assert!(owed <= total && total < owed + U256::from(COUNT), "{owed} of {total}");
    let borrowers = both[1].calls::<Lending::borrowCall>().into_iter().map(|call| call.0);
    let withdrawers = both[1].calls::<Lending::withdrawCall>().into_iter().map(|call| call.0);
    let mut takers = borrowers.chain(withdrawers);
    assert!(takers.any(|user| user[19] % 16 == 0), "some shards are used up");
}

/// Everybody in turn wants more than the market can give everybody.
#[test]
fn all_of_a_vault_can_be_had_and_not_more_in_either_form() {
    let mut both = Executed::both(Field::Lending);
    let users = both[0].senders();
    let amount = 60 * 10_u128.pow(18);
    let outcomes = both.each_mut().map(|executed| {
        let withdraw = Lending::withdrawCall { amount };
        let outcome = |user| executed.views.call(user, executed.contract, &withdraw);
        users.iter().copied().map(outcome).collect::<Vec<_>>()
    });
    assert_eq!(outcomes[0], outcomes[1]);
    let given = outcomes[0].iter().filter(|given| **given).count();
    assert!(users.len() / 2 < given && given < users.len() - 10, "{given} of {}", users.len());
    let left = same(&mut both, [Lending::availableCall {}, Lending::availableCall {}]);
    assert!(left < U256::from(amount), "{left}");
}

#[test]
fn a_games_items_end_up_with_the_same_owners_in_either_form() {
    let mut both = Executed::both(Field::Game);
    let items = pairs(&both, |executed| {
        let minted = executed.returned::<Game::mintCall>();
        let listed = executed.given(|call: &Game::listCall| call.id);
        let bought = executed.given(|call: &Game::buyCall| call.id);
        [minted, listed, bought].concat()
    });
    let mut owners = BTreeSet::new();
    for (id, other) in items {
        let item = same(&mut both, [id, other].map(|id| Game::itemOfCall { id }));
        owners.insert(item.owner);
    }
    for player in both[0].senders().union(&owners).copied() {
        same(&mut both, [Game::coinsOfCall { player }, Game::coinsOfCall { player }]);
        same(&mut both, [Game::itemsOfCall { player }, Game::itemsOfCall { player }]);
    }
    same(&mut both, [Game::treasuryCall {}, Game::treasuryCall {}]);
    same(&mut both, [Game::supplyCall {}, Game::supplyCall {}]);
}

#[test]
fn lots_end_up_with_the_same_custodians_in_either_form() {
    let mut both = Executed::both(Field::SupplyChain);
    let touched = pairs(&both, |executed| {
        let registered = executed.returned::<SupplyChain::registerCall>();
        let handed_over = executed.given(|call: &SupplyChain::handOverCall| call.lot);
        let inspected = executed.given(|call: &SupplyChain::inspectCall| call.lot);
        [registered, handed_over, inspected].concat()
    });
    let mut entries = U256::ZERO;
    for (lot, other) in &touched {
        let lots = [*lot, *other];
        same(&mut both, lots.map(|lot| SupplyChain::lotOfCall { lot }));
        entries += same(&mut both, lots.map(|lot| SupplyChain::entriesOfCall { lot }));
    }
    // All others were registered before, and nothing else has happened to them.
    let lots: usize = touched.keys().max().unwrap().to();
    entries += U256::from(lots - touched.len());
    assert_eq!(both[0].ask(&SupplyChain::entriesCall {}), entries);
}

#[test]
fn the_same_consents_are_in_force_in_either_form() {
    let mut both = Executed::both(Field::Consent);
    let granted = both[0].calls::<Consents::grantCall>();
    let granted = granted.into_iter().map(|(who, call, _)| (who, call.institution, call.purpose));
    let revoked = both[0].calls::<Consents::revokeCall>();
    let revoked = revoked.into_iter().map(|(who, call, _)| (who, call.institution, call.purpose));
    let scopes: BTreeSet<_> = granted.chain(revoked).collect();
    let accesses = both[0].calls::<Consents::recordAccessCall>();
    let mut patients: BTreeSet<_> = accesses.iter().map(|(_, call, _)| call.patient).collect();

    let mut in_force = 0;
    for (patient, institution, purpose) in scopes {
        patients.insert(patient);
        let call = || Consents::consentUntilCall { patient, institution, purpose };
        in_force += usize::from(!same(&mut both, [call(), call()]).is_zero());
    }
    assert!(in_force > COUNT / 4, "{in_force}");

    let (mut entries, mut consents) = (U256::ZERO, U256::ZERO);
    for patient in patients {
        let call = || Consents::entriesOfCall { patient };
        entries += same(&mut both, [call(), call()]);
        consents += both[1].ask(&Consents::consentsByCall { patient });
    }
    let [naive, _] = &mut both;
    assert_eq!(naive.ask(&Consents::entriesCall {}), entries);
    assert_eq!(naive.ask(&Consents::consentsCall {}), consents);
    let held = |institution| naive.ask(&Consents::consentsToCall { institution });
    assert_eq!((1..=40).map(held).sum::<U256>(), consents);
}

#[test]
fn recipients_and_agents_are_due_the_same_in_either_form() {
    let mut both = Executed::both(Field::Remittance);
    let orders = pairs(&both, |executed| {
        let sent = executed.returned::<Remittance::sendCall>();
        let paid_out = executed.given(|call: &Remittance::payOutCall| call.id);
        [sent, paid_out].concat()
    });
    let mut due = U256::ZERO;
    for (id, other) in orders {
        due += same(&mut both, [id, other].map(|id| Remittance::dueCall { id })).amount;
    }
    assert!(due > U256::ZERO);
    let sends = both[0].calls::<Remittance::sendCall>();
    assert!(sends.iter().any(|(user, _, _)| user[19] % 16 == 0), "some quotas are used up");
    let agents: BTreeSet<_> = sends.iter().map(|(_, call, _)| call.agent).collect();
    for who in both[0].senders().union(&agents).copied() {
        same(&mut both, [Remittance::balanceOfCall { who }, Remittance::balanceOfCall { who }]);
    }
    same(&mut both, [Remittance::sentTodayCall {}, Remittance::sentTodayCall {}]);
    let [naive, parallel] = &mut both;
    let through = |agent| parallel.gain(&Remittance::deskEarnedThroughCall { agent });
    let earned = agents.into_iter().map(through).sum::<U256>();
    assert_eq!(naive.gain(&Remittance::deskEarnedCall {}), earned);
}

#[test]
fn what_is_set_aside_for_an_agent_can_be_collected() {
    let [_, mut desk] = Executed::both(Field::Remittance);
    let agent = desk.calls::<Remittance::sendCall>()[0].1.agent;
    let balance = desk.ask(&Remittance::balanceOfCall { who: agent });
    let earned = desk.ask(&Remittance::deskEarnedThroughCall { agent });
    assert!(!earned.is_zero());
    assert!(desk.views.call(agent, desk.contract, &Remittance::collectCall { agent }));
    assert_eq!(desk.ask(&Remittance::balanceOfCall { who: agent }), balance);
    assert_eq!(desk.ask(&Remittance::deskEarnedThroughCall { agent }), U256::ZERO);
    assert_eq!(desk.ask(&Remittance::deskCollectedCall {}), earned);
}
