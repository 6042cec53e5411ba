//! Goldens: events in, actions out, as text. `UPDATE_GOLDEN=1` writes what comes out into the files.
//!
//! A line is an event with its time in milliseconds; lines that begin with `>` are the actions that must follow.
//! `1000 ticks 5000` ticks every 250 ms and shows the time before each action. `restart 2` goes on as epoch 2 from what
//! was saved. See `script.rs` for the words.

mod script;

use std::path::Path;

use script::Script;

fn files() -> Vec<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    files
}

#[test]
fn events_lead_to_actions() {
    let files = files();
    assert!(files.len() >= 10, "{files:?}");
    let mut wrong = Vec::new();
    for path in files {
        let golden = std::fs::read_to_string(&path).expect("a golden is text");
        let found = Script::default().run(&golden, 1);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &found).expect("the golden can be written");
        } else if found != golden {
            let first = found.lines().zip(golden.lines()).find(|(found, golden)| found != golden);
            wrong.push(format!("{}: (found, golden) {first:#?}\n{found}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is performed twice is answered twice, and messages come twice: it must make no difference to the end.
#[test]
fn events_may_come_twice() {
    let last = |text: &str| text.lines().rfind(|line| line.contains("> end")).map(str::to_owned);
    for path in files() {
        let golden = std::fs::read_to_string(&path).expect("a golden is text");
        let (once, twice) = (Script::default().run(&golden, 1), Script::default().run(&golden, 2));
        assert_eq!(last(&once), last(&twice), "{}", path.display());
    }
}
