//! Clients as simple as they can be: what is sent is what a test says.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

/// How long a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(60);

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// A connection that speaks HTTP.
pub(crate) struct Http {
    stream: TcpStream,
    /// What was received beyond the last response.
    rest: Vec<u8>,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Http {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self { stream: connect(address), rest: Vec::new() }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Posts `body` with more headers.
    pub(crate) fn post_with(&mut self, headers: &str, body: &str) -> Response {
        let length = body.len();
        let head = format!(
            "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n{headers}\r\n"
        );
        self.write(head.as_bytes()).unwrap();
        // A server that refuses need not read all of it.
        let _ = self.write(body.as_bytes());
        self.response()
    }

    pub(crate) fn post(&mut self, body: &str) -> Response {
        self.post_with("", body)
    }

    pub(crate) fn get(&mut self, path: &str) -> Response {
        let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        self.write(head.as_bytes()).unwrap();
        self.response()
    }

    /// The response to one request.
    pub(crate) fn call(&mut self, method: &str, params: &str) -> Value {
        let request =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        self.post(&request).json()
    }

    /// The result of one request.
    pub(crate) fn result(&mut self, method: &str, params: &str) -> Value {
        let mut response = self.call(method, params);
        assert!(response.get("error").is_none(), "{method} {params}: {response}");
        response["result"].take()
    }

    /// The code of the error with which a request is answered.
    pub(crate) fn error(&mut self, method: &str, params: &str) -> i64 {
        let response = self.call(method, params);
        response["error"]["code"].as_i64().unwrap_or_else(|| panic!("{method}: {response}"))
    }

    pub(crate) fn response(&mut self) -> Response {
        let end = loop {
            if let Some(at) = find(&self.rest, b"\r\n\r\n") {
                break at;
            }
            self.receive();
        };
        let head = String::from_utf8(self.rest.drain(..end + 4).collect()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
        });
        let length: usize = length.unwrap_or(0);
        while self.rest.len() < length {
            self.receive();
        }
        let body = String::from_utf8(self.rest.drain(..length).collect()).unwrap();
        Response { status, head, body }
    }

    fn receive(&mut self) {
        let mut buffer = [0; 65536];
        let read = self.stream.read(&mut buffer).unwrap();
        assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(&self.rest));
        self.rest.extend_from_slice(&buffer[..read]);
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// A connection that is a WebSocket.
pub(crate) struct Ws {
    http: Http,
}

impl Ws {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let (ws, response) = Self::try_connect(address, "");
        assert_eq!(response.status, 101, "{response:?}");
        ws
    }

    /// Asks for a WebSocket with more headers.
    pub(crate) fn try_connect(address: SocketAddr, headers: &str) -> (Self, Response) {
        let mut http = Http::connect(address);
        let head = format!(
            "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             {headers}\r\n"
        );
        http.write(head.as_bytes()).unwrap();
        let response = http.response();
        (Self { http }, response)
    }

    /// Sends a text, in one frame whose mask changes nothing.
    pub(crate) fn send(&mut self, text: &str) {
        let mut frame = vec![0x81];
        match text.len() {
            short @ 0..126 => frame.push(0x80 | u8::try_from(short).unwrap()),
            medium @ 126..65536 => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(medium).unwrap().to_be_bytes());
            }
            long => {
                frame.push(0x80 | 127);
                frame.extend((long as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        let _ = self.http.write(&frame);
    }

    /// The next text.
    pub(crate) fn receive(&mut self) -> Value {
        loop {
            let opcode = self.take(1)[0] & 0x0f;
            let length = match self.take(1)[0] & 0x7f {
                126 => u16::from_be_bytes(self.take(2).try_into().unwrap()).into(),
                127 => u64::from_be_bytes(self.take(8).try_into().unwrap()),
                short => short.into(),
            };
            let payload = self.take(usize::try_from(length).unwrap());
            match opcode {
                1 => return serde_json::from_slice(&payload).unwrap(),
                // A ping: the server wants to know that somebody is there.
                9 => self.http.write(&[0x8a, 0x80, 0, 0, 0, 0]).unwrap(),
                _ => panic!("frame {opcode}"),
            }
        }
    }

    /// The response to one request.
    pub(crate) fn call(&mut self, method: &str, params: &str) -> Value {
        self.send(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#));
        self.receive()
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        while self.http.rest.len() < count {
            self.http.receive();
        }
        self.http.rest.drain(..count).collect()
    }
}
