//! What the generated and the default blocks do when a plain executor runs them.

mod default_chain;
mod reference;
mod workloads;
