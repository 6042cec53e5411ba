//! Logs on standard error: text for people, or with `STEDI_LOG_FORMAT=json` one JSON object a line. `STEDI_LOG` filters
//! them, as in `STEDI_LOG=debug` or `STEDI_LOG=info,h2=warn`.

use tracing_subscriber::EnvFilter;

/// Starts to log; call it once.
pub fn start() {
    let filter = EnvFilter::try_from_env("STEDI_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    if std::env::var("STEDI_LOG_FORMAT").is_ok_and(|format| format == "json") {
        logs.json().flatten_event(true).init();
    } else {
        logs.with_ansi(false).init();
    }
}

/// An error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
