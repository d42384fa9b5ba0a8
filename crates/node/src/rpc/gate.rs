//! Who may come in.
//!
//! A page in a browser on this machine can send requests to this machine. That it cannot read the
//! answers is the browser's promise, which a page gets around by giving its own name the address of
//! this machine. So requests that name another host, or come from the page of an origin that nobody
//! allowed, are refused before anything of them is read.

use std::{
    future::Future,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use jsonrpsee::{
    server::{HttpBody, HttpRequest, HttpResponse, ws},
    types::{
        ErrorCode, ErrorObjectOwned, Id, Response, ResponsePayload, error::reject_too_big_request,
    },
};
use tower::{BoxError, Service};

use super::{
    connection::Activity,
    error::{LIMIT_EXCEEDED, SERVER_ERROR},
};

/// What all names and origins are written as.
const ANY: &str = "*";

/// Which hosts and origins are allowed.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) hosts: Vec<String>,
    pub(super) http_origins: Vec<String>,
    pub(super) ws_origins: Vec<String>,
}

/// Why somebody may not come in, or is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Host,
    Origin,
    Transport,
    TooMany,
    TooSlow,
    TooLong {
        limit: u32,
    },
    /// The body ends before its end, or is no body.
    Broken,
    /// An id is neither a number of 64 bits nor a string.
    Id,
}

impl Refusal {
    const fn status(self) -> u16 {
        match self {
            Self::Host | Self::Origin | Self::Transport => 403,
            Self::TooMany => 503,
            Self::TooSlow => 408,
            Self::TooLong { .. } => 413,
            Self::Broken => 400,
            // As for whatever else is wrong in a request that was understood.
            Self::Id => 200,
        }
    }

    fn error(self) -> ErrorObjectOwned {
        let (code, message) = match self {
            Self::Host => (SERVER_ERROR, "the host named is not allowed: see --http.vhosts"),
            Self::Origin => {
                (SERVER_ERROR, "the origin is not allowed: see --http.corsdomain and --ws.origins")
            }
            Self::Transport => (SERVER_ERROR, "nothing is offered in this way at this address"),
            Self::TooMany => (LIMIT_EXCEEDED, "too many connections, try again later"),
            Self::TooSlow => (SERVER_ERROR, "the request did not end in time"),
            Self::TooLong { limit } => return reject_too_big_request(limit),
            Self::Broken => (ErrorCode::InvalidRequest.code(), "the body of the request is broken"),
            Self::Id => (
                ErrorCode::InvalidRequest.code(),
                "an id that cannot be answered: use a string, or an integer from 0 to 2^64 - 1",
            ),
        };
        ErrorObjectOwned::borrowed(code, message, None)
    }

    /// The refusal as a response to whoever speaks JSON-RPC.
    pub(super) fn response(self) -> HttpResponse {
        let payload = ResponsePayload::<()>::error(self.error());
        let json = serde_json::to_string(&Response::new(payload, Id::Null)).unwrap_or_default();
        let mut response = HttpResponse::new(HttpBody::from(json));
        if let Ok(status) = self.status().try_into() {
            *response.status_mut() = status;
        }
        if let Ok(json) = "application/json".parse() {
            response.headers_mut().insert("content-type", json);
        }
        // Of what is left of the request nothing is read.
        let is_unread =
            matches!(self, Self::TooMany | Self::TooSlow | Self::TooLong { .. } | Self::Broken);
        if let (true, Ok(close)) = (is_unread, "close".parse()) {
            response.headers_mut().insert("connection", close);
        }
        response
    }
}

impl Gate {
    /// Whether `name`, which may have a port behind it, may be used for this server.
    fn allows_host(&self, name: &str) -> bool {
        let host = match name.strip_prefix('[') {
            Some(rest) => rest.split_once(']').map_or(rest, |(host, _)| host),
            None => name.split_once(':').map_or(name, |(host, _)| host),
        };
        host.parse::<IpAddr>().is_ok()
            || self.hosts.iter().any(|allowed| allowed == ANY || allowed.eq_ignore_ascii_case(host))
    }

    fn check<B>(&self, request: &HttpRequest<B>) -> Result<(), Refusal> {
        let header = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or("?"));
        // One that names no host comes from no browser.
        let host = header("host").or_else(|| request.uri().host());
        if host.is_some_and(|host| !self.allows_host(host)) {
            return Err(Refusal::Host);
        }
        let is_ws = ws::is_upgrade_request(request);
        let origins = if is_ws { &self.ws_origins } else { &self.http_origins };
        let allows = |origin: &str| is_allowed(origins, origin);
        if header("origin").is_some_and(|origin| !allows(origin)) {
            return Err(Refusal::Origin);
        }
        Ok(())
    }
}

/// Whether `origin` is one of `allowed`.
pub(super) fn is_allowed(allowed: &[String], origin: &str) -> bool {
    allowed.iter().any(|allowed| allowed == ANY || allowed.eq_ignore_ascii_case(origin))
}

/// The way into a server: through the gate, and to HTTP or WebSocket.
#[derive(Clone, Debug)]
pub(super) struct Entrance<H, W> {
    pub(super) gate: Arc<Gate>,
    pub(super) http: Option<H>,
    pub(super) ws: Option<W>,
    pub(super) activity: Activity,
    /// Whether there is room for the connection.
    pub(super) has_room: bool,
}

impl<H, W, B> Service<HttpRequest<B>> for Entrance<H, W>
where
    H: Service<HttpRequest<B>, Response = HttpResponse, Error = BoxError, Future: Send + 'static>,
    W: Service<HttpRequest<B>, Response = HttpResponse, Error = BoxError, Future: Send + 'static>,
{
    type Response = HttpResponse;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: HttpRequest<B>) -> Self::Future {
        let refused = |refusal: Refusal| -> Self::Future {
            tracing::debug!(?refusal, "request refused");
            Box::pin(async move { Ok(refusal.response()) })
        };
        if !self.has_room {
            return refused(Refusal::TooMany);
        }
        if let Err(refusal) = self.gate.check(&request) {
            return refused(refusal);
        }
        let active = self.activity.request();
        request.extensions_mut().insert(self.activity.clone());
        if ws::is_upgrade_request(&request) {
            let Some(ws) = &mut self.ws else { return refused(Refusal::Transport) };
            self.activity.upgrade();
            let upgrade = ws.call(request);
            return Box::pin(async move {
                let _active = active;
                upgrade.await
            });
        }
        let Some(http) = &mut self.http else { return refused(Refusal::Transport) };
        let response = http.call(request);
        Box::pin(async move {
            let _active = active;
            response.await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> Gate {
        Gate {
            hosts: vec!["localhost".to_owned()],
            http_origins: vec!["https://good.example".to_owned()],
            ws_origins: Vec::new(),
        }
    }

    fn request(headers: &[(&'static str, &str)]) -> HttpRequest<()> {
        let mut request = HttpRequest::new(());
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        request
    }

    #[test]
    fn addresses_and_known_names_are_hosts() {
        for (host, is_allowed) in [
            ("localhost", true),
            ("LocalHost:8545", true),
            ("127.0.0.1:8545", true),
            ("[::1]:8545", true),
            ("[::1]", true),
            ("evil.example", false),
            ("evil.example:8545", false),
            ("localhost.evil.example", false),
            ("", false),
        ] {
            assert_eq!(gate().check(&request(&[("host", host)])).is_ok(), is_allowed, "{host}");
        }
        let any = Gate { hosts: vec![ANY.to_owned()], ..gate() };
        assert!(any.check(&request(&[("host", "evil.example")])).is_ok());
    }

    #[test]
    fn only_pages_of_known_origins_come_in() {
        let check = |headers: &[_]| gate().check(&request(headers));
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&[("origin", "https://good.example")]), Ok(()));
        assert_eq!(check(&[("origin", "https://evil.example")]), Err(Refusal::Origin));
        assert_eq!(check(&[("origin", "null")]), Err(Refusal::Origin));
        let upgrade = [("connection", "upgrade"), ("upgrade", "websocket")];
        assert_eq!(check(&upgrade), Ok(()));
        let page = [upgrade[0], upgrade[1], ("origin", "https://good.example")];
        assert_eq!(check(&page), Err(Refusal::Origin));
    }
}
