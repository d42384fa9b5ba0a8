//! A node for tests: JSON-RPC over HTTP on a thread, and whatever can go wrong with it.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::served::Served;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is answered.
    None,
    /// It is answered with this status and a page.
    Status(u16),
    /// The answer ends in the middle.
    Truncated,
    /// The answer ends in the middle and says that it is whole.
    Cut,
    /// The connection is closed without a word.
    Hangup,
    /// There is no answer for longer than anybody waits.
    Silence,
    /// The answer has another id.
    WrongId,
    /// A batch is refused as a whole.
    NoBatch,
    /// Every question is refused for now (EIP-1474).
    Overload,
    /// The answer is longer than a mebibyte.
    Long,
}

type Faults = dyn FnMut(&[String]) -> Fault + Send;

/// A node that listens until the process ends.
pub(crate) struct Mock {
    pub(crate) url: String,
    served: Arc<Served>,
    /// How often each method was called, and the requests.
    calls: Arc<Mutex<(BTreeMap<String, usize>, usize)>>,
    faults: Arc<Mutex<Box<Faults>>>,
}

impl Mock {
    /// A node without faults.
    pub(crate) fn start(served: Served) -> Self {
        Self::faulty(served, |_| Fault::None)
    }

    /// A node that asks `faults` about every request, naming its methods.
    pub(crate) fn faulty(
        served: Served,
        faults: impl FnMut(&[String]) -> Fault + Send + 'static,
    ) -> Self {
        Self::listening(served, faults, None)
    }

    /// A node without faults behind TLS.
    #[cfg(feature = "tls")]
    pub(crate) fn secure(served: Served, tls: Arc<ServerConfig>) -> Self {
        Self::listening(served, |_| Fault::None, Some(tls))
    }

    fn listening(
        served: Served,
        faults: impl FnMut(&[String]) -> Fault + Send + 'static,
        tls: Option<Arc<ServerConfig>>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mock = Self {
            url: format!("{scheme}://{}/secret-key", listener.local_addr().unwrap()),
            served: Arc::new(served),
            calls: Arc::default(),
            faults: Arc::new(Mutex::new(Box::new(faults))),
        };
        let (served, calls, faults) =
            (mock.served.clone(), mock.calls.clone(), mock.faults.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (served, calls, faults) = (served.clone(), calls.clone(), faults.clone());
                let tls = tls.clone().map(|tls| ServerConnection::new(tls).unwrap());
                thread::spawn(move || {
                    let stream = stream.unwrap();
                    // Who asks may go away at any time.
                    drop(match tls {
                        None => serve(stream, &served, &calls, &faults),
                        Some(tls) => serve(StreamOwned::new(tls, stream), &served, &calls, &faults),
                    });
                });
            }
        });
        mock
    }

    /// How often `method` was called.
    pub(crate) fn calls(&self, method: &str) -> usize {
        self.calls.lock().unwrap().0.get(method).copied().unwrap_or_default()
    }

    /// How many requests there were.
    pub(crate) fn requests(&self) -> usize {
        self.calls.lock().unwrap().1
    }
}

fn serve(
    stream: impl Read + Write,
    served: &Served,
    calls: &Mutex<(BTreeMap<String, usize>, usize)>,
    faults: &Mutex<Box<Faults>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let request: Value = serde_json::from_slice(&body).unwrap();
    let questions: Vec<&Value> = match &request {
        Value::Array(questions) => questions.iter().collect(),
        question => vec![question],
    };
    let methods: Vec<String> =
        questions.iter().map(|question| question["method"].as_str().unwrap().to_owned()).collect();
    {
        let mut calls = calls.lock().unwrap();
        calls.1 += 1;
        for method in &methods {
            *calls.0.entry(method.clone()).or_default() += 1;
        }
    }
    let fault = (faults.lock().unwrap())(&methods);
    let mut answers: Vec<Value> =
        questions.iter().map(|question| answer(served, question)).collect();
    // The order of answers in a batch is the node's own.
    answers.reverse();
    match fault {
        Fault::WrongId => answers[0]["id"] = json!(999_999),
        Fault::Hangup => return Ok(()),
        Fault::Overload => {
            for answer in &mut answers {
                let error = json!({"code": -32005, "message": "limit exceeded"});
                *answer = json!({"jsonrpc": "2.0", "id": answer["id"], "error": error});
            }
        }
        Fault::Silence => thread::sleep(Duration::from_secs(30)),
        _ => {}
    }
    let text = match request {
        Value::Array(_) if fault == Fault::NoBatch => {
            json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32600, "message": "no batches"}})
                .to_string()
        }
        Value::Array(_) => json!(answers).to_string(),
        _ => answers.remove(0).to_string(),
    };
    let text = if fault == Fault::Long { " ".repeat(1 << 20) + &text } else { text };
    let status = if let Fault::Status(status) = fault { status } else { 200 };
    let text = if status == 200 { text } else { "<html>no</html>".to_owned() };
    let sent =
        if matches!(fault, Fault::Truncated | Fault::Cut) { text.len() / 2 } else { text.len() };
    let claimed = if fault == Fault::Cut { sent } else { text.len() };
    let mut stream = reader.into_inner();
    write!(
        stream,
        "HTTP/1.1 {status} It\r\nLocation: https://127.0.0.1:1/\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {claimed}\r\n\r\n"
    )?;
    stream.write_all(&text.as_bytes()[..sent])?;
    stream.flush()
}

fn answer(served: &Served, question: &Value) -> Value {
    let (id, method) = (&question["id"], question["method"].as_str().unwrap());
    let missing = (-32601, format!("the method {method} does not exist"));
    let answer = if served.lacks.contains(&method) {
        None
    } else {
        served.answer(method, &question["params"])
    };
    match answer.unwrap_or(Err(missing)) {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err((code, message)) => {
            json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
        }
    }
}
