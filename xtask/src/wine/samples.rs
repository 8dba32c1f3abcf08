//! The Windows samples of `examples/windows`: built for the release archive, run, and what they show checked.
//!
//! The loader writes what the GPU has of every file of the scene, which must be what `ds unpack` writes; and
//! a picture, in which every texture must stand as it decodes here, and every mesh must have been drawn.
#![forbid(unsafe_code)]

// What the scene's names and payloads mean is told once, for the native examples.
#[path = "../../../examples/scene/mod.rs"]
mod scene;

use super::build;
use super::host::Wine;
use super::programs::{self, Program};
use crate::paths;
use crate::report::Report;
use crate::sh::{Cmd, Ended};
use scene::{Picture, Shape};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const HELLO: &str = "dstorage-hello.exe";
const STREAM: &str = "dstorage-stream.exe";
const SCENE: &str = "scene.dspk";

/// Where the loader writes in its folder: what the GPU has, and the picture.
const BACK: &str = "back";
const PICTURE: &str = "picture.png";

/// How the samples end without a dstorage.dll or a Direct3D 12 device, and when something is wrong.
const EXIT_MISSING: i32 = 4;
const EXIT_WRONG: i32 = 1;

/// A mesh's part of the picture, as stream.c has it, and how much of it no mesh would leave dark.
const MESH_SIZE: [usize; 2] = [308, 284];
const MESH_SHARE_MIN: f64 = 0.08;
/// Brighter than the ground behind meshes.
const BRIGHT: u8 = 96;

const RUN_LIMIT_S: u64 = 120;

/// Builds the samples into `bin`, with the scene beside them.
pub(crate) fn build(bin: &Path) -> Result<(), String> {
    let folder = paths::root().join("examples/windows");
    build::program(&folder.join("hello.c"), &bin.join(HELLO), &[])?;
    build::program(&folder.join("stream.c"), &bin.join(STREAM), &[])?;
    paths::copy(
        &paths::root().join("examples").join(SCENE),
        &bin.join(SCENE),
    )
}

/// Runs the samples of the laid-out `package` with one Wine, which has a display.
pub(crate) fn try_all(wine: &Wine, package: &Path, report: &mut Report) {
    let name = |what: &str| format!("{}: the samples for Direct3D 12: {what}", wine.name);
    let folder = match lay_out(wine, package) {
        Ok(folder) => folder,
        Err(why) => return report.fail(&name("their folder"), &why),
    };
    let run = |program: &str, arguments: &[&str]| {
        let run = wine.run(&folder.join(program)).args(arguments);
        let run = run.env("WINEDLLPATH", package.join("lib/wine"));
        let run = run.env("DS_LOG", "error").directory(&folder);
        run.limit_s(RUN_LIMIT_S).capture()
    };
    let hello = run(HELLO, &[]);
    if hello.code == Some(EXIT_MISSING) {
        let why = hello.text.lines().next().unwrap_or_default().to_string();
        return report.skip(&name("all"), &why);
    }
    report.check(&name("hello"), check_hello(hello));
    let stream = run(STREAM, &[SCENE, PICTURE, BACK]);
    report.check(&name("the loader"), check_stream(stream, &folder));
    report.check(
        &name("a damaged archive"),
        cut_archive(&folder).and_then(|()| check_refused(run(STREAM, &["cut.dspk"]))),
    );
}

/// A folder as a player's: the programs, the archive, and DLLs that Wine finds.
fn lay_out(wine: &Wine, package: &Path) -> Result<PathBuf, String> {
    let bin = package.join("bin");
    let hello = Program {
        name: "samples".into(),
        binary: bin.join(HELLO),
    };
    let dlls = build::windows_folder(&package.join("lib/wine"));
    let folder = programs::place(wine, &hello, &dlls)?;
    for file in [STREAM, SCENE] {
        paths::copy(&bin.join(file), &folder.join(file))?;
    }
    let back = folder.join(BACK);
    fs::create_dir_all(&back).map_err(|e| format!("cannot make {}: {e}", back.display()))?;
    Ok(folder)
}

fn check_hello(ended: Ended) -> Result<(), String> {
    let text = ended.text_or_shown()?;
    match text.contains("every byte came back") {
        true => Ok(()),
        false => Err(format!("it says {text}")),
    }
}

fn cut_archive(folder: &Path) -> Result<(), String> {
    let whole = read(&folder.join(SCENE))?;
    let cut = folder.join("cut.dspk");
    fs::write(&cut, &whole[..whole.len() / 2]).map_err(|e| format!("{}: {e}", cut.display()))
}

fn check_refused(ended: Ended) -> Result<(), String> {
    match (ended.code, ended.text.contains("is no archive")) {
        (Some(EXIT_WRONG), true) => Ok(()),
        (code, _) => Err(format!("it ends with {code:?}")),
    }
}

fn check_stream(ended: Ended, folder: &Path) -> Result<(), String> {
    let text = ended.text_or_shown()?;
    text.lines()
        .filter(|line| line.contains("on the GPU after") || line.contains("Drawn in"))
        .for_each(|line| println!("  {}", line.trim_end()));
    let unpacked = unpack(folder)?;
    check_payloads(&unpacked, &folder.join(BACK))?;
    let picture = read_png(&read(&folder.join(PICTURE))?)?;
    let places = places(&text);
    for file in &unpacked {
        let name = paths::name_of(file);
        let stem = name.split('.').next().unwrap_or_default();
        let place = places.get(stem);
        let place = *place.ok_or_else(|| format!("nobody says where {stem} is"))?;
        let right = match Shape::of(&name) {
            Some(shape) => check_texture(&picture, place, &shape, &read(file)?),
            None => check_mesh(&picture, place),
        };
        right.map_err(|why| format!("{PICTURE}: {stem}: {why}"))?;
    }
    Ok(())
}

/// The scene's files, as `ds unpack` writes them.
fn unpack(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let to = folder.join("unpacked");
    let unpack = Cmd::cargo().args(["run", "--release", "--quiet", "--bin", "ds", "--", "unpack"]);
    let unpack = unpack.arg(folder.join(SCENE)).arg("-C").arg(&to);
    unpack.limit_s(600).capture().text_or_shown()?;
    let list = fs::read_dir(&to).map_err(|e| format!("{}: {e}", to.display()))?;
    let mut files: Vec<PathBuf> = list.filter_map(|file| Some(file.ok()?.path())).collect();
    files.sort();
    match files.is_empty() {
        true => Err("the scene is empty".into()),
        false => Ok(files),
    }
}

fn check_payloads(unpacked: &[PathBuf], back: &Path) -> Result<(), String> {
    for file in unpacked {
        let name = paths::name_of(file);
        if read(file)? != read(&back.join(&name))? {
            return Err(format!("{name}: the GPU has other bytes"));
        }
    }
    Ok(())
}

/// Where each asset stands, from lines that end in `at X,Y`.
fn places(text: &str) -> BTreeMap<&str, [usize; 2]> {
    let place = |line: &str| {
        let (x, y) = line.trim_end().rsplit_once(" at ")?.1.split_once(',')?;
        Some([x.parse().ok()?, y.parse().ok()?])
    };
    let lines = text.lines();
    let named = lines.filter_map(|line| Some((line.split_whitespace().next()?, place(line)?)));
    named.collect()
}

/// The first mip must be there, pixel by pixel; of a volume, its first slices.
fn check_texture(
    picture: &Picture,
    [left, top]: [usize; 2],
    shape: &Shape,
    payload: &[u8],
) -> Result<(), String> {
    let [width, height, _] = shape.mip(0);
    let wanted = Picture::from_rows([width, height, 1], shape.format, payload);
    for y in 0..height {
        for x in 0..width {
            let (found, wanted) = (picture.at([left + x, top + y, 0]), wanted.at([x, y, 0]));
            if found[..3] != wanted[..3] {
                return Err(format!("{found:?} at {x},{y}, not {wanted:?}"));
            }
        }
    }
    Ok(())
}

fn check_mesh(picture: &Picture, [left, top]: [usize; 2]) -> Result<(), String> {
    let [width, height] = MESH_SIZE;
    let is_bright = |at: usize| {
        let pixel = picture.at([left + at % width, top + at / width, 0]);
        pixel[..3].iter().any(|&channel| channel > BRIGHT)
    };
    let bright = (0..width * height).filter(|&at| is_bright(at)).count();
    let share = bright as f64 / (width * height) as f64;
    match share > MESH_SHARE_MIN {
        true => Ok(()),
        false => Err(format!("only {:.1} % of it is drawn", share * 100.0)),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}

/// A PNG of eight bits RGB whose rows are stored as they are, which is what the sample writes.
fn read_png(bytes: &[u8]) -> Result<Picture, String> {
    parse_png(bytes).ok_or_else(|| format!("{PICTURE} is no PNG as the sample writes it"))
}

fn parse_png(bytes: &[u8]) -> Option<Picture> {
    let mut rest = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n")?;
    let (mut head, mut data) = (None, Vec::new());
    while let Some((length, behind)) = rest.split_first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        let (name, content) = (behind.get(..4)?, behind.get(4..4 + length)?);
        match name {
            b"IHDR" => head = Some(content),
            b"IDAT" => data.extend_from_slice(content),
            _ => {}
        }
        // Behind the content stands its checksum.
        rest = behind.get(8 + length..)?;
    }
    let head = head.filter(|head| head.get(8..) == Some(&[8, 2, 0, 0, 0]))?;
    let side = |at: usize| Some(u32::from_be_bytes(*head.get(at..)?.first_chunk()?) as usize);
    let (width, height) = (side(0)?, side(4)?);
    let rows = stored(data.get(2..)?)?;
    let row_bytes = 1 + 3 * width;
    let is_whole =
        rows.len() == row_bytes * height && rows.iter().step_by(row_bytes).all(|&f| f == 0);
    is_whole.then(|| {
        Picture::new([width, height, 1], |[x, y, _]| {
            let at = y * row_bytes + 1 + 3 * x;
            [rows[at], rows[at + 1], rows[at + 2], 255]
        })
    })
}

/// What blocks of stored bytes hold.
fn stored(mut blocks: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let ([last, low, high, _, _], behind) = blocks.split_first_chunk()?;
        let length = usize::from(u16::from_le_bytes([*low, *high]));
        bytes.extend_from_slice(behind.get(..length)?);
        blocks = &behind[length..];
        match last {
            0 => {}
            1 => return Some(bytes),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of 2 by 1 pixels, with checksums left out, which nobody looks at.
    fn png() -> Vec<u8> {
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0DIHDR".to_vec();
        bytes.extend([0, 0, 0, 2, 0, 0, 0, 1, 8, 2, 0, 0, 0, 9, 9, 9, 9]);
        bytes.extend(b"\0\0\0\x12IDAT\x78\x01\x01\x07\0\xF8\xFF\0");
        bytes.extend([1, 2, 3, 4, 5, 6, 0, 0, 0, 0, 9, 9, 9, 9]);
        bytes
    }

    #[test]
    fn a_picture_is_read_and_compared() {
        let picture = read_png(&png()).unwrap();
        assert_eq!(picture.pixels, [[1, 2, 3, 255], [4, 5, 6, 255]]);
        let shape = Shape::of("x.vk37.1x1x1.m1").unwrap();
        assert_eq!(
            check_texture(&picture, [1, 0], &shape, &[4, 5, 6, 7]),
            Ok(())
        );
        assert!(check_texture(&picture, [0, 0], &shape, &[4, 5, 6, 7]).is_err());
        assert!(check_mesh(&picture, [0, 0]).is_err());
        assert!(read_png(&png()[..40]).is_err());
    }

    #[test]
    fn places_are_read() {
        let text = "nothing at all\n  knot   9 triangles in gold      at 956,8\r\n";
        assert_eq!(places(text), BTreeMap::from([("knot", [956, 8])]));
    }
}
