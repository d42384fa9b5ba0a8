//! JSON-RPC over HTTP.
//!
//! What may pass is tried again, after delays that double: a node that is not reached, takes too long, is
//! overloaded (status 429, or its equivalent of EIP-1474), fails (5xx), or breaks off in the middle of an answer.
//! What a node says on purpose is an answer. `https://` takes the feature `tls`.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

#[cfg(feature = "tls")]
use anyhow::Context as _;
use anyhow::bail;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json, value::RawValue};
use warpline_replay::{JsonRpc, RpcAnswer, RpcFault, RpcRequest, TransportError};

use super::args::Limits;
#[cfg(feature = "tls")]
use super::tls;

/// The delay before the second attempt; each further one takes twice as long.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// No delay is longer.
const LONGEST_DELAY: Duration = Duration::from_secs(10);
/// How long it may take to be connected.
const CONNECT: Duration = Duration::from_secs(10);
/// "Limit exceeded" of EIP-1474: too many requests.
const LIMIT_EXCEEDED: i64 = -32005;

/// A connection to a node, for any number of threads.
pub(crate) struct Http {
    agent: ureq::Agent,
    url: String,
    /// The URL without what may be a secret.
    shown: String,
    limits: Limits,
    /// The id of the next question.
    next: AtomicU64,
    /// Whether the node takes several questions at once, as far as is known.
    batches: AtomicBool,
}

/// Why there is no answer. Each message is whole: none has a source to be printed after it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("cannot ask {url}: {reason}")]
    Unreachable { url: String, reason: ureq::Error },
    #[cfg(feature = "tls")]
    #[error("cannot ask {url}: {reason}{}", tls::advice(reason))]
    Insecure { url: String, reason: rustls::Error },
    #[error("{url} answers with HTTP status {status}{}", advice(*status))]
    Status { url: String, status: u16 },
    #[error(
        "the answer of {url} is longer than {limit} bytes: allow more with --rpc-max-mib, or ask less at once with --rpc-batch"
    )]
    TooLong { url: String, limit: u64 },
    #[error("the answer of {url} is no JSON-RPC: {reason}")]
    NoJson { url: String, reason: serde_json::Error },
    #[error("an answer of {url} has the id {found}, which no question has")]
    WrongId { url: String, found: Value },
    #[error("{url} answers {found} of {expected} questions")]
    Missing { url: String, expected: usize, found: usize },
    #[error("an answer of {url} has neither result nor error")]
    Empty { url: String },
    #[error("{reason} (asked {attempts} times)")]
    GaveUp { attempts: u32, reason: Box<HttpError> },
}

const fn advice(status: u16) -> &'static str {
    match status {
        300..=399 => ": it is at another address, which is the one to give",
        401 | 403 => ": it wants to know who asks, or does not allow it",
        404 => ": is this the path of its JSON-RPC interface?",
        413 => ": ask less at once with --rpc-batch",
        429 => ": it is asked too often, try a smaller --fetch-ahead",
        _ => "",
    }
}

impl Http {
    /// A connection to the node at `url`.
    ///
    /// # Errors
    /// When the URL is not one of HTTP, or of HTTP with TLS where that cannot be had.
    pub(crate) fn open(url: &str, limits: Limits) -> anyhow::Result<Self> {
        let shown = shown(url);
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(limits.timeout))
            .timeout_connect(Some(CONNECT.min(limits.timeout)))
            // A question that is sent on elsewhere is none any more.
            .max_redirects(0)
            .http_status_as_error(false);
        let config = match url.split_once("://") {
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("http") => {
                // On the way there may be a proxy behind TLS. Where nobody is trusted, nor is that.
                #[cfg(feature = "tls")]
                let config = config.tls_config(tls::config(tls::trusted().unwrap_or_default()));
                config
            }
            #[cfg(feature = "tls")]
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => {
                let trusted = tls::trusted().with_context(|| shown.clone())?;
                config.tls_config(tls::config(trusted)).https_only(true)
            }
            #[cfg(not(feature = "tls"))]
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => {
                bail!("{shown}: this program was built without the feature `tls`")
            }
            _ => bail!("{shown}: --rpc takes URLs that begin with http:// or https://"),
        };
        let agent = config.build().into();
        let url = url.to_owned();
        let (next, batches) = (AtomicU64::new(1), AtomicBool::new(true));
        Ok(Self { agent, url, shown, limits, next, batches })
    }

    /// The URL without what may be a secret: keys come in the path or before the host.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// Asks up to as many questions as go into one request.
    fn ask(&self, requests: &[RpcRequest]) -> Result<Vec<RpcAnswer>, HttpError> {
        let mut attempts = 0;
        let mut delay = FIRST_DELAY;
        loop {
            attempts += 1;
            let is_last = attempts > self.limits.retries;
            match self.ask_once(requests) {
                Ok(answers) if is_last || !answers.iter().any(is_overload) => return Ok(answers),
                Ok(_) => {}
                Err(error) if !error.is_passing() => return Err(error),
                Err(reason) if is_last => {
                    return Err(HttpError::GaveUp { attempts, reason: Box::new(reason) });
                }
                Err(_) => {}
            }
            thread::sleep(delay);
            delay = (delay * 2).min(LONGEST_DELAY);
        }
    }

    fn ask_once(&self, requests: &[RpcRequest]) -> Result<Vec<RpcAnswer>, HttpError> {
        let count = requests.len() as u64;
        let first = self.next.fetch_add(count, Ordering::Relaxed);
        let mut questions = requests.iter().zip(first..).map(|(request, id)| {
            let RpcRequest { method, params } = request;
            json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
        });
        let body = match (requests.len(), questions.next()) {
            (1, Some(question)) => question.to_string(),
            (_, question) => Value::from_iter(question.into_iter().chain(questions)).to_string(),
        };
        let bytes = self.post(body)?;
        let answers = match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'[') => self.json::<Vec<Answer<'_>>>(&bytes)?,
            _ => vec![self.json::<Answer<'_>>(&bytes)?],
        };
        // What refuses a batch as a whole is one answer without an id.
        if let [answer] = &answers[..]
            && requests.len() > 1
            && let (Some(Value::Null) | None, Some(error)) = (&answer.id, &answer.error)
        {
            self.batches.store(false, Ordering::Relaxed);
            let fault = fault(error);
            return Ok(vec![Err(fault); requests.len()]);
        }
        self.in_order(answers, first, requests.len())
    }

    fn post(&self, body: String) -> Result<Vec<u8>, HttpError> {
        let url = || self.shown.clone();
        let unreachable = |reason: ureq::Error| {
            #[cfg(feature = "tls")]
            if let Some(fault) = tls::fault(&reason) {
                return HttpError::Insecure { url: url(), reason: fault.clone() };
            }
            HttpError::Unreachable { url: url(), reason }
        };
        let request = self.agent.post(&self.url).header("content-type", "application/json");
        let mut response = request.send(body).map_err(unreachable)?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(HttpError::Status { url: url(), status });
        }
        let limit = self.limits.max_bytes;
        response.body_mut().with_config().limit(limit).read_to_vec().map_err(
            |source| match source {
                ureq::Error::BodyExceedsLimit(_) => HttpError::TooLong { url: url(), limit },
                source => unreachable(source),
            },
        )
    }

    fn json<'a, T: Deserialize<'a>>(&self, bytes: &'a [u8]) -> Result<T, HttpError> {
        let no_json = |reason| HttpError::NoJson { url: self.shown.clone(), reason };
        serde_json::from_slice(bytes).map_err(no_json)
    }

    /// The answers in the order of the questions, whose ids begin with `first`.
    fn in_order(
        &self,
        answers: Vec<Answer<'_>>,
        first: u64,
        expected: usize,
    ) -> Result<Vec<RpcAnswer>, HttpError> {
        let url = || self.shown.clone();
        let mut by_id = HashMap::with_capacity(expected);
        for answer in answers {
            let id = answer.id.clone().unwrap_or_default();
            let index = id.as_u64().and_then(|id| id.checked_sub(first));
            let index = index.filter(|index| *index < expected as u64);
            let answered = answer.into_answer().ok_or_else(|| HttpError::Empty { url: url() })?;
            match index {
                Some(index) if !by_id.contains_key(&index) => by_id.insert(index, answered),
                _ => return Err(HttpError::WrongId { url: url(), found: id }),
            };
        }
        let found = by_id.len();
        let ordered: Option<Vec<_>> =
            (0..expected as u64).map(|index| by_id.remove(&index)).collect();
        ordered.ok_or_else(|| HttpError::Missing { url: url(), expected, found })
    }
}

impl JsonRpc for Http {
    fn send(&self, requests: &[RpcRequest]) -> Result<Vec<RpcAnswer>, TransportError> {
        let mut answers = Vec::with_capacity(requests.len());
        while let Some(rest) = requests.get(answers.len()..).filter(|rest| !rest.is_empty()) {
            let batches = self.batches.load(Ordering::Relaxed);
            let size = if batches { self.limits.batch } else { 1 };
            let some = self.ask(&rest[..size.min(rest.len())])?;
            // A node that has just said that it takes no batches is asked one by one.
            if batches && size > 1 && !self.batches.load(Ordering::Relaxed) {
                continue;
            }
            answers.extend(some);
        }
        Ok(answers)
    }
}

impl HttpError {
    /// Whether it may be otherwise the next time.
    const fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { reason, .. } => matches!(
                reason,
                ureq::Error::Io(_)
                    | ureq::Error::Timeout(_)
                    | ureq::Error::ConnectionFailed
                    | ureq::Error::Protocol(_)
            ),
            Self::Status { status, .. } => matches!(status, 408 | 429 | 500..),
            Self::NoJson { .. } | Self::WrongId { .. } | Self::Missing { .. } => true,
            #[cfg(feature = "tls")]
            Self::Insecure { .. } => false,
            Self::Empty { .. } | Self::TooLong { .. } | Self::GaveUp { .. } => false,
        }
    }
}

#[derive(Deserialize)]
struct Answer<'a> {
    id: Option<Value>,
    /// `null` is a result.
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    error: Option<Value>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl Answer<'_> {
    fn into_answer(self) -> Option<RpcAnswer> {
        match (self.error, self.result) {
            (Some(error), _) => Some(Err(fault(&error))),
            (None, Some(result)) => Some(Ok(result.to_owned())),
            (None, None) => None,
        }
    }
}

fn fault(error: &Value) -> RpcFault {
    let message = error.get("message").and_then(Value::as_str);
    RpcFault {
        code: error.get("code").and_then(Value::as_i64).unwrap_or_default(),
        message: message.map_or_else(|| error.to_string(), str::to_owned),
    }
}

fn is_overload(answer: &RpcAnswer) -> bool {
    answer.as_ref().is_err_and(|fault| matches!(fault.code, LIMIT_EXCEEDED | 429))
}

/// Host and port of a URL, and the scheme if there is one.
fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = match authority.rsplit_once('@') {
        // A password may have a slash in it, and then this is neither the host nor that the path.
        _ if path.contains('@') => "…",
        Some((_, host)) => host,
        None => authority,
    };
    if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits =
        Limits { timeout: Duration::from_secs(1), retries: 0, batch: 10, max_bytes: 1 << 20 };

    /// What comes of an answer to `count` questions, the first of which has the id 1.
    fn answered(text: &str, count: usize) -> Result<Vec<RpcAnswer>, HttpError> {
        let http = Http::open("http://host:1/key", LIMITS).expect("plain HTTP");
        let answers = if text.starts_with('[') {
            http.json::<Vec<Answer<'_>>>(text.as_bytes())?
        } else {
            vec![http.json::<Answer<'_>>(text.as_bytes())?]
        };
        http.in_order(answers, 1, count)
    }

    #[test]
    fn answers_are_put_in_the_order_of_the_questions() {
        let text =
            r#"[{"id": 2, "result": null}, {"id": 1, "error": {"code": -32601, "message": "no"}}]"#;
        let answers = answered(text, 2).expect("two answers");
        let fault = answers[0].as_ref().expect_err("a fault");
        assert!(fault.is_method_missing() && fault.to_string() == "no (-32601)");
        assert_eq!(answers[1].as_ref().expect("a result").get(), "null");
    }

    #[test]
    fn answers_to_other_questions_are_none() {
        let table = [
            (r#"{"id": 2, "result": 0}"#, "has the id 2, which no question has"),
            (r#"{"id": 0, "result": 0}"#, "has the id 0"),
            (r#"{"result": 0}"#, "has the id null"),
            (r#"[{"id": 1, "result": 0}, {"id": 1, "result": 0}]"#, "has the id 1"),
            ("[]", "http://host:1 answers 0 of 1 questions"),
            (r#"{"id": 1}"#, "neither result nor error"),
            ("<html>", "is no JSON-RPC"),
        ];
        for (text, complaint) in table {
            let error = answered(text, 1).map(drop).expect_err(complaint).to_string();
            assert!(error.contains(complaint), "{error}");
        }
    }

    #[test]
    fn a_url_is_shown_without_its_secrets() {
        let table = [
            ("http://host", "http://host"),
            ("http://host:8545/v3/key?x=y", "http://host:8545"),
            ("http://user:word@host/", "http://host"),
            ("http://user:wo/rd@host/key", "http://…"),
            ("http://host/key@part", "http://…"),
            ("http://user:w@rd@host:1?key", "http://host:1"),
            ("host", "host"),
            ("host/key", "host"),
            ("user:word@host/key", "host"),
        ];
        for (url, expected) in table {
            assert_eq!(shown(url), expected);
        }
    }

    #[test]
    fn a_url_that_is_none_is_not_repeated() {
        for url in ["http://", "http:///secret", "http://user:secret@/secret", "http://a b/secret"]
        {
            let http = Http::open(url, LIMITS).expect("plain HTTP");
            let request = RpcRequest { method: "eth_chainId", params: json!([]) };
            let error = http.send(&[request]).expect_err("nobody to ask").to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_url_that_cannot_be_asked_is_told_so() {
        for (url, shown) in [("ftp://key@example.org/k", "ftp://example.org"), ("key", "key")] {
            let error = Http::open(url, LIMITS).map(drop).expect_err("no HTTP").to_string();
            let expected = format!("{shown}: --rpc takes URLs that begin with http:// or https://");
            assert_eq!(error, expected);
        }
    }
}
