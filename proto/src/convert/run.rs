//! What workers are told of the run.

use stedi_job::task::RunContext;
use stedi_lake::options::TableOptions;

use super::{WireError, names, required};
use crate::wire;

impl From<RunContext> for wire::RunContext {
    fn from(context: RunContext) -> Self {
        let RunContext { run_id, lake, options, slice_bytes } = context;
        Self { run_id: run_id.to_string(), lake, options: Some(options.into()), slice_bytes }
    }
}

impl TryFrom<wire::RunContext> for RunContext {
    type Error = WireError;

    fn try_from(context: wire::RunContext) -> Result<Self, WireError> {
        let wire::RunContext { run_id, lake, options, slice_bytes } = context;
        Ok(Self { run_id: run_id.parse()?, lake, options: required(options, "context.options")?, slice_bytes })
    }
}

impl From<TableOptions> for wire::TableOptions {
    fn from(options: TableOptions) -> Self {
        let TableOptions { consent, match_mode, dedupe, shards, compression } = options;
        Self {
            consent: names::to_wire(consent),
            r#match: names::to_wire(match_mode),
            dedupe,
            shards,
            compression: names::to_wire(compression),
        }
    }
}

impl TryFrom<wire::TableOptions> for TableOptions {
    type Error = WireError;

    fn try_from(options: wire::TableOptions) -> Result<Self, WireError> {
        let wire::TableOptions { consent, r#match, dedupe, shards, compression } = options;
        Ok(Self {
            consent: names::from_wire(consent)?,
            match_mode: names::from_wire(r#match)?,
            dedupe,
            shards,
            compression: names::from_wire(compression)?,
        })
    }
}
