//! One test for each advisory about container runtimes, named after it. Each fails when what
//! protects from it is taken out; docs/SECURITY.md says where that is. Needs root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test tells by failing")]

mod rig;

mod cve {
    pub mod covers;
    pub mod executable;
    pub mod mounts;
    pub mod privileges;
    pub mod procfs;
}
