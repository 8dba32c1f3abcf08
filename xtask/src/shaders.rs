//! `cargo xtask shaders [--check]`: is the SPIR-V in `shaders/spv` what the sources beside it compile to?
//!
//! Compiled bytes depend on the compiler's version, so that is pinned: with any other, or none, nothing can
//! be said, and that is a skip. The optimiser is part of the build: a driver's own does not make up for it
//! (the tile decoder is a quarter faster with it on the GPU measured).
#![forbid(unsafe_code)]

use crate::paths;
use crate::report::Report;
use crate::sh::Cmd;
use std::path::{Path, PathBuf};

/// The first line of `glslangValidator --version`, as Debian 12 has it.
const COMPILER: &str = "Glslang Version: 11:12.0.0";
/// How `spirv-opt --version` begins there.
const OPTIMISER: &str = "SPIRV-Tools v2023.1";

/// One file of SPIR-V: its name, its source, and what is defined for it.
struct Shader {
    name: &'static str,
    source: &'static str,
    define: &'static str,
}

const SHADERS: &[Shader] = &[
    Shader {
        name: "gdeflate-subgroup",
        source: "gdeflate.comp",
        define: "LANES_ARE_SUBGROUP",
    },
    Shader {
        name: "gdeflate-any",
        source: "gdeflate.comp",
        define: "LANES_ARE_ANY",
    },
];

/// Recompiles all shaders, or with `--check` only says which are stale.
pub(crate) fn run(arguments: &[String], report: &mut Report) -> Result<(), String> {
    let check = match arguments {
        [] => false,
        [one] if one == "--check" => true,
        _ => return Err("usage: cargo xtask shaders [--check]".into()),
    };
    if let Err(why) = compiler() {
        report.skip("shaders", &why);
        return Ok(());
    }
    for shader in SHADERS {
        let committed = paths::root().join(format!("shaders/spv/{}.spv", shader.name));
        let label = format!("shaders: {}", shader.name);
        let fresh = match compile(shader) {
            Ok(fresh) => fresh,
            Err(why) => {
                report.fail(&label, &why);
                continue;
            }
        };
        if std::fs::read(&committed).is_ok_and(|held| held == fresh) {
            report.pass(&format!("{label} is what its source compiles to"));
        } else if check {
            report.fail(&label, "stale: run `cargo xtask shaders` and commit it");
        } else {
            std::fs::write(&committed, fresh)
                .map_err(|e| format!("cannot write {}: {e}", committed.display()))?;
            report.pass(&format!("{label} rewritten; commit it"));
        }
    }
    Ok(())
}

/// Whether the pinned tools are here.
fn compiler() -> Result<(), String> {
    let pinned = [
        ("glslangValidator", COMPILER),
        ("spirv-opt", OPTIMISER),
        ("spirv-val", OPTIMISER),
    ];
    for (program, version) in pinned {
        let ended = Cmd::new(program).args(["--version"]).quiet().capture();
        if !ended.text.lines().any(|line| line.starts_with(version)) {
            return Err(format!("needs {program} of {version:?}, which is not here"));
        }
    }
    Ok(())
}

/// Compiles, optimises and validates one shader.
fn compile(shader: &Shader) -> Result<Vec<u8>, String> {
    let folder = paths::scratch("shaders")?;
    let raw = folder.join(format!("{}-raw.spv", shader.name));
    let optimised = folder.join(format!("{}.spv", shader.name));
    let source = paths::root().join("shaders").join(shader.source);
    let define = format!("-D{}", shader.define);
    let target = ["--target-env", "vulkan1.2"];
    step(
        "glslangValidator",
        &["-V", &define, target[0], target[1]],
        &source,
        &raw,
    )?;
    step("spirv-opt", &["-O"], &raw, &optimised)?;
    let valid = Cmd::new("spirv-val").args(target).arg(&optimised).quiet();
    let ended = valid.capture();
    match ended.code {
        Some(0) => {
            std::fs::read(&optimised).map_err(|e| format!("cannot read the SPIR-V back: {e}"))
        }
        _ => Err(format!("spirv-val: {}", ended.text.trim())),
    }
}

/// One program that makes one file of another.
fn step(program: &str, options: &[&str], input: &Path, output: &PathBuf) -> Result<(), String> {
    let command = Cmd::new(program).args(options).arg("-o").arg(output);
    let ended = command.arg(input).quiet().capture();
    match ended.code {
        Some(0) => Ok(()),
        _ => Err(format!("{program}: {}", ended.text.trim())),
    }
}
