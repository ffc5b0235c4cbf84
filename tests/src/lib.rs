//! The rigs of sysc's end-to-end tests and of its demonstration.
//!
//! Everything here is the real thing: systemd machines ([`machine`]), a registry
//! ([`registry`]), images built from Debian's packages ([`images`]). Each test owns what it
//! starts; what a test that dies leaves behind is ended by the kernel with it.

pub mod command;
pub mod image;
pub mod images;
pub mod machine;
pub mod product;
pub mod registry;
pub mod rogue;
pub mod snapshot;
pub mod tree;
pub mod watched;
