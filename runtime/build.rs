//! Where the program begins: see src/sys/entry.rs.

fn main() {
    let architecture = std::env::var("CARGO_CFG_TARGET_ARCH");
    if let Ok("x86_64" | "aarch64") = architecture.as_deref() {
        println!("cargo:rustc-link-arg-bins=-Wl,--entry=sysc_runtime_start");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
