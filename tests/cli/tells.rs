//! `ds inspect`, `ds info`, `ds demo`, and the settings of the environment.

#![forbid(unsafe_code)]

use std::fs;
use std::process::Command;

use crate::rig::*;

#[test]
fn inspect_tells_what_is_there() {
    let (folder, _, archive) = small_archive();
    let printed = ok(folder.path(), &[&"inspect", &"a.dspk"]);
    assert!(
        printed.contains("tree/l -> a") && printed.contains("4 entries"),
        "{printed}"
    );
    let value = json(&ok(folder.path(), &[&"inspect", &"a.dspk", &"--json"]));
    assert_eq!(value["archive_bytes"], archive.len());
    assert_eq!(value["bytes"], 150_005);
    assert_eq!(value["entries"].as_array().unwrap().len(), 4);
    assert_eq!(value["entries"][1]["chunks"], 3);

    ok(folder.path(), &[&"compress", &"tree/a", &"s.gd"]);
    assert!(ok(folder.path(), &[&"inspect", &"s.gd"]).contains("150000 bytes"));
    let value = json(&ok(folder.path(), &[&"inspect", &"s.gd", &"--json"]));
    assert_eq!(
        (&value["tiles"], &value["header_id"]),
        (&3.into(), &4.into())
    );
    let error = fails(folder.path(), &[&"inspect", &"tree/a"]);
    assert!(error.contains("neither"), "{error}");
}

#[test]
fn info_names_every_option_and_backend() {
    let folder = folder();
    fs::write(folder.path().join("f"), "12345").unwrap();
    let printed = ok(folder.path(), &[&"info", &"--file", &"f"]);
    let value = json(&ok(folder.path(), &[&"info", &"--file", &"f", &"--json"]));
    for option in ds_core::OPTIONS {
        assert!(printed.contains(option.key));
        assert!(value["options"][option.key]["value"].is_string());
    }
    for backend in ds_core::Backend::ALL {
        let available = value["backends"][backend.name()]["available"].as_bool();
        assert_eq!(available, Some(backend.unavailable().is_none()));
    }
    assert_eq!(value["file"]["bytes"], 5);
    assert!(printed.contains("DS_CONFIG_FILE") && printed.contains("file system"));
    assert!(fails(folder.path(), &[&"info", &"--file", &"none"]).contains("No such file"));
}

#[test]
fn info_says_how_a_file_is_read_and_why() {
    let folder = folder();
    fs::write(folder.path().join("f"), content(1, 100_000)).unwrap();
    let file = |config: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_ds"))
            .current_dir(folder.path())
            .args(["info", "--file", "f", "--json"])
            .env("DS_CONFIG", config)
            .output()
            .unwrap();
        json(&text(&output.stdout))["file"].clone()
    };
    for mode in ds_core::FileMode::ALL {
        let facts = file(&format!("file_mode={}", mode.name()));
        assert_eq!(facts["mode"], mode.name());
        assert_eq!(facts["read"], facts[format!("if {}", mode.name())]);
        let read = facts["read"].as_str().unwrap();
        assert!(!read.is_empty() && read.contains(": "), "{read}");
    }
    // What the file system allows is for it to say; the words are the engine's own.
    let opened = ds_core::File::open(folder.path().join("f")).unwrap();
    let direct = opened.explain_mode(ds_core::FileMode::Direct).unwrap();
    assert_eq!(file("file_mode=direct")["read"], direct);
    let forced = file("file_mode=direct,force_file_buffering=1");
    assert_eq!(
        (&forced["mode"], &forced["read"]),
        (&"buffered".into(), &"buffered: asked for".into())
    );
    let printed = ok(folder.path(), &[&"info", &"--file", &"f"]);
    assert!(
        printed.contains("if direct") && printed.contains(&direct),
        "{printed}"
    );
    assert_ne!(forced["file system"], "unknown", "/proc says it");
    if let Some(alignment) = forced["direct offset alignment"].as_u64() {
        assert!(alignment.is_power_of_two());
        assert!(
            !direct.starts_with("direct") || direct.contains(&format!("aligned to {alignment},"))
        );
    }
}

#[test]
fn info_does_not_wait_for_a_pipe() {
    let folder = folder();
    let made = Command::new("mkfifo").arg(folder.path().join("p")).status();
    assert!(made.unwrap().success());
    let line = fails(folder.path(), &[&"info", &"--file", &"p"]);
    assert!(line.contains("not a regular file"), "{line}");
    assert!(fails(folder.path(), &[&"info", &"--file", &"."]).contains("not a regular file"));
}

#[test]
fn the_environment_reaches_the_engine() {
    let run = |config: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ds"));
        command
            .args(["info", "--json"])
            .env("DS_CONFIG", config)
            .output()
            .unwrap()
    };
    let output = run("io_threads=3");
    assert_eq!(json(&text(&output.stdout))["limits"]["io_threads"], 3);
    let output = run("speed=11");
    assert!(output.status.success() && text(&output.stderr).contains("speed"));
}

#[test]
fn options_that_only_games_can_serve_do_not_stop_the_tool() {
    let (folder, tree, _) = small_archive();
    for (config, word) in [
        ("decode_threads=-1", "decode_threads"),
        ("backend=sim", "sim"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_ds"))
            .current_dir(folder.path())
            .args(["unpack", "a.dspk", "-C", config])
            .env("DS_CONFIG", config)
            .output()
            .unwrap();
        let line = text(&output.stderr);
        assert!(
            output.status.success() && line.starts_with("warning: "),
            "{line}"
        );
        assert!(line.contains(word) && line.lines().count() == 1, "{line}");
        assert_eq!(
            describe(&folder.path().join(config).join("tree")),
            describe(&tree)
        );
    }
    let output = Command::new(env!("CARGO_BIN_EXE_ds"))
        .current_dir(folder.path())
        .args(["verify", "a.dspk"])
        .env("DS_CONFIG", "staging_mib=0")
        .output()
        .unwrap();
    let line = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        line.contains("tree/a") && line.contains("staging"),
        "{line}"
    );
}

#[test]
fn the_demonstration_shows_every_backend() {
    let folder = folder();
    let printed = ok(folder.path(), &[&"demo", &"--mib", &"2"]);
    for backend in ds_core::Backend::ALL {
        let named = printed
            .lines()
            .filter(|line| line.starts_with(backend.name()))
            .count();
        let expected = match (backend, backend.unavailable()) {
            (ds_core::Backend::Sim, _) => 0,
            (_, Some(_)) => 1,
            // Into memory, and into the GPU's.
            (ds_core::Backend::Vulkan, None) => 5,
            (_, None) => 3,
        };
        assert_eq!(named, expected, "{backend}: {printed}");
    }
}
