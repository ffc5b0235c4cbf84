//! Where the program begins (src/sys/entry.rs), and what compiled filters depend on
//! (src/plan/seccomp/kept.rs).

use std::hash::{DefaultHasher, Hasher};
use std::path::Path;

const COMPILER: &str = "src/plan/seccomp";

fn main() -> std::io::Result<()> {
    let said = |name| std::env::var(name).unwrap_or_default();
    let is_known = matches!(said("CARGO_CFG_TARGET_ARCH").as_str(), "x86_64" | "aarch64");
    // A static program that can be anywhere is relocated by its own start, which comes later.
    let is_static = said("CARGO_CFG_TARGET_FEATURE").contains("crt-static");
    let is_fixed = said("CARGO_ENCODED_RUSTFLAGS").contains("relocation-model=static");
    if is_known && (!is_static || is_fixed) {
        println!("cargo:rustc-link-arg-bins=-Wl,--entry=sysc_runtime_start");
    }
    println!("cargo:rustc-env=SYSC_FILTERS={:016x}", sum(COMPILER)?);
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={COMPILER}");
    Ok(())
}

/// Of all files in a directory.
fn sum(directory: &str) -> std::io::Result<u64> {
    let mut files: Vec<_> = Path::new(directory).read_dir()?.flatten().collect();
    files.sort_by_key(std::fs::DirEntry::file_name);
    let mut hasher = DefaultHasher::new();
    for file in files {
        hasher.write(&std::fs::read(file.path())?);
    }
    Ok(hasher.finish())
}
