//! config.json, from text to plan.
#![no_main]

#[path = "../properties.rs"]
#[allow(dead_code, reason = "each target uses its share")]
mod properties;

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    properties::config(text);
});
