//! `stedi sql`: queries over all eight tables.

use crate::args::SqlArgs;

#[cfg(not(feature = "sql"))]
pub(crate) fn sql(_: &SqlArgs) -> anyhow::Result<u8> {
    anyhow::bail!(
        "this build has no SQL: build it with `cargo build --release --features sql`, or query the Parquet files that \
         `stedi tables` shows with any engine"
    )
}

#[cfg(feature = "sql")]
pub(crate) fn sql(args: &SqlArgs) -> anyhow::Result<u8> {
    use futures::TryStreamExt as _;
    use stedi_store::Lake;

    use super::DONE;
    use crate::text;

    let lake = Lake::open(&args.lake.uri)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut rows = stedi::sql::query(&lake, &args.query).await?;
        if args.json {
            while let Some(batch) = rows.try_next().await? {
                let mut writer = datafusion::arrow::json::LineDelimitedWriter::new(Vec::new());
                writer.write(&batch)?;
                writer.finish()?;
                text::print(&String::from_utf8_lossy(&writer.into_inner()))?;
            }
        } else {
            let schema = rows.schema();
            let batches: Vec<_> = rows.try_collect().await?;
            text::print(&format!("{}\n", stedi::sql::pretty(schema, &batches)?))?;
        }
        Ok(DONE)
    })
}
