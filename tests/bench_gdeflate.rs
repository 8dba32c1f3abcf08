//! `ds bench gdeflate` as its users run it, on a corpus that takes no time: what it writes parses, and says
//! what was measured.

#![forbid(unsafe_code)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// Runs it in `folder`.
fn bench(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ds"));
    command
        .args(["bench", "gdeflate"])
        .args(arguments)
        .current_dir(folder)
        .env_remove("DS_CONFIG");
    command.output().expect("the tool starts")
}

fn ok(folder: &Path, arguments: &[&str]) -> String {
    let output = bench(folder, arguments);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout).expect("text")
}

/// The one line of an error.
fn fails(folder: &Path, arguments: &[&str]) -> String {
    let output = bench(folder, arguments);
    let line = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{line}");
    assert!(
        line.starts_with("error: bench gdeflate: ") && line.lines().count() == 1,
        "{line}"
    );
    line
}

/// A folder with a corpus `c` of three classes: two that compress, of which one is of two files, and zeros.
fn corpus() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path().join("c");
    fs::create_dir_all(root.join("parts/deeper")).expect("a folder");
    let numbers = |from: u32, to: u32| {
        let lines = (from..to).map(|n| format!("{n} {}\n", n.wrapping_mul(2_654_435_761)));
        lines.collect::<String>()
    };
    fs::write(root.join("a<b>&c.txt"), numbers(0, 5000)).expect("a file");
    fs::write(root.join("parts/2"), numbers(7, 3000)).expect("a file");
    fs::write(root.join("parts/deeper/1"), numbers(5, 2000)).expect("a file");
    fs::write(root.join("zeros"), vec![0; 100_000]).expect("a file");
    folder
}

/// The codecs that are linked in, in order.
fn codecs() -> Vec<&'static str> {
    match cfg!(feature = "bench-peers") {
        true => vec![
            "ds-core",
            "reference",
            "libdeflate",
            "zlib-rs",
            "zstd",
            "memcpy",
        ],
        false => vec!["ds-core", "memcpy"],
    }
}

fn positive(value: &Value, name: &str) -> bool {
    let number = value[name].as_f64();
    number.is_some_and(|number| number.is_finite() && number > 0.0)
}

#[test]
fn files_say_what_was_measured() {
    let folder = corpus();
    let arguments = [
        "--corpus",
        "c",
        "--reps",
        "1",
        "--threads",
        "2",
        "--json",
        "o.json",
        "--svg",
        "o.svg",
    ];
    let text = ok(folder.path(), &arguments);
    assert!(
        text.contains("a<b>&c.txt") && text.contains("geometric mean"),
        "{text}"
    );
    let json = fs::read_to_string(folder.path().join("o.json")).expect("it is there");
    let json: Value = serde_json::from_str(&json).expect("JSON");

    let classes = json["classes"].as_array().expect("classes");
    let class = |class: &Value| {
        let bytes = class["bytes"].as_u64().expect("a size");
        let trivial = class["trivial"].as_bool().expect("an answer");
        (
            class["class"].as_str().expect("a name").to_owned(),
            bytes,
            trivial,
        )
    };
    let size = |name: &str| {
        let metadata = fs::metadata(folder.path().join("c").join(name));
        metadata.expect("the file").len()
    };
    let expected = [
        ("a<b>&c.txt".to_owned(), size("a<b>&c.txt"), false),
        (
            "parts".to_owned(),
            size("parts/2") + size("parts/deeper/1"),
            false,
        ),
        ("zeros".to_owned(), 100_000, true),
    ];
    assert_eq!(classes.iter().map(class).collect::<Vec<_>>(), expected);
    classes.iter().for_each(check_rows);
    assert_eq!(json["summary"]["classes"], 2);
    let points = json["encoders"][0]["points"].as_array().expect("points");
    let levels: Vec<u64> = points.iter().filter_map(|p| p["level"].as_u64()).collect();
    assert_eq!(levels, (1..=12).collect::<Vec<_>>());
    assert!(
        points
            .iter()
            .all(|p| positive(p, "ratio") && positive(p, "encode_mb_s"))
    );

    let svg = fs::read_to_string(folder.path().join("o.svg")).expect("it is there");
    check_xml(&svg);
    assert!(svg.contains("a&lt;b&gt;&amp;c.txt") && svg.contains("<polyline"));
    assert!(svg.contains("prefers-color-scheme:dark"));
    let left: Vec<_> = fs::read_dir(folder.path()).expect("the folder").collect();
    assert_eq!(left.len(), 3, "temporary files stay: {left:?}");
}

/// That a class has a row for each codec, with the figures that codec can have.
fn check_rows(class: &Value) {
    let rows = class["rows"].as_array().expect("rows");
    // Which of the engine's other paths there are is the machine's business.
    let is_path = |codec: Option<&str>| codec.is_some_and(|codec| codec.starts_with("ds-core-"));
    let named = rows.iter().map(|row| row["codec"].as_str());
    let named: Vec<&str> = named.filter(|&codec| !is_path(codec)).flatten().collect();
    assert_eq!(named, codecs());
    for row in rows {
        let compressed = row["compressed_bytes"].as_f64().expect("a size");
        let ratio = class["bytes"].as_f64().expect("a size") / compressed;
        assert!((row["ratio"].as_f64().expect("a ratio") - ratio).abs() < 1e-4);
        let copies = row["codec"] == "memcpy" || is_path(row["codec"].as_str());
        assert_eq!(copies, !positive(row, "encode_mb_s"), "{row}");
        assert_eq!(copies, !positive(row, "encode_threads_mb_s"), "{row}");
        assert!(positive(row, "decode_mb_s") && positive(row, "decode_threads_mb_s"));
        let compared = positive(row, "decode_to_reference_ratio");
        assert_eq!(compared, cfg!(feature = "bench-peers"));
    }
}

/// That tags are closed in order, attributes quoted, and nothing stands bare that must be escaped.
fn check_xml(text: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = text.trim();
    while let Some(start) = rest.find('<') {
        let content = &rest[..start];
        assert!(!content.contains('>'), "{content}");
        for entity in content.split('&').skip(1) {
            let known = ["lt;", "gt;", "amp;", "quot;"];
            assert!(
                known.iter().any(|known| entity.starts_with(known)),
                "{content}"
            );
        }
        let end = start + rest[start..].find('>').expect("the tag ends");
        let tag = &rest[start + 1..end];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else {
            let name = tag.split_whitespace().next().expect("a name");
            assert!(tag.matches('"').count().is_multiple_of(2), "{tag}");
            assert_eq!(
                tag.matches("=\"").count() * 2,
                tag.matches('"').count(),
                "{tag}"
            );
            if !tag.ends_with('/') {
                open.push(name);
            }
        }
        rest = &rest[end + 1..];
        assert!(!open.is_empty() || rest.is_empty(), "one root: {rest}");
    }
    assert!(open.is_empty() && rest.is_empty(), "{open:?} {rest}");
}

#[test]
fn the_last_line_is_a_benchmark_s() {
    let folder = corpus();
    let text = ok(
        folder.path(),
        &["--corpus", "c", "--reps", "1", "--level", "1", "--json"],
    );
    let last: Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
    let numbers = last.as_object().expect("an object");
    assert!(numbers.values().all(Value::is_number), "{last}");
    assert_eq!([&last["classes"], &last["level"]], [2, 1]);
    assert!(positive(&last, "decode_mb_s") && positive(&last, "encode_mb_s"));
    assert!(positive(&last, "compressed_ratio"));
}

#[test]
fn what_cannot_be_measured_is_a_clear_error() {
    let folder = corpus();
    let error = fails(folder.path(), &["--corpus", "none"]);
    assert!(error.contains("none: No such file"), "{error}");
    let error = fails(folder.path(), &["--corpus", "c/zeros"]);
    assert!(error.contains("c/zeros: Not a directory"), "{error}");
    fs::create_dir(folder.path().join("empty")).expect("a folder");
    let error = fails(folder.path(), &["--corpus", "empty"]);
    assert!(error.contains("nothing to read"), "{error}");

    let many = folder.path().join("many");
    fs::create_dir(&many).expect("a folder");
    for number in 0..65 {
        fs::write(many.join(number.to_string()), b"x").expect("a file");
    }
    let error = fails(folder.path(), &["--corpus", "many"]);
    assert!(error.contains("more than 64"), "{error}");

    let trivial = folder.path().join("trivial");
    fs::create_dir(&trivial).expect("a folder");
    fs::write(trivial.join("zeros"), [0; 60_000]).expect("a file");
    let arguments = ["--corpus", "trivial", "--reps", "1", "--svg", "o.svg"];
    ok(folder.path(), &arguments);
    let svg = fs::read_to_string(folder.path().join("o.svg"));
    check_xml(&svg.expect("it is there"));
    let error = fails(
        folder.path(),
        &["--corpus", "trivial", "--reps", "1", "--json"],
    );
    assert!(error.contains("no class has anything"), "{error}");

    // Said before anything is measured.
    let error = fails(folder.path(), &["--svg", "none/o.svg", "--reps", "1000"]);
    assert!(error.contains("none"), "{error}");
    for wrong in [["--level", "13"], ["--reps", "0"], ["--threads", "0"]] {
        assert_eq!(bench(folder.path(), &wrong).status.code(), Some(2));
    }
}
