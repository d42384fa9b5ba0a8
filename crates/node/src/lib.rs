//! A node: importing chains, and serving them over JSON-RPC.
