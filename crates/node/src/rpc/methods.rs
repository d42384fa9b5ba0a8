//! Which methods there are.
//!
//! A method is a plain function of a [`Call`] and its arguments. It runs on the [pool](super::pool),
//! where it may block, and what it returns is written as JSON there, too. To offer another one takes
//! one line in the `register` of its file.

use std::{io, sync::Arc};

use jsonrpsee::{
    RpcModule,
    server::{MethodCallback, Methods, RegisterMethodError},
    types::ErrorObjectOwned,
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    RpcError,
    args::Arguments,
    context::{Call, Node},
    pool::{Deadline, Weight},
};
use crate::config::Namespace;

/// Over what a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// One response to one request.
    Http,
    /// As long as both like: there are subscriptions.
    Ws,
}

/// All methods, before some are chosen.
#[derive(Debug)]
pub(super) struct Registry {
    module: RpcModule<Node>,
    duplicate: Option<RegisterMethodError>,
}

impl Registry {
    pub(super) fn new(node: Arc<Node>) -> Self {
        Self { module: RpcModule::from_arc(node), duplicate: None }
    }

    /// Adds a method that reads some things.
    pub(super) fn light<A: Arguments + 'static, R: Serialize + 'static>(
        &mut self,
        name: &'static str,
        run: fn(&Call, A) -> Result<R, RpcError>,
    ) -> &mut Self {
        self.method(name, Weight::Light, run)
    }

    /// Adds a method that may read much, or executes.
    pub(super) fn heavy<A: Arguments + 'static, R: Serialize + 'static>(
        &mut self,
        name: &'static str,
        run: fn(&Call, A) -> Result<R, RpcError>,
    ) -> &mut Self {
        self.method(name, Weight::Heavy, run)
    }

    fn method<A: Arguments + 'static, R: Serialize + 'static>(
        &mut self,
        name: &'static str,
        weight: Weight,
        run: fn(&Call, A) -> Result<R, RpcError>,
    ) -> &mut Self {
        self.add(|module| {
            let added = module.register_async_method(name, move |params, node, _| async move {
                let deadline = Deadline::after(node.limits.call_time());
                let call = Call { node: Arc::clone(&node), deadline };
                let most = node.limits.response_bytes() as usize;
                let work = move || {
                    let answer = run(&call, A::parse(params.as_str())?)?;
                    to_json(&answer, most)
                };
                node.pool.run(weight, deadline, work).await.map_err(|error| told(name, error))
            });
            added.map(drop)
        })
    }

    /// Adds something that is more than a function.
    pub(super) fn add(
        &mut self,
        add: impl FnOnce(&mut RpcModule<Node>) -> Result<(), RegisterMethodError>,
    ) -> &mut Self {
        let added = add(&mut self.module);
        self.duplicate = self.duplicate.take().or(added.err());
        self
    }

    /// Everything that was added.
    ///
    /// # Errors
    /// Where two methods have one name.
    pub(super) fn finish(self) -> Result<Methods, RegisterMethodError> {
        self.duplicate.map_or_else(|| Ok(self.module.into()), Err)
    }
}

/// Those of `all` methods that belong to `api` and can be used over `transport`, and one that names the
/// namespaces.
///
/// # Errors
/// Where two methods have one name.
pub(super) fn select(
    all: &Methods,
    api: &[Namespace],
    transport: Transport,
) -> Result<Methods, RegisterMethodError> {
    let mut chosen = RpcModule::new(());
    let modules: std::collections::BTreeMap<_, _> = api
        .iter()
        .map(|namespace| namespace.name())
        .chain(["rpc"])
        .map(|name| (name, "1.0"))
        .collect();
    chosen.register_method("rpc_modules", move |_, (), _| {
        Ok::<_, ErrorObjectOwned>(modules.clone())
    })?;
    let mut chosen = Methods::from(chosen);
    for name in all.method_names() {
        let Some(method) = all.method(name) else { continue };
        let is_subscription =
            matches!(method, MethodCallback::Subscription(_) | MethodCallback::Unsubscription(_));
        let is_offered = Namespace::of_method(name).is_some_and(|of| api.contains(&of));
        if is_offered && (transport == Transport::Ws || !is_subscription) {
            chosen.verify_and_insert(name, method.clone())?;
        }
    }
    Ok(chosen)
}

/// The error as the client is told. What is our fault is told to the operator as well.
fn told(method: &'static str, error: RpcError) -> ErrorObjectOwned {
    if error.is_internal() {
        tracing::error!(method, %error, "call failed");
    }
    error.into()
}

/// A buffer that takes only so much.
struct Bounded {
    bytes: Vec<u8>,
    most: usize,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `answer` as JSON of at most `most` bytes.
///
/// # Errors
/// [`RpcError::ResponseTooBig`] where it is longer.
pub(super) fn to_json(answer: &impl Serialize, most: usize) -> Result<Box<RawValue>, RpcError> {
    let mut json = Bounded { bytes: Vec::new(), most };
    serde_json::to_writer(&mut json, answer).map_err(|error| {
        if error.is_io() { RpcError::ResponseTooBig { most } } else { RpcError::Serialize(error) }
    })?;
    serde_json::from_slice(&json.bytes).map_err(RpcError::Serialize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_bounded() {
        assert_eq!(to_json(&"abc", 5).unwrap().get(), "\"abc\"");
        assert!(matches!(to_json(&"abc", 4), Err(RpcError::ResponseTooBig { most: 4 })));
        assert_eq!(to_json(&None::<u8>, 9).unwrap().get(), "null");
    }

    #[test]
    fn only_what_is_chosen_is_offered() {
        let mut all = RpcModule::new(());
        for name in ["eth_chainId", "debug_getRawBlock"] {
            all.register_method(name, |_, (), _| 1).unwrap();
        }
        all.register_subscription(
            "eth_subscribe",
            "eth_subscription",
            "eth_unsubscribe",
            |_, _, _, _| async {},
        )
        .unwrap();
        let all = Methods::from(all);
        let names = |api: &[Namespace], transport| {
            let mut names: Vec<_> = select(&all, api, transport).unwrap().method_names().collect();
            names.sort_unstable();
            names
        };
        assert_eq!(names(&[Namespace::Eth], Transport::Http), ["eth_chainId", "rpc_modules"]);
        let over_ws = ["eth_chainId", "eth_subscribe", "eth_unsubscribe", "rpc_modules"];
        assert_eq!(names(&[Namespace::Eth], Transport::Ws), over_ws);
        assert_eq!(names(&[Namespace::Debug], Transport::Ws), ["debug_getRawBlock", "rpc_modules"]);
    }
}
