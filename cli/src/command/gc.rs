//! `stedi gc`: what no recent commit needs, listed or deleted.

use std::collections::BTreeSet;

use serde::Serialize;
use stedi::gc::{Garbage, GcConfig, Pile, delete, find};
use stedi_run::PublishFlags;
use stedi_store::Lake;

use super::catalog::Target;
use super::{DONE, block_on};
use crate::args::GcArgs;
use crate::text::{self, Align, table};

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    deleted: bool,
    objects: u64,
    bytes: u64,
    #[serde(flatten)]
    garbage: &'a Garbage,
}

pub(crate) fn gc(args: &GcArgs) -> anyhow::Result<u8> {
    let lake = Lake::open(&args.lake.uri)?;
    let config = GcConfig { keep: args.keep, grace: args.grace };
    // before the listing: a publish in between moves on to a commit that is among the last ones
    let shown = match Target::of(&lake, &args.catalog, PublishFlags::default())? {
        Some(catalog) => catalog.runs_shown(&lake)?,
        None => BTreeSet::new(),
    };
    let garbage = block_on(async {
        let garbage = find(&lake, config, &shown).await?;
        if args.delete {
            delete(&lake, &garbage).await?;
        }
        Ok::<_, stedi::gc::GcError>(garbage)
    })??;
    if args.output.json {
        let (objects, bytes) = (garbage.objects(), garbage.bytes());
        text::print_json(&Report { deleted: args.delete, objects, bytes, garbage: &garbage })?;
    } else {
        text::print(&describe(&garbage, args.delete))?;
    }
    Ok(DONE)
}

fn describe(garbage: &Garbage, deleted: bool) -> String {
    if garbage.objects() == 0 && garbage.uploads.is_empty() {
        return "nothing to collect\n".to_owned();
    }
    let row = |name: String, started: String, pile: &Pile| {
        [name, started, text::count(pile.objects), text::bytes(pile.bytes)]
    };
    let mut rows: Vec<_> =
        garbage.runs.iter().map(|(run, pile)| row(run.to_string(), text::time(run.start_ms()), pile)).collect();
    if garbage.temporaries.objects > 0 {
        rows.push(row("unfinished files".to_owned(), String::new(), &garbage.temporaries));
    }
    if !garbage.uploads.is_empty() {
        let count = text::count(garbage.uploads.len() as u64);
        rows.push(["unfinished uploads".to_owned(), String::new(), count, String::new()]);
    }
    let columns = [("run", Align::Left), ("started", Align::Left), ("objects", Align::Right), ("size", Align::Right)];
    let mut objects = text::number_of(garbage.objects(), "object", "objects");
    if !garbage.uploads.is_empty() {
        objects += &format!(" and {}", text::number_of(garbage.uploads.len() as u64, "upload", "uploads"));
    }
    let size = text::bytes(garbage.bytes());
    let done = if deleted {
        format!("deleted {objects}, {size}")
    } else {
        format!("would delete {objects}, {size}; nothing was deleted: --delete does it")
    };
    format!("{}\n{done}\n", table(columns, &rows))
}
