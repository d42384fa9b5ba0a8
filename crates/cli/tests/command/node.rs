//! A node that tests start as people do, and what it is asked.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

/// A node that serves, and is killed when it goes out of scope.
pub(crate) struct Node {
    pub(crate) child: Child,
    output: BufReader<ChildStdout>,
    /// Where it serves HTTP: address and port.
    pub(crate) http: String,
}

impl Node {
    /// Starts one on the database in `data`. Its standard input is for whoever imports from there.
    pub(crate) fn start(data: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(assert_cmd::cargo::cargo_bin!("warpline"))
            .args(["node", "--http", "--http.port", "0", "--datadir"])
            .arg(data)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut node = Self { child, output, http: String::new() };
        node.http = node.announced("http: http://");
        node
    }

    /// The next address that it says, without what stands before it.
    pub(crate) fn announced(&mut self, before: &str) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix(before).unwrap_or_else(|| panic!("{line:?}"));
        address.to_owned()
    }

    pub(crate) fn call(&self, method: &str, params: &Value) -> Value {
        let body =
            json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let (_, answer) = request(&self.http, "POST / HTTP/1.1", &body);
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The page at `path`.
pub(crate) fn page(address: &str, path: &str) -> String {
    let (head, body) = request(address, &format!("GET {path} HTTP/1.1"), "");
    assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
    body
}

/// Head and body of the answer to a request.
fn request(address: &str, line: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let length = body.len();
    let head = "Host: localhost\r\nContent-Type: application/json\r\nConnection: close";
    write!(stream, "{line}\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}
