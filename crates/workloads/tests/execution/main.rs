//! What the generated and the default blocks do when a plain executor runs them.

mod default_chain;
mod fields;
mod reference;
mod workloads;
