//! Code from a node, by JSON-RPC over plain HTTP.

use std::time::Duration;

use alloy_primitives::{Address, hex};
use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

/// How long the node may take in all.
const PATIENCE: Duration = Duration::from_secs(20);

/// The code at `address` in the latest block.
pub(super) fn code(address: Address, url: &str) -> anyhow::Result<Vec<u8>> {
    ensure!(
        url.starts_with("http://"),
        "{url}: --rpc takes http:// only; where a node has https://, `cast code` can fetch the code \
         for `warpline analyze contract -`"
    );
    let request = json!({
        "jsonrpc": "2.0", "id": 1, "method": "eth_getCode", "params": [address, "latest"],
    });
    let agent: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).build().into();
    let mut response = agent
        .post(url)
        .header("content-type", "application/json")
        .send(request.to_string())
        .with_context(|| format!("cannot ask {url}"))?;
    let text = response.body_mut().read_to_string().with_context(|| format!("answer of {url}"))?;
    answer(&text).with_context(|| format!("answer of {url}"))
}

/// The code in the node's answer.
fn answer(text: &str) -> anyhow::Result<Vec<u8>> {
    let answer: Value = serde_json::from_str(text).context("no JSON")?;
    if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
        let message = error.get("message").and_then(Value::as_str);
        bail!("{}", message.map_or_else(|| error.to_string(), str::to_owned));
    }
    let result =
        answer.get("result").and_then(Value::as_str).context("neither result nor error")?;
    hex::decode(result).context("a result that is no code")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_code_or_errors() {
        assert_eq!(answer(r#"{"result": "0x6001"}"#).ok(), Some(vec![0x60, 1]));
        assert_eq!(answer(r#"{"result": "0x", "error": null}"#).ok(), Some(Vec::new()));
        let table = [
            (r#"{"error": {"code": -32000, "message": "no such block"}}"#, "no such block"),
            (r#"{"error": 7}"#, "7"),
            ("{}", "neither result nor error"),
            ("<html>", "no JSON"),
            (r#"{"result": "0xzz"}"#, "a result that is no code"),
        ];
        for (text, expected) in table {
            let error = answer(text).expect_err(expected);
            assert!(format!("{error:#}").starts_with(expected), "{error:#}");
        }
    }

    #[test]
    fn a_url_that_cannot_be_asked_is_told_so() {
        let error = code(Address::ZERO, "https://example.org").expect_err("no TLS");
        assert!(error.to_string().contains("http:// only"));
        let error = code(Address::ZERO, "http://127.0.0.1:1").expect_err("nobody listens");
        assert!(error.to_string().contains("cannot ask http://127.0.0.1:1"));
    }
}
