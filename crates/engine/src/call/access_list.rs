//! What a call would put into an access list (EIP-2930).
//!
//! A list makes some things cheaper, so that a call with one may do more than without. It is executed
//! with what it used the last time until it uses nothing more.

use alloy_consensus::Header;
use alloy_eips::eip2930::AccessList;
use alloy_rpc_types_eth::TransactionRequest;
use revm_inspectors::access_list::AccessListInspector;
use warpline_primitives::StateSource;

use super::{CallError, CallOptions, Called, Caller, on_source};
use crate::{Engine, Ethereum};

/// A call with the access list that fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedCall {
    /// The accounts and slots that it uses, but for sender, callee, precompiles and authorities, of
    /// which only slots are listed.
    pub access_list: AccessList,
    /// What it comes to with that list.
    pub called: Called,
}

impl Engine<Ethereum> {
    /// Finds the access list of a call that is executed as [`call`](Self::call) executes it.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub fn create_access_list<S: StateSource>(
        &self,
        header: &Header,
        source: &S,
        request: &TransactionRequest,
        options: CallOptions<'_>,
    ) -> Result<ListedCall, CallError<S::Error>> {
        let given = request.access_list.clone().unwrap_or_default();
        let request = TransactionRequest { access_list: Some(given.clone()), ..request.clone() };
        on_source(source, |source| {
            let inspector = AccessListInspector::new(given);
            let (mut caller, mut tx) =
                Caller::begin(self, header, source, options, &request, inspector)?;
            loop {
                let called = Called::from(caller.inspect(tx.clone())?.result);
                let inspector = caller.parts().1;
                let access_list = inspector.access_list();
                // Each round begins with the list of the last, so it can only grow: by what gas
                // pays for.
                if access_list == tx.access_list {
                    return Ok(ListedCall { access_list, called });
                }
                *inspector = AccessListInspector::new(access_list.clone());
                tx.access_list = access_list;
            }
        })
    }
}
