//! Text on standard output.

use std::io::{self, Write as _};
use std::time::{Duration, UNIX_EPOCH};

use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;

/// Prints text; that nobody reads on (`stedi history | head`) is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("failed to write to standard output"))
        }
        _ => Ok(()),
    }
}

/// Prints one JSON object on a line of its own.
pub(crate) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(&(serde_json::to_string(value)? + "\n"))
}

/// `12,345`.
pub(crate) fn count(n: u64) -> String {
    HumanCount(n).to_string()
}

/// `1.21 GiB`.
pub(crate) fn bytes(n: u64) -> String {
    HumanBytes(n).to_string()
}

/// `a part`, `7 parts`.
pub(crate) fn number_of(n: u64, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{} {many}", count(n)) }
}

/// `2026-01-31T12:00:00Z`.
pub(crate) fn time(epoch_ms: u64) -> String {
    // the greatest time that humantime prints is the last second of the year 9999
    let shown = Duration::from_millis(epoch_ms.min(253_402_300_799_000));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + shown).to_string()
}

/// Where the text of a column begins.
#[derive(Clone, Copy)]
pub(crate) enum Align {
    Left,
    Right,
}

/// A table with a heading, columns two spaces apart.
pub(crate) fn table<const N: usize>(columns: [(&str, Align); N], rows: &[[String; N]]) -> String {
    let width = |i: usize| {
        let cells = rows.iter().map(|row| row[i].chars().count());
        cells.chain([columns[i].0.chars().count()]).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: [&str; N]| {
        let cells = cells.iter().zip(columns).zip(widths);
        let cells: Vec<String> = cells
            .map(|((cell, (_, align)), width)| match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            })
            .collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    let heading = line(columns.map(|(name, _)| name));
    let rows = rows.iter().map(|row| line(std::array::from_fn(|i| row[i].as_str())));
    [heading].into_iter().chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a".to_owned(), count(1234)], ["bäb".to_owned(), count(7)]];
        let text = table([("x", Align::Left), ("rows", Align::Right)], &rows);
        assert_eq!(text, "x     rows\na    1,234\nbäb      7\n");
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(time(1_655_564_444_103), "2022-06-18T15:00:44Z");
        assert_eq!(time(u64::MAX), "9999-12-31T23:59:59Z");
    }
}
