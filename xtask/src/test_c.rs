//! `cargo xtask test-c [--bless]`: the library as C and C++ see it.
//!
//! Builds the shared library; checks its name, its exports and that the header stands alone; then builds
//! every program in `tests/c`, `tests/cpp` and `examples` with gcc and clang, and runs each as it is, under
//! AddressSanitizer with UndefinedBehaviorSanitizer, and under valgrind.
//!
//! A program passes with exit status 0 and skips with 77, having said why. A program that skips every time
//! has proved nothing, and if they all do, that is a failure.
#![forbid(unsafe_code)]

use crate::paths;
use crate::report::Report;
use crate::sh::{self, Cmd, Ended};
use crate::symbols;
use std::path::{Path, PathBuf};

/// The exit status that says "could not run here", as automake and liburing have it.
const EXIT_SKIPPED: i32 = 77;

/// How long one run may take. Under valgrind a program is some thirty times slower.
const RUN_LIMIT_S: u64 = 300;

/// A language a program is written in: directory names, endings, and its two compilers.
struct Language {
    name: &'static str,
    endings: &'static [&'static str],
    standard: &'static str,
    compilers: [&'static str; 2],
}

const LANGUAGES: [Language; 2] = [
    Language {
        name: "C11",
        endings: &["c"],
        standard: "-std=c11",
        compilers: ["gcc", "clang"],
    },
    Language {
        name: "C++17",
        endings: &["cpp"],
        standard: "-std=c++17",
        compilers: ["g++", "clang++"],
    },
];

/// Where programs are. Those that belong to the library's users stand in `examples`.
const DIRECTORIES: [&str; 4] = ["tests/c", "tests/cpp", "examples/c", "examples/cpp"];

/// How a program is built and run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain,
    Sanitized,
    Valgrind,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Way::Plain => "plain",
            Way::Sanitized => "asan+ubsan",
            Way::Valgrind => "valgrind",
        }
    }
}

/// Builds and checks everything C touches.
pub(crate) fn run(arguments: &[String], report: &mut Report) -> Result<(), String> {
    let bless = match arguments {
        [] => false,
        [one] if one == "--bless" => true,
        _ => return Err("usage: cargo xtask test-c [--bless]".into()),
    };
    let library = build_library(&["build", "--package", "ds-capi"], "debug")?;
    let release = build_library(&["build", "--release", "--package", "ds-capi"], "release")?;
    report.check("test-c: SONAME", symbols::check_soname(&release));
    report.check(
        "test-c: exported symbols",
        symbols::check_exports(&release, bless),
    );
    header_alone(report);
    programs(&library, report);
    Ok(())
}

/// Builds the library and gives it, beside itself, the name programs will look for.
fn build_library(arguments: &[&str], profile: &str) -> Result<PathBuf, String> {
    Cmd::cargo().args(arguments).arg("--quiet").run()?;
    let library = paths::target().join(profile).join("libds_runtime.so");
    let alias = library.with_file_name(symbols::soname_expected());
    let _ = std::fs::remove_file(&alias);
    std::os::unix::fs::symlink("libds_runtime.so", &alias)
        .map_err(|e| format!("cannot link {}: {e}", alias.display()))?;
    Ok(library)
}

fn include_directory() -> PathBuf {
    paths::root().join("include")
}

/// The header compiles by itself, twice in a row, in every language and compiler.
fn header_alone(report: &mut Report) {
    for language in &LANGUAGES {
        for compiler in language.compilers {
            let name = format!("test-c: header alone, {}, {compiler}", language.name);
            if sh::have(compiler) {
                report.check(&name, header_with(language, compiler));
            } else {
                report.skip(&name, &format!("{compiler} is not here"));
            }
        }
    }
}

fn header_with(language: &Language, compiler: &str) -> Result<(), String> {
    let source = paths::scratch("test-c")?.join(format!("header.{}", language.endings[0]));
    // The declaration keeps the unit from being empty, which ISO C forbids and -Wpedantic reports.
    let text =
        "#include \"ds_runtime.h\"\n#include \"ds_runtime.h\"\nextern int ds_header_alone;\n";
    paths::write(&source, text)?;
    let compile = compile(language, compiler)
        .arg("-Wpedantic")
        .arg("-fsyntax-only")
        .arg(&source);
    compile.quiet().capture().text_or_shown().map(drop)
}

/// A compiler with the flags every unit of ours must bear.
fn compile(language: &Language, compiler: &str) -> Cmd {
    let warnings = ["-Wall", "-Wextra", "-Werror"];
    Cmd::new(compiler)
        .arg(language.standard)
        .args(warnings)
        .arg("-I")
        .arg(include_directory())
        .limit_s(120)
}

fn programs(library: &Path, report: &mut Report) {
    let (passed_before, failed_before) = (report.passed_count(), report.failed_count());
    let mut found = 0;
    for language in &LANGUAGES {
        for directory in DIRECTORIES {
            for source in paths::files_in(&paths::root().join(directory), language.endings) {
                found += 1;
                program(language, &source, library, report);
            }
        }
    }
    if found == 0 {
        report.skip(
            "test-c: programs",
            "there is none in tests/c, tests/cpp or examples",
        );
    } else if report.passed_count() == passed_before && report.failed_count() == failed_before {
        report.fail(
            "test-c: programs",
            "every program skipped, so nothing is proved",
        );
    }
}

fn program(language: &Language, source: &Path, library: &Path, report: &mut Report) {
    let [first, _] = language.compilers;
    for compiler in language.compilers {
        one_way(language, compiler, source, library, Way::Plain, report);
    }
    one_way(language, first, source, library, Way::Sanitized, report);
    one_way(language, first, source, library, Way::Valgrind, report);
}

fn one_way(
    language: &Language,
    compiler: &str,
    source: &Path,
    library: &Path,
    way: Way,
    report: &mut Report,
) {
    let name = format!(
        "test-c: {} ({compiler}, {})",
        paths::name_of(source),
        way.name()
    );
    let of_gpu = |name: &str| name.starts_with("gpu") || name.starts_with("vulkan");
    if way == Way::Valgrind && of_gpu(&paths::name_of(source)) {
        let why =
            "a driver that compiles at run time takes minutes there, and is what it reports on";
        return report.skip(&name, why);
    }
    let tools = [Some(compiler), (way == Way::Valgrind).then_some("valgrind")];
    if let Some(missing) = tools.into_iter().flatten().find(|tool| !sh::have(tool)) {
        report.skip(&name, &format!("{missing} is not here"));
        return;
    }
    let ended =
        build_program(language, compiler, source, library, way).and_then(|p| run_program(&p, way));
    match ended {
        Err(why) => report.fail(&name, &why),
        Ok(ended) if ended.code == Some(EXIT_SKIPPED) => report.skip(&name, &reason(&ended)),
        Ok(ended) => report.check(&name, ended.text_or_shown().map(drop)),
    }
}

/// Why a program skipped: the last thing it said.
fn reason(ended: &Ended) -> String {
    ended
        .text
        .lines()
        .rev()
        .find(|l| !l.trim().is_empty())
        .unwrap_or("it does not say why")
        .to_string()
}

fn build_program(
    language: &Language,
    compiler: &str,
    source: &Path,
    library: &Path,
    way: Way,
) -> Result<PathBuf, String> {
    let directory = paths::scratch("test-c")?;
    let program = directory.join(format!(
        "{}-{compiler}-{}",
        paths::name_of(source),
        way.name()
    ));
    let beside = library.parent().ok_or("the library lies in no directory")?;
    let mut compile = compile(language, compiler).args(["-g", "-O1"]);
    if way == Way::Sanitized {
        let flags = [
            "-fsanitize=address,undefined",
            "-fno-sanitize-recover=all",
            "-fno-omit-frame-pointer",
        ];
        compile = compile.args(flags);
    }
    compile = compile
        .arg("-I")
        .arg(source.parent().unwrap_or(&directory))
        .arg(source)
        .arg("-o")
        .arg(&program);
    compile = compile
        .arg("-L")
        .arg(beside)
        .arg(format!("-Wl,-rpath,{}", beside.display()));
    compile
        .args(["-lds_runtime", "-pthread"])
        .quiet()
        .capture()
        .text_or_shown()?;
    Ok(program)
}

/// Whether a program opens a Vulkan driver. Those leak, and are unloaded before anyone can say whose the
/// memory was, so for such programs leaks say nothing about ours; everything else is watched as ever.
fn opens_a_driver(program: &Path) -> bool {
    let name = paths::name_of(program);
    // `options` asks for every backend.
    ["gpu", "vulkan", "options"]
        .iter()
        .any(|start| name.starts_with(start))
}

/// Runs a program in an empty directory of its own, so that it may leave files without harm.
fn run_program(program: &Path, way: Way) -> Result<Ended, String> {
    let directory = paths::scratch("test-c-run")?.join(paths::name_of(program));
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory)
        .map_err(|e| format!("cannot make {}: {e}", directory.display()))?;
    let leaks = !opens_a_driver(program);
    let command = match way {
        Way::Plain => Cmd::new(program),
        Way::Sanitized => Cmd::new(program)
            .env(
                "ASAN_OPTIONS",
                format!(
                    "detect_leaks={}:abort_on_error=0:exitcode=99",
                    u8::from(leaks)
                ),
            )
            .env("UBSAN_OPTIONS", "print_stacktrace=1"),
        Way::Valgrind => Cmd::new("valgrind")
            .args(VALGRIND_FLAGS)
            .args(if leaks { &LEAK_FLAGS[..] } else { &[] })
            .arg(format!("--suppressions={}", suppressions().display()))
            .arg(program)
            .env("DS_TEST_VALGRIND", "1"),
    };
    let ended = command
        .directory(&directory)
        .limit_s(RUN_LIMIT_S)
        .quiet()
        .capture();
    let _ = std::fs::remove_dir_all(&directory);
    Ok(ended)
}

fn suppressions() -> PathBuf {
    paths::root().join("xtask/valgrind.supp")
}

const VALGRIND_FLAGS: [&str; 2] = ["--quiet", "--error-exitcode=99"];

/// Reachable memory is not a leak: the runtime keeps a thread pool and a logger for the life of the process.
const LEAK_FLAGS: [&str; 3] = [
    "--leak-check=full",
    "--show-leak-kinds=definite,indirect,possible",
    "--errors-for-leak-kinds=definite,indirect,possible",
];
