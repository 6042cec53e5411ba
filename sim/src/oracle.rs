//! The five tables stated in SQL and computed by DataFusion: what a run must produce, from nothing the engine shares.
//!
//! The statements under `oracle/` are the specification to read.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::Int64Type;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::prelude::{SessionConfig, SessionContext};
use stedi_lake::{ConsentPolicy, CuratedTable, LandingTable, MatchMode};

use crate::landing::Landing;
use crate::rows::Rows;

/// The options that decide which rows the tables hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Curation {
    /// `--consent`.
    pub consent: ConsentPolicy,
    /// `--match`.
    pub match_mode: MatchMode,
    /// `--dedupe`.
    pub dedupe: bool,
}

impl Curation {
    /// All eight combinations.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..8).map(|i| Self {
            consent: if i & 1 == 0 { ConsentPolicy::Latest } else { ConsentPolicy::Any },
            match_mode: if i & 2 == 0 { MatchMode::Customer } else { MatchMode::Timestamp },
            dedupe: i & 4 != 0,
        })
    }
}

/// What a run over some landing must come to.
#[derive(Debug)]
pub struct Tables {
    /// The rows of each table.
    pub rows: BTreeMap<CuratedTable, Rows>,
    /// How many records of each landing table went on; the other readable ones are filtered.
    pub kept: BTreeMap<LandingTable, u64>,
}

/// DataFusion on a runtime of its own.
#[derive(Debug)]
pub struct Oracle {
    runtime: tokio::runtime::Runtime,
}

impl Oracle {
    /// An oracle.
    ///
    /// # Panics
    /// If the system gives no runtime.
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without I/O starts");
        Self { runtime }
    }

    /// The tables that `landing` must give under `curation`.
    ///
    /// # Panics
    /// If DataFusion refuses the oracle's SQL.
    pub fn curate(&self, landing: &Landing, curation: Curation) -> Tables {
        self.runtime.block_on(curate(landing, curation)).expect("the oracle's SQL runs")
    }
}

impl Default for Oracle {
    fn default() -> Self {
        Self::new()
    }
}

fn statements(curation: Curation) -> [&'static str; 4] {
    [
        if curation.dedupe { include_str!("oracle/readings_dedupe.sql") } else { include_str!("oracle/readings.sql") },
        match curation.consent {
            ConsentPolicy::Latest => include_str!("oracle/consent_latest.sql"),
            ConsentPolicy::Any => include_str!("oracle/consent_any.sql"),
        },
        include_str!("oracle/semi_joins.sql"),
        match curation.match_mode {
            MatchMode::Customer => include_str!("oracle/match_customer.sql"),
            MatchMode::Timestamp => include_str!("oracle/match_timestamp.sql"),
        },
    ]
}

async fn curate(landing: &Landing, curation: Curation) -> Result<Tables, DataFusionError> {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    for table in LandingTable::ALL {
        let batch = landing.batch(table);
        context.register_table(table.name(), Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?))?;
    }
    for statement in statements(curation).iter().flat_map(|file| file.split_inclusive(";\n")) {
        context.sql(statement).await?.collect().await?;
    }
    let mut rows = BTreeMap::new();
    for table in CuratedTable::ALL {
        let batches = context.table(table.name()).await?.collect().await?;
        let batches: Vec<RecordBatch> = batches.iter().map(|batch| typed(table, batch)).collect();
        rows.insert(table, Rows::new(table, &batches));
    }
    let counts = context.sql(include_str!("oracle/kept.sql")).await?.collect().await?;
    let kept = LandingTable::ALL.into_iter().map(|table| (table, count(&counts[0], table.name()))).collect();
    Ok(Tables { rows, kept })
}

/// The columns of `table` in their order and with their types, whatever representation a query gave them.
fn typed(table: CuratedTable, batch: &RecordBatch) -> RecordBatch {
    let schema = table.arrow_schema();
    let columns = schema.fields().iter().map(|field| {
        let column = batch.column_by_name(field.name()).expect("the query has every column of the table");
        cast(column, field.data_type()).expect("strings, integers and doubles cast to themselves")
    });
    let columns = columns.collect();
    RecordBatch::try_new(schema, columns).expect("the query has rows that the table allows")
}

fn count(batch: &RecordBatch, name: &str) -> u64 {
    let column = batch.column_by_name(name).expect("the query counts every landing table");
    u64::try_from(column.as_primitive::<Int64Type>().value(0)).expect("a count is not negative")
}
