//! Durable tables for blocks, state, trie nodes and the history of changes.
