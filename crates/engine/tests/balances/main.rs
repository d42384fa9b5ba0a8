//! What transactions are said to have made of balances, put to the test.
//!
//! The oracle executes a transaction again where accounts have other balances that are said to make
//! no difference, and demands the same result, the same reads and the same changes, the balance
//! itself apart, which differs by as much as before. It is asked about random blocks of all forks
//! and about cases written down by hand, which also say what must be found.

mod cases;
mod oracle;
mod random;
