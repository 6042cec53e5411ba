//! The floor of `bench/run.py`: what a run cannot do without, measured alone.
//!
//! `stedi-bench LANDING LAKE [THREADS]` prints one JSON object: the seconds of a newline scan of the landing below
//! `LANDING`, and the seconds of encoding the tables of the current commit of `LAKE` once more, by the engine, from memory to memory.
//! A run does both, and decodes, filters, shuffles, sorts and joins besides.

mod encode;
mod scan;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, bail};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[expect(clippy::print_stdout, reason = "the outcome goes to standard output")]
fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (landing, lake, threads) = match args.as_slice() {
        [landing, lake] => (landing, lake, 0),
        [landing, lake, threads] => (landing, lake, threads.parse().context("THREADS is a number")?),
        _ => bail!("usage: stedi-bench LANDING LAKE [THREADS]"),
    };
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let start = Instant::now();
    let scanned = scan::count_newlines(Path::new(landing))?;
    let scan_seconds = start.elapsed().as_secs_f64();
    let tables: serde_json::Map<_, _> = encode::encode_all(Path::new(lake))?
        .into_iter()
        .map(|(table, encoded)| {
            let encode::Encoded { rows, bytes, seconds } = encoded;
            (table.name().to_owned(), serde_json::json!({ "rows": rows, "bytes": bytes, "encode_seconds": seconds }))
        })
        .collect();
    let floor = serde_json::json!({
        "threads": rayon::current_num_threads(),
        "landing_bytes": scanned.bytes,
        "landing_newlines": scanned.newlines,
        "scan_seconds": scan_seconds,
        "tables": tables,
    });
    println!("{floor}");
    Ok(())
}
