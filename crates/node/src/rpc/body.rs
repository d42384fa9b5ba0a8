//! The body of a request over HTTP, read before anybody looks into it.
//!
//! A client that begins a request keeps its place until the body is there, so it has to come in time; and
//! one that is too long is refused however its length is said. Ids that the parser does not know would
//! make calls of theirs notifications, which nobody answers: they are refused, too.

use std::{
    borrow::Cow,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use alloy_primitives::bytes::Bytes;
use http_body::Body;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use jsonrpsee::server::{HttpBody, HttpRequest, HttpResponse};
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use tower::{BoxError, Service};

use super::gate::Refusal;

/// How long a request may take to come.
const ARRIVAL: Duration = Duration::from_secs(30);

/// A service that is given requests whose bodies were read.
#[derive(Clone, Debug)]
pub(super) struct Reading<S> {
    pub(super) service: S,
    /// How long a body may be, in bytes.
    pub(super) most_bytes: u32,
    /// How long an answer may take, once the request is there.
    pub(super) time: Duration,
}

impl<S, B> Service<HttpRequest<B>> for Reading<S>
where
    S: Service<HttpRequest, Response = HttpResponse, Error = BoxError, Future: Send>
        + Clone
        + Send
        + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = HttpResponse;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequest<B>) -> Self::Future {
        let Self { mut service, most_bytes, time } = self.clone();
        Box::pin(async move {
            let response = match read(request, most_bytes).await {
                Ok(request) => tokio::time::timeout(time, service.call(request)).await,
                Err(refusal) => {
                    tracing::debug!(?refusal, "request refused");
                    return Ok(refusal.response());
                }
            };
            response.unwrap_or_else(|_| Ok(Refusal::TooSlow.response()))
        })
    }
}

/// The same request with its body in memory, of at most `limit` bytes.
///
/// # Errors
/// [`Refusal`] where it does not come, in time or at all, is too long, or has an id that cannot be
/// answered.
async fn read<B>(request: HttpRequest<B>, limit: u32) -> Result<HttpRequest, Refusal>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let (parts, body) = request.into_parts();
    if parts.method != "POST" {
        return Ok(HttpRequest::from_parts(parts, HttpBody::empty()));
    }
    let body = collect(body, limit, ARRIVAL).await?;
    if !can_be_answered(&body) {
        return Err(Refusal::Id);
    }
    Ok(HttpRequest::from_parts(parts, HttpBody::from(body)))
}

async fn collect<B>(body: B, limit: u32, time: Duration) -> Result<Vec<u8>, Refusal>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    if body.size_hint().lower() > u64::from(limit) {
        return Err(Refusal::TooLong { limit });
    }
    let read = Limited::new(body, limit as usize).collect();
    match tokio::time::timeout(time, read).await {
        Ok(Ok(body)) => Ok(body.to_bytes().into()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::TooLong { limit }),
        Ok(Err(_)) => Err(Refusal::Broken),
        Err(_) => Err(Refusal::TooSlow),
    }
}

/// Whether all ids in `body` are numbers of up to 64 bits, strings or `null`. What is no request is
/// somebody else's question.
fn can_be_answered(body: &[u8]) -> bool {
    let is_batch = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    if is_batch {
        serde_json::from_slice(body).map_or(true, |Batch { has_known_ids }| has_known_ids)
    } else {
        std::str::from_utf8(body).map_or(true, is_known)
    }
}

/// Whether the id of a request is known. It is not where there are two.
fn is_known(request: &str) -> bool {
    match serde_json::from_str::<Identified<'_>>(request) {
        Ok(request) => request.is_known(),
        Err(error) => !(error.is_data() && request.trim_start().starts_with('{')),
    }
}

#[derive(Deserialize)]
struct Identified<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

impl Identified<'_> {
    fn is_known(&self) -> bool {
        let id = self.id.map_or("null", RawValue::get);
        let is_text = || serde_json::from_str::<Cow<'_, str>>(id).is_ok();
        id == "null" || id.parse::<u64>().is_ok() || is_text()
    }
}

/// What there is to know of a batch, which may have millions of requests.
struct Batch {
    has_known_ids: bool,
}

impl<'de> Deserialize<'de> for Batch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Requests;

        impl<'de> Visitor<'de> for Requests {
            type Value = Batch;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of requests")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut requests: A) -> Result<Batch, A::Error> {
                let mut batch = Batch { has_known_ids: true };
                while let Some(request) = requests.next_element::<&RawValue>()? {
                    batch.has_known_ids &= is_known(request.get());
                }
                Ok(batch)
            }
        }

        deserializer.deserialize_seq(Requests)
    }
}

#[cfg(test)]
mod tests {
    use http_body::Frame;
    use http_body_util::Full;

    use super::*;

    #[test]
    fn calls_with_ids_that_are_not_known_cannot_be_answered() {
        for id in ["0", "18446744073709551615", "\"-1\"", "null", "\"\""] {
            assert!(can_be_answered(format!(r#"{{"id":{id},"method":"m"}}"#).as_bytes()), "{id}");
        }
        let twice = "1, \"id\": 2";
        let unknown = ["-1", "1.5", "1e3", "18446744073709551616", "true", "[1]", "{}", twice];
        for id in unknown.into_iter().chain([r#""\ud800""#]) {
            let request = format!(r#"{{"method":"m", "id" : {id} }}"#);
            assert!(!can_be_answered(request.as_bytes()), "{id}");
            let batch = format!(r#" [1, {{"id":1}}, {request}, [], {{}}]"#);
            assert!(!can_be_answered(batch.as_bytes()), "{id}");
        }
        for other in ["", "{", "[", "[]", "1", "[{}]", r#"{"method":"m"}"#, "[[1, 2]]"] {
            assert!(can_be_answered(other.as_bytes()), "{other}");
        }
    }

    /// A body of which nothing comes.
    struct Never;

    impl Body for Never {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_body_that_is_too_long_or_does_not_come_is_refused() {
        let body = |length| Full::new(Bytes::from(vec![b' '; length]));
        let collected = collect(body(10), 10, ARRIVAL).await;
        assert_eq!(collected.map(|body| body.len()), Ok(10));
        assert_eq!(collect(body(11), 10, ARRIVAL).await, Err(Refusal::TooLong { limit: 10 }));
        let soon = Duration::from_millis(1);
        assert_eq!(collect(Never, 10, soon).await, Err(Refusal::TooSlow));
    }
}
