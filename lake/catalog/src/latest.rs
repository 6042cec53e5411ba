//! Publishing whatever is the current commit.

use stedi_lake::catalog::publish::{Policy, Refusal};
use stedi_store::{CommitLog, Lake};

use crate::port::Catalog;
use crate::publish::{PublishError, Published, publish};

/// How often a commit may be overtaken by the next one while it is published.
const OVERTAKINGS: u32 = 5;

/// What a publisher is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublishOptions {
    /// Take over tables that show something outside the lake, or commits that its log does not have.
    pub adopt: bool,
    /// Make the columns of the tables exactly those of the definition.
    pub replace_columns: bool,
}

/// Makes `catalog` show the current commit of `lake`, whoever made it: a publisher that was interrupted is finished by
/// this one, and of two at once the later commit stays.
///
/// # Errors
/// If there is no commit, or a table cannot be or is not to be changed. The commit stands, and this can be repeated.
pub async fn publish_latest<C: Catalog>(
    lake: &Lake,
    catalog: &C,
    options: PublishOptions,
) -> Result<Published, PublishError> {
    check_place(lake)?;
    let log = CommitLog::new(lake);
    let mut commit = log.latest().await?.ok_or_else(|| PublishError::NoCommit(lake.uri().to_owned()))?;
    for _ in 0..OVERTAKINGS {
        let PublishOptions { adopt, replace_columns } = options;
        let policy = Policy { adopt, replace_columns, last_seq: commit.seq };
        match publish(catalog, lake.uri(), &commit, policy).await {
            // a commit that was not there when the log was read: is it now?
            Err(PublishError::Refused { why: Refusal::OtherHistory { found }, table }) => {
                let latest = log.latest().await?.filter(|latest| latest.seq > commit.seq && latest.seq >= found.seq);
                let Some(latest) = latest else {
                    return Err(PublishError::Refused { why: Refusal::OtherHistory { found }, table });
                };
                commit = latest;
            }
            outcome => return outcome,
        }
    }
    let policy = Policy { adopt: options.adopt, replace_columns: options.replace_columns, last_seq: commit.seq };
    publish(catalog, lake.uri(), &commit, policy).await
}

/// Refuses a lake that nobody who asks a catalog can read.
///
/// # Errors
/// If it is not in S3.
pub fn check_place(lake: &Lake) -> Result<(), PublishError> {
    match lake.uri().starts_with("s3://") {
        true => Ok(()),
        false => Err(PublishError::NotInS3(lake.uri().to_owned())),
    }
}
