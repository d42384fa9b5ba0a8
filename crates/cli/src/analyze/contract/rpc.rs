//! Code from a node.

use std::time::Duration;

use alloy_primitives::{Address, Bytes};
use anyhow::{Context as _, bail};
use serde_json::json;
use warpline_replay::{JsonRpc as _, RpcRequest};

use crate::remote::{args::Limits, http::Http};

/// One short answer is enough, and whoever waits for it waits at a terminal.
const LIMITS: Limits =
    Limits { timeout: Duration::from_secs(20), retries: 2, batch: 1, max_bytes: 10 << 20 };

/// The code at `address` in the latest block.
pub(super) fn code(address: Address, url: &str) -> anyhow::Result<Vec<u8>> {
    let http = Http::open(url, LIMITS)?;
    let request = RpcRequest { method: "eth_getCode", params: json!([address, "latest"]) };
    let answers = http.send(&[request]).map_err(anyhow::Error::from_boxed)?;
    let answer = || format!("answer of {}", http.shown());
    match answers.into_iter().next().context("no answer")? {
        Ok(result) => {
            let code: Bytes = serde_json::from_str(result.get())
                .context("a result that is no code")
                .with_context(answer)?;
            Ok(code.into())
        }
        Err(fault) => bail!("{}: {fault}", answer()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_cannot_be_asked_is_told_so() {
        let error = code(Address::ZERO, "ws://example.org").expect_err("no HTTP");
        assert!(error.to_string().contains("http:// or https://"));
        let error = code(Address::ZERO, "http://127.0.0.1:1").expect_err("nobody listens");
        assert!(error.to_string().contains("cannot ask http://127.0.0.1:1"));
    }
}
