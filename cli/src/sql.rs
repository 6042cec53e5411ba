//! `stedi sql`: the eight tables in DataFusion.
//!
//! The curated tables are the parts of the current commit; the landing tables are what the engine's own decoder reads,
//! records that it would quarantine left out.

mod landing;

use std::sync::Arc;

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::context::SQLOptions;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::{SessionConfig, SessionContext};
use stedi_lake::commit::CommitRecord;
use stedi_lake::table::arrow_schema;
use stedi_lake::{CuratedTable, LandingTable};
use stedi_store::{CommitLog, Lake, LandingObject};
use url::Url;

/// The store's URL within DataFusion.
const STORE: &str = "stedi://lake/";

/// The rows of `query`, which may only read. The tables are those of the current commit, to the end of the stream.
///
/// # Errors
/// If the lake cannot be read, or the query is wrong.
pub async fn query(lake: &Lake, query: &str) -> Result<SendableRecordBatchStream> {
    let context = SessionContext::new_with_config(SessionConfig::new().with_information_schema(true));
    let store_url = Url::parse(STORE).map_err(|error| DataFusionError::External(Box::new(error)))?;
    context.register_object_store(&store_url, Arc::clone(lake.store()));
    let commit = CommitLog::new(lake).latest().await.map_err(external)?;
    for table in LandingTable::ALL {
        let objects = lake.landing(table).await.map_err(external)?;
        context.register_table(table.name(), landing_table(table, objects)?)?;
    }
    for table in CuratedTable::ALL {
        context.register_table(table.name(), curated_table(lake, table, commit.as_ref())?)?;
    }
    let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    context.sql_with_options(query, read_only).await?.execute_stream().await
}

/// A table of text of all `batches`, whose columns are those of `schema`.
///
/// # Errors
/// If a value has no text.
pub fn pretty(schema: datafusion::arrow::datatypes::SchemaRef, batches: &[RecordBatch]) -> Result<String> {
    let options = datafusion::arrow::util::display::FormatOptions::new().with_null("NULL");
    // without any batch there would be no header
    let none = [RecordBatch::new_empty(schema)];
    let batches = if batches.is_empty() { &none } else { batches };
    Ok(datafusion::arrow::util::pretty::pretty_format_batches_with_options(batches, &options)?.to_string())
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

fn curated_table(lake: &Lake, table: CuratedTable, commit: Option<&CommitRecord>) -> Result<Arc<dyn TableProvider>> {
    let schema = table.arrow_schema();
    let parts = commit.and_then(|commit| commit.tables.get(&table)).map_or(&[][..], |table| &table.parts);
    if parts.is_empty() {
        return Ok(Arc::new(EmptyTable::new(schema)));
    }
    let url = |path: &str| ListingTableUrl::parse(format!("{STORE}{}", lake.path(path)));
    let urls = parts.iter().map(|part| url(&part.path)).collect::<Result<Vec<_>>>()?;
    let options = ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension(".parquet");
    let config = ListingTableConfig::new_with_multi_paths(urls).with_listing_options(options).with_schema(schema);
    Ok(Arc::new(ListingTable::try_new(config)?))
}

/// The objects are dealt out to as many streams as there are processors.
fn landing_table(table: LandingTable, objects: Vec<LandingObject>) -> Result<Arc<dyn TableProvider>> {
    let schema = arrow_schema(table.columns());
    let streams = std::thread::available_parallelism().map_or(1, Into::into).min(objects.len());
    if streams == 0 {
        return Ok(Arc::new(EmptyTable::new(schema)));
    }
    let mut dealt: Vec<Vec<LandingObject>> = vec![Vec::new(); streams];
    for (n, object) in objects.into_iter().enumerate() {
        dealt[n % streams].push(object);
    }
    let partitions = dealt
        .into_iter()
        .map(|objects| {
            Arc::new(landing::LandingStream::new(table, Arc::clone(&schema), objects)) as Arc<dyn PartitionStream>
        })
        .collect();
    Ok(Arc::new(StreamingTable::try_new(schema, partitions)?))
}
