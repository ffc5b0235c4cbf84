//! The options of a mount.
#![no_main]

#[path = "../properties.rs"]
#[allow(dead_code, reason = "each target uses its share")]
mod properties;

libfuzzer_sys::fuzz_target!(|options: &str| {
    properties::mount_options(options);
});
