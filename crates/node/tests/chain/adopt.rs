//! Which genesis files a chain goes on with.

use warpline_node::{Adopted, OpenError};

use crate::{branches::NONE, builder::Builder};

const ID: &str = r#""chainId": 1337"#;
const OTHER_ID: &str = r#""chainId": 1338"#;
const LONDON: &str = r#""londonBlock": 0"#;

#[test]
fn what_has_happened_cannot_be_changed() {
    let builder = Builder::new(true);
    let mut chain = builder.chain(NONE);
    let database = chain.database().clone();
    let adopt = |what, instead| builder.source_with(what, instead).adopt(&database);
    assert_eq!(adopt(ID, ID).unwrap(), Adopted::Same);
    // Nothing has happened yet.
    assert_eq!(adopt(ID, OTHER_ID).unwrap(), Adopted::Updated);
    assert_eq!(adopt(ID, ID).unwrap(), Adopted::Updated);
    chain.import(builder.child(&builder.genesis(), 1, &[1]).incoming()).unwrap();
    assert!(matches!(adopt(ID, OTHER_ID), Err(OpenError::ChainChanged { head: 1 })));
    let earlier = r#""londonBlock": 0, "shanghaiTime": 5"#;
    assert!(matches!(adopt(LONDON, earlier), Err(OpenError::ForkChanged { head: 1, .. })));
    let later = r#""londonBlock": 0, "shanghaiTime": 1000000"#;
    assert_eq!(adopt(LONDON, later).unwrap(), Adopted::Updated);
    assert_eq!(adopt(LONDON, later).unwrap(), Adopted::Same);
    let funded = ("0xde0b6b3a7640000", "0xde0b6b3a7640001");
    assert!(matches!(adopt(funded.0, funded.1), Err(OpenError::OtherChain { .. })));
}
