//! What the reader sees: headings, commands as a person would type them, and their answers.

use std::io::{IsTerminal, Write};

use anyhow::Result;

use crate::ControlPlane;
use crate::programs;

/// Whether colours are shown: on a terminal, unless <https://no-color.org> is asked for.
pub(super) fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A heading.
pub(super) fn say(text: &str) {
    print(&format!("\n{}", styled("1", text)));
}

/// A line. One that cannot be written is no reason to leave things behind on a cluster: the reader has gone.
pub(super) fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Shows a kubectl command and its answer.
///
/// # Errors
/// When it fails, with its message.
pub(super) async fn kubectl(cluster: &ControlPlane, arguments: &[&str]) -> Result<()> {
    command("kubectl", arguments);
    answer(&cluster.kubectl(arguments).await?);
    Ok(())
}

/// Shows a helm command and its answer's first line.
///
/// # Errors
/// When it fails, with its message.
pub(super) async fn helm(cluster: &ControlPlane, arguments: &[&str]) -> Result<()> {
    command("helm", arguments);
    let said = cluster.helm(arguments).await?;
    answer(
        &said
            .lines()
            .filter(|line| line.starts_with("STATUS") || line.starts_with("REVISION"))
            .collect::<Vec<_>>()
            .join(", "),
    );
    Ok(())
}

fn command(program: &str, arguments: &[&str]) {
    let root = format!("{}/", programs::repository().display());
    let words = arguments.iter().map(|word| match word.split_once("custom-columns=") {
        Some(_) => "custom-columns=...".to_owned(),
        None => quoted(&word.replace(&root, "")),
    });
    print(&styled("2", &format!("$ {program} {}", words.collect::<Vec<_>>().join(" "))));
}

fn answer(text: &str) {
    print(text.trim_end());
}

/// A word as one would have to type it in a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{word}'") }
}

/// Bold (`1`) or dim (`2`), where colours are shown.
fn styled(code: &str, text: &str) -> String {
    if colours() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn only_words_that_a_shell_would_change_are_quoted() {
        assert_eq!(quoted("app=registry.example.com/checkout:1.1.0"), "app=registry.example.com/checkout:1.1.0");
        assert_eq!(quoted("{\"a\": 1}"), "'{\"a\": 1}'");
        assert_eq!(quoted(""), "''");
    }
}
