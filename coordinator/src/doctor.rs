//! `stedi-coordinator doctor`: whether a run could do its work here.
//!
//! Each area is a module with one function that says what it has found; a further one is one more line in [`examine`].
//! Everything that is written is removed again, and whoever sees the output learns names, never contents.

use std::io::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::args::DoctorCommand;

mod catalog;
mod fleet;
mod lake;
mod policy;

pub(crate) use policy::PolicyFile;

/// An area that takes longer than this has failed.
const AREA_TIMEOUT: Duration = Duration::from_secs(120);

/// What became of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    Ok,
    Failed,
    /// It could not be made, because another one failed or nothing asks for it.
    Skipped,
}

/// A check that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What was checked.
    pub(crate) check: String,
    pub(crate) state: State,
    /// What was seen; for one that failed, what to do.
    pub(crate) detail: String,
}

impl Finding {
    pub(crate) fn ok(check: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { check: check.into(), state: State::Ok, detail: detail.into() }
    }

    pub(crate) fn failed(check: impl Into<String>, error: &dyn std::error::Error) -> Self {
        Self { check: check.into(), state: State::Failed, detail: stedi_endpoint::log::chain(error) }
    }

    pub(crate) fn wrong(check: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { check: check.into(), state: State::Failed, detail: detail.into() }
    }

    pub(crate) fn skipped(check: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { check: check.into(), state: State::Skipped, detail: detail.into() }
    }

    /// `ok` is what to say of a success.
    pub(crate) fn of<T, E: std::error::Error>(
        check: impl Into<String>,
        result: Result<T, E>,
        ok: impl FnOnce(T) -> String,
    ) -> Self {
        match result {
            Ok(found) => Self::ok(check, ok(found)),
            Err(error) => Self::failed(check, &error),
        }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    healthy: bool,
    checks: &'a [Finding],
}

/// Examines an installation and prints what was found; whether a run could do its work.
pub(crate) async fn doctor(args: &DoctorCommand) -> anyhow::Result<bool> {
    let checks = examine(args).await;
    let healthy = checks.iter().all(|finding| finding.state != State::Failed);
    let mut out = std::io::stdout().lock();
    if args.json {
        serde_json::to_writer(&mut out, &Report { healthy, checks: &checks })?;
        writeln!(out)?;
    } else {
        out.write_all(text(&checks).as_bytes())?;
    }
    Ok(healthy)
}

async fn examine(args: &DoctorCommand) -> Vec<Finding> {
    let mut findings = in_time("lake", lake::examine(args)).await;
    findings.extend(in_time("catalog", Box::pin(catalog::examine(args))).await);
    findings.extend(in_time("fleet", fleet::examine(args)).await);
    findings.extend(policy::examine(args));
    findings
}

async fn in_time(area: &str, examination: impl Future<Output = Vec<Finding>>) -> Vec<Finding> {
    let Ok(findings) = tokio::time::timeout(AREA_TIMEOUT, examination).await else {
        let waited = AREA_TIMEOUT.as_secs();
        return vec![Finding::wrong(
            area,
            format!("no answer within {waited} s: check network policies and endpoints"),
        )];
    };
    findings
}

/// A line for each check.
fn text(checks: &[Finding]) -> String {
    let width = checks.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let line = |finding: &Finding| {
        let state = match finding.state {
            State::Ok => "ok",
            State::Failed => "FAILED",
            State::Skipped => "skipped",
        };
        format!("{state:<8} {:<width$}  {}\n", finding.check, finding.detail)
    };
    checks.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_state_check_and_detail() {
        let checks =
            [Finding::ok("lake", "it opens"), Finding::wrong("clock", "7 min off"), Finding::skipped("x", "y")];
        assert_eq!(text(&checks), "ok       lake   it opens\nFAILED   clock  7 min off\nskipped  x      y\n");
    }
}
