//! What can be said of transactions before they run.
//!
//! [`bytecode`] reads a contract's code: the functions it has, the storage that each may touch as
//! templates over the arguments of a call, and what makes calls of them conflict. [`predict`] learns from
//! the blocks that were executed and, with both, makes hints at the next.

pub mod bytecode;
pub mod predict;
