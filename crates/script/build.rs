//! Says in words what is missing where Luau cannot be built.
//!
//! Luau is C++. Without a compiler its own build script fails with a page of output; cargo runs
//! this one as soon as it is compiled, which is long before that.

use std::process::{Command, Stdio};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CXX");
    // A compiler that is named, as for a cross build, is the affair of whoever named it.
    let names_one =
        |name: &str| name == "CXX" || name.starts_with("CXX_") || name.ends_with("_CXX");
    let named = std::env::vars_os().any(|(name, _)| names_one(&name.to_string_lossy()));
    let answers = |compiler: &str| {
        let mut version = Command::new(compiler);
        version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        version.status().is_ok_and(|status| status.success())
    };
    if !named && !["c++", "g++", "clang++"].into_iter().any(answers) {
        println!(
            "cargo::error=Quorate needs a C++ compiler (g++ or clang++) to build its Lua \
             interpreter"
        );
    }
}
