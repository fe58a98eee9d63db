//! Says in words what is missing where Luau cannot be built.
//!
//! Luau is C++. Without a compiler its own build script fails with a page of output; cargo runs
//! this one as soon as it is compiled, which is long before that.

use std::process::{Command, Stdio};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CXX");
    // A compiler that is named for a target, as for a cross build, is whoever named it's affair.
    let named = std::env::vars_os().any(|(name, _)| name.to_string_lossy().contains("CXX"));
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
