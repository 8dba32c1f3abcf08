//! `Error`: what failed, on what, why, and what to do about it, in one line for a person.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A failure as the user reads it: `what: path: why; cure`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    text: String,
}

/// What most of this crate's functions answer.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// `what` failed on `path`, because of `why`.
    pub fn new(what: &str, path: impl AsRef<Path>, why: impl fmt::Display) -> Error {
        Error {
            text: format!("{what}: {}: {why}", Shown(path.as_ref())),
        }
    }

    /// A failure that is about no file.
    pub fn plain(what: &str, why: impl fmt::Display) -> Error {
        Error {
            text: format!("{what}: {why}"),
        }
    }

    /// The same with what the user can do.
    #[must_use]
    pub fn cure(mut self, cure: &str) -> Error {
        self.text.push_str("; ");
        self.text.push_str(cure);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}

/// The kernel's words, without the random name that the `tempfile` crate adds to them.
pub fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let words = text
        .split_once(" at path ")
        .map(|(words, _)| words.to_owned());
    words.unwrap_or(text)
}

/// A path as it may be printed: names come from archives, and a terminal obeys control characters.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a>(pub &'a Path);

impl<'a> Shown<'a> {
    /// The same for bytes of a path.
    pub fn bytes(bytes: &'a [u8]) -> Shown<'a> {
        Shown(Path::new(OsStr::from_bytes(bytes)))
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.as_os_str().as_bytes().utf8_chunks() {
            for c in chunk.valid().chars() {
                if c.is_control() {
                    write!(f, "{}", c.escape_default())?;
                } else {
                    write!(f, "{c}")?;
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_whatever_the_name() {
        let path = Path::new(OsStr::from_bytes(b"a\n\x1b[2J\xff"));
        let error = Error::new("unpack", path, "no room").cure("free some");
        assert_eq!(
            error.to_string(),
            r"unpack: a\n\u{1b}[2J\xff: no room; free some"
        );
    }

    #[test]
    fn a_reason_does_not_tell_temporary_names() {
        let error = tempfile::Builder::new()
            .prefix(".ds-")
            .tempdir_in("/no/such");
        let error = error.expect_err("no such folder");
        assert_eq!(reason(&error), "No such file or directory (os error 2)");
    }
}
