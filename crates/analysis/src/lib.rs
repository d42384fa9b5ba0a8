//! What is known of transactions before they run.
//!
//! [`predict`] learns from the blocks that were executed which locations the transactions of the next
//! are going to read and write, and makes hints of it.

pub mod predict;
