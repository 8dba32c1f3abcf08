//! `cargo xtask readme`: the commands README.md shows, run.
//!
//! Every fenced block marked `sh` is run, all in one shell, in order, in the repository root, so a later
//! block may use what an earlier one made. What must not run here is marked `text` or `console`.
#![forbid(unsafe_code)]

use crate::paths;
use crate::report::Report;
use crate::sh::Cmd;

/// Runs the blocks of README.md.
pub(crate) fn run(arguments: &[String], report: &mut Report) -> Result<(), String> {
    if !arguments.is_empty() {
        return Err("usage: cargo xtask readme".into());
    }
    let readme = paths::root().join("README.md");
    if !readme.is_file() {
        report.skip("readme", "there is no README.md yet");
        return Ok(());
    }
    let blocks = shell_blocks(&paths::read(&readme)?);
    if blocks.is_empty() {
        report.skip("readme", "README.md has no `sh` block");
        return Ok(());
    }
    let script = paths::scratch("readme")?.join("commands.sh");
    paths::write(&script, &blocks.concat())?;
    let ended = Cmd::new("bash")
        .args(["-e", "-u", "-x", "-o", "pipefail"])
        .arg(&script)
        .limit_s(600)
        .capture();
    let name = format!("readme: {} blocks of commands", blocks.len());
    report.check(&name, ended.text_or_shown().map(drop));
    Ok(())
}

/// The text of every fenced block whose language is `sh`.
fn shell_blocks(markdown: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<(bool, String)> = None;
    for line in markdown.lines() {
        open = match (line.trim().strip_prefix("```"), open) {
            (Some(language), None) => Some((language.trim() == "sh", String::new())),
            (Some(_), Some((wanted, block))) => {
                blocks.extend(wanted.then_some(block));
                None
            }
            (None, Some((wanted, block))) => Some((wanted, block + line + "\n")),
            (None, None) => None,
        };
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sh_blocks_run() {
        let text = "a\n```sh\necho 1\n```\n```text\necho 2\n```\n```\necho 3\n```\n\
                    ```sh\necho 4\necho 5\n```\n";
        assert_eq!(shell_blocks(text), ["echo 1\n", "echo 4\necho 5\n"]);
    }
}
