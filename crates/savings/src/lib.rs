//! What the dependencies of a block's transactions allow parallel execution to save.
//!
//! [`Engine::trace`](warpline_engine::Engine::trace) says what each transaction of a block read,
//! changed and took. [`Dependencies`] is who needs whom because of that, by one of two
//! [`Notion`]s, and a [`Timeline`] what follows for the time: the critical path, which no number of
//! cores gets below while transactions are executed whole, and what a schedule on some cores takes.

mod dependencies;
mod timeline;

pub use dependencies::{Dependencies, Notion};
pub use timeline::Timeline;
