//! What happens to every call before and after its method: it is made what the methods expect, and it
//! is counted.

use std::time::Instant;

use jsonrpsee::{
    core::middleware::{Batch, BatchEntry, Notification, RpcServiceT},
    server::{BatchResponseBuilder, Extensions, MethodCallback, MethodResponse, Methods},
    types::Request,
};
use tower::Layer;

use super::{RpcError, connection::Activity, pool::Deadline};
use crate::{config::RpcLimits, metrics};

/// The name under which calls of unknown methods are counted: their own names are the clients' to
/// choose, and there may be any number of them.
const UNKNOWN: &str = "unknown";

/// Makes [`Observed`] services.
#[derive(Clone, Debug)]
pub(super) struct Observe {
    pub(super) methods: Methods,
    pub(super) limits: RpcLimits,
}

/// A service whose calls are counted and timed.
#[derive(Clone, Debug)]
pub(super) struct Observed<S> {
    service: S,
    observe: Observe,
}

impl<S> Layer<S> for Observe {
    type Service = Observed<S>;

    fn layer(&self, service: S) -> Observed<S> {
        Observed { service, observe: self.clone() }
    }
}

/// Clients that have nothing to say write `"params": null`, which is no value of parameters.
fn without_null(mut request: Request<'_>) -> Request<'_> {
    request.params = request.params.take().filter(|params| params.get().trim() != "null");
    request
}

impl<S> Observed<S>
where
    S: RpcServiceT<MethodResponse = MethodResponse> + Clone + Send + Sync + 'static,
{
    fn is_subscription(&self, request: &Request<'_>) -> bool {
        let method = self.observe.methods.method(request.method_name());
        matches!(method, Some(MethodCallback::Subscription(_)))
    }

    /// The answer to a call whose turn it is.
    fn answer<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let service = self.service.clone();
        let known = self.observe.methods.method_with_name(request.method_name());
        let known = known.map(|(name, _)| name);
        let name = known.unwrap_or(UNKNOWN);
        async move {
            let begun = Instant::now();
            let running = metrics::Running::call();
            let response = if known.is_some() {
                service.call(without_null(request)).await
            } else {
                MethodResponse::error(request.id(), RpcError::unknown_method(request.method_name()))
            };
            drop(running);
            metrics::called(name, response.as_error_code(), begun.elapsed());
            tracing::debug!(
                method = name,
                code = response.as_error_code(),
                microseconds = begun.elapsed().as_micros(),
                "call"
            );
            response
        }
    }
}

/// The connection over which `extensions` came.
fn connection(extensions: &Extensions) -> Option<Activity> {
    extensions.get().cloned()
}

/// Counts a complete answer until it is sent. Subscriptions send theirs themselves.
fn count(connection: Option<&Activity>, response: &MethodResponse) {
    if let Some(connection) = connection.filter(|_| response.is_method_call()) {
        connection.answer().complete(response.as_json().get().len());
    }
}

impl<S> RpcServiceT for Observed<S>
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            BatchResponse = MethodResponse,
            NotificationResponse = MethodResponse,
        > + Clone
        + Send
        + Sync
        + 'static,
{
    type MethodResponse = MethodResponse;
    type BatchResponse = MethodResponse;
    type NotificationResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let service = self.clone();
        async move {
            let connection = connection(request.extensions());
            let _turn = match &connection {
                Some(connection) => Some(connection.call().await),
                None => None,
            };
            let response = service.answer(request).await;
            count(connection.as_ref(), &response);
            response
        }
    }

    /// One call after the other. When the time of the batch is over the rest is answered with errors, so
    /// that what was done is not lost.
    fn batch<'a>(&self, mut batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let service = self.clone();
        let connection = connection(batch.extensions());
        let most = self.observe.limits.response_bytes() as usize;
        async move {
            let _turn = match &connection {
                Some(connection) => Some(connection.batch().await),
                None => None,
            };
            let deadline = Deadline::after(service.observe.limits.batch_time());
            let mut answer = connection.as_ref().map(Activity::answer);
            metrics::batched(batch.len());
            let mut responses = BatchResponseBuilder::new_with_limit(most);
            let mut has_notification = false;
            for entry in batch {
                let response = match entry {
                    Ok(BatchEntry::Call(request)) if service.is_subscription(&request) => {
                        // It would be answered here, and once more by itself.
                        MethodResponse::error(request.id(), RpcError::SubscriptionInBatch)
                    }
                    Ok(BatchEntry::Call(request)) => match deadline.check() {
                        Ok(()) => {
                            let id = request.id();
                            let due = deadline.at().into();
                            let answered = async {
                                let _turn = match &connection {
                                    Some(connection) => Some(connection.call_of_batch().await),
                                    None => None,
                                };
                                service.answer(request).await
                            };
                            let response = tokio::time::timeout_at(due, answered).await;
                            response
                                .unwrap_or_else(|_| MethodResponse::error(id, deadline.passed()))
                        }
                        Err(passed) => MethodResponse::error(request.id(), passed),
                    },
                    Ok(BatchEntry::Notification(notification)) => {
                        has_notification = true;
                        service.notification(notification).await;
                        continue;
                    }
                    Err(invalid) => {
                        let (error, id) = invalid.into_parts();
                        MethodResponse::error(id, error)
                    }
                };
                if let Some(answer) = &mut answer {
                    answer.add(response.as_json().get().len());
                }
                if let Err(too_big) = responses.append(response) {
                    return too_big;
                }
            }
            if has_notification && responses.is_empty() {
                return MethodResponse::notification();
            }
            let response = MethodResponse::from_batch(responses.finish());
            if let Some(answer) = answer {
                answer.complete(response.as_json().get().len());
            }
            response
        }
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = MethodResponse> + Send + 'a {
        self.service.notification(notification)
    }
}
