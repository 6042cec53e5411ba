//! A run while it works: a bar on a terminal, lines of text elsewhere; and the way in which it is interrupted.

use std::io::IsTerminal as _;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use stedi_worker::progress::{Progress, Stage};

use crate::interrupt::Interrupt;
use crate::text;

/// How often numbers are looked at.
const TICK: Duration = Duration::from_millis(100);

/// How often a line is printed within a stage.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// The bar's length; the join takes the rest behind the landing bytes.
const BAR_LENGTH: u64 = 1000;

/// How much of the bar reading landing fills, about as much as it takes of the time.
const BAR_READ: u64 = 600;

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    Bar,
    Lines,
    Nothing,
}

impl Show {
    pub(crate) fn new(quiet: bool) -> Self {
        match quiet {
            true => Self::Nothing,
            false if std::io::stderr().is_terminal() => Self::Bar,
            false => Self::Lines,
        }
    }

    /// Does `work` while another thread shows its progress, and cancels it when the process is interrupted.
    pub(crate) fn watch<T>(self, work: impl FnOnce(&Progress) -> T) -> anyhow::Result<T> {
        let interrupt = Interrupt::listen()?;
        let progress = Progress::default();
        let (done, ticks) = channel();
        std::thread::scope(|scope| {
            let watcher = Watcher::new(self, &progress, &interrupt);
            std::thread::Builder::new()
                .spawn_scoped(scope, move || watcher.watch(&ticks))
                .context("failed to start a thread")?;
            let result = work(&progress);
            drop(done);
            Ok(result)
        })
    }
}

struct Watcher<'a> {
    show: Show,
    progress: &'a Progress,
    interrupt: &'a Interrupt,
    bar: ProgressBar,
    started: Instant,
    line_at: Instant,
    stage: Option<Stage>,
}

impl<'a> Watcher<'a> {
    fn new(show: Show, progress: &'a Progress, interrupt: &'a Interrupt) -> Self {
        let target = if show == Show::Bar { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template("{prefix:13} {bar:30} {percent:>3} %  {msg}  {eta} left")
            .expect("the template is right");
        let bar = ProgressBar::with_draw_target(Some(BAR_LENGTH), target).with_style(style.progress_chars("=> "));
        let now = Instant::now();
        Self { show, progress, interrupt, bar, started: now, line_at: now, stage: None }
    }

    /// Until the other end of `ticks` is gone.
    fn watch(mut self, ticks: &Receiver<()>) {
        while let Err(RecvTimeoutError::Timeout) = ticks.recv_timeout(TICK) {
            if self.interrupt.came() && !self.progress.is_cancelled() {
                self.progress.cancel();
                self.line("stopping; once more to stop at once");
            }
            self.tick();
        }
        self.bar.finish_and_clear();
    }

    fn tick(&mut self) {
        let stage = self.progress.stage();
        let new_stage = self.stage.replace(stage) != Some(stage);
        match self.show {
            Show::Bar => {
                self.bar.set_prefix(stage.name());
                self.bar.set_message(self.numbers(stage));
                self.bar.set_position(position(self.progress));
            }
            Show::Lines if new_stage || self.line_at.elapsed() >= LINE_INTERVAL => {
                self.line_at = Instant::now();
                self.line(&format!("{}: {}", stage.name(), self.numbers(stage)));
            }
            Show::Lines | Show::Nothing => {}
        }
    }

    fn numbers(&self, stage: Stage) -> String {
        let load = |n: &std::sync::atomic::AtomicU64| n.load(Ordering::Relaxed);
        match stage {
            Stage::List => "listing landing".to_owned(),
            Stage::Commit => "checking and committing".to_owned(),
            Stage::Join => {
                let (done, total) = (load(&self.progress.shards_done), load(&self.progress.shards_total));
                if total == 0 {
                    return "writing customers".to_owned();
                }
                format!("{done} of {}", text::number_of(total, "shard", "shards"))
            }
            Stage::Customers | Stage::Accelerometer | Stage::StepTrainer => {
                let (done, total) = (load(&self.progress.bytes_done), load(&self.progress.bytes_total));
                let rows = load(&self.progress.rows_done);
                let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
                let rate = text::count(rows.saturating_mul(1000) / millis);
                format!("{} of {}, {} rows, {rate} rows/s", text::bytes(done), text::bytes(total), text::count(rows))
            }
        }
    }

    fn line(&self, text: &str) {
        match self.show {
            Show::Bar => self.bar.println(format!("stedi: {text}")),
            Show::Lines => eprintln!("stedi: {text}"),
            Show::Nothing => {}
        }
    }
}

/// Where the bar stands.
fn position(progress: &Progress) -> u64 {
    let share = |done: &std::sync::atomic::AtomicU64, total: &std::sync::atomic::AtomicU64, of: u64| {
        let (done, total) = (done.load(Ordering::Relaxed), total.load(Ordering::Relaxed));
        let share = u128::from(done.min(total)) * u128::from(of);
        u64::try_from(share.checked_div(u128::from(total)).unwrap_or(0)).unwrap_or(of)
    };
    let read = share(&progress.bytes_done, &progress.bytes_total, BAR_READ);
    read + share(&progress.shards_done, &progress.shards_total, BAR_LENGTH - BAR_READ)
}
