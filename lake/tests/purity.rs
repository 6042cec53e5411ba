//! The pure crates stay pure: they depend on nothing that does I/O, and never ask for the time, a file or a random
//! number themselves.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Package and folder of each pure crate.
const PURE: [(&str, &str); 3] =
    [("stedi-lake", "lake"), ("stedi-engine", "worker/engine"), ("stedi-job", "coordinator/job")];

/// A crate of one of these names, or whose name goes on after a `-` or `_`, does I/O.
const IMPURE: [&str; 13] = [
    "async-std",
    "aws",
    "h2",
    "hyper",
    "kube",
    "mio",
    "object_store",
    "reqwest",
    "rusoto",
    "smol",
    "stedi-store",
    "tokio",
    "tonic",
];

/// Words of the standard library and others that only a shell may say.
const IMPURE_WORDS: [&str; 10] = [
    "SystemTime",
    "Instant",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "File::open",
    "rand::",
    "getrandom",
    "thread::sleep",
];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("lake/ is in the workspace").to_owned()
}

fn is_impure(name: &str) -> bool {
    IMPURE
        .iter()
        .any(|impure| name.strip_prefix(impure).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_'])))
}

fn cargo(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(args)
        .args(["--offline", "--locked"])
        .current_dir(workspace())
        .output()
        .expect("cargo runs this test and can be run");
    assert!(output.status.success(), "cargo {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}

#[test]
fn the_manifests_of_pure_crates_list_nothing_that_does_io() {
    let metadata: serde_json::Value =
        serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version=1"])).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    for (name, _) in PURE {
        let package = packages.iter().find(|package| package["name"] == name).expect("a member of the workspace");
        for dependency in package["dependencies"].as_array().expect("a list of dependencies") {
            let found = dependency["name"].as_str().expect("a name");
            // what tests need is theirs, unless it can reach the crate itself
            assert!(dependency["kind"] == "dev" || !is_impure(found), "{name} lists {found}");
        }
    }
}

#[test]
fn nothing_below_pure_crates_does_io() {
    for (name, _) in PURE {
        let tree = cargo(&["tree", "-p", name, "-e", "normal", "--all-features", "--prefix", "none", "-f", "{p}"]);
        let below: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
        assert!(below.contains(&name), "{name} is the root of its own tree");
        let impure: Vec<_> = below.into_iter().filter(|found| is_impure(found)).collect();
        assert!(impure.is_empty(), "below {name}: {impure:?}");
    }
}

#[test]
fn the_sources_of_pure_crates_ask_for_nothing() {
    for (name, folder) in PURE {
        let mut sources = Vec::new();
        rust_files(&workspace().join(folder).join("src"), &mut sources);
        assert!(!sources.is_empty(), "{name} has sources");
        for path in sources {
            let text = std::fs::read_to_string(&path).expect("a source file is text");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for (line, number) in code.lines().zip(1..).filter(|(line, _)| !line.trim_start().starts_with("//")) {
                let said = IMPURE_WORDS.iter().find(|word| line.contains(**word));
                assert!(said.is_none(), "{}:{number} says {}", path.display(), said.unwrap_or(&""));
            }
        }
    }
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("the folder can be listed").path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

#[test]
fn impure_names_are_known_by_prefix() {
    assert!(is_impure("tokio") && is_impure("tokio-util") && is_impure("aws-sdk-s3") && is_impure("object_store"));
    assert!(!is_impure("h2o") && !is_impure("awsome") && !is_impure("miow"));
}
