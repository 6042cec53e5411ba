//! The policies in `docs/iam/` allow every action that our code asks for, and none that it does not.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The requests of our code and the actions that IAM checks for them.
const ACTIONS: [(&str, &str); 19] = [
    ("abort_multipart_upload", "s3:AbortMultipartUpload"),
    ("complete_multipart_upload", "s3:PutObject"),
    ("create_database", "glue:CreateDatabase"),
    ("create_multipart_upload", "s3:PutObject"),
    ("create_table", "glue:CreateTable"),
    ("delete_object", "s3:DeleteObject"),
    ("get_database", "glue:GetDatabase"),
    ("get_object", "s3:GetObject"),
    ("get_query_execution", "athena:GetQueryExecution"),
    ("get_query_results", "athena:GetQueryResults"),
    ("get_table", "glue:GetTable"),
    ("head_object", "s3:GetObject"),
    ("list_multipart_uploads", "s3:ListBucketMultipartUploads"),
    ("list_objects_v2", "s3:ListBucket"),
    ("put_object", "s3:PutObject"),
    ("start_query_execution", "athena:StartQueryExecution"),
    ("stop_query_execution", "athena:StopQueryExecution"),
    ("update_table", "glue:UpdateTable"),
    ("upload_part", "s3:PutObject"),
];

/// What Athena asks for in the name of whoever queries, beside what our code asks for itself.
const OF_ATHENA: [&str; 5] =
    ["athena:GetWorkGroup", "glue:GetDatabases", "glue:GetPartitions", "glue:GetTables", "s3:GetBucketLocation"];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("lake/catalog is in the workspace").to_owned()
}

/// The names of all requests of an SDK, such as `get_object`: its files in `src/operation`.
fn operations(sdk: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--offline", "--locked"])
        .current_dir(workspace())
        .output()
        .expect("cargo runs this test and can be run");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let mut packages = metadata["packages"].as_array().expect("a list of packages").iter();
    let package = packages.find(|package| package["name"] == sdk).expect("it is among our dependencies");
    let manifest = Path::new(package["manifest_path"].as_str().expect("a path"));
    let folder = manifest.parent().expect("a manifest is in a folder").join("src/operation");
    let files = std::fs::read_dir(folder).expect("an SDK has operations");
    let names = files.filter_map(|file| Some(file.ok()?.path().file_stem()?.to_str()?.to_owned()));
    names.collect()
}

/// The actions that the sources below `folder` ask for through `sdk`.
fn asked(folder: &str, sdk: &str) -> BTreeSet<String> {
    let operations = operations(sdk);
    let mut files = vec![workspace().join(folder)];
    let mut actions = BTreeSet::new();
    while let Some(path) = files.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).expect("it can be listed");
            files.extend(entries.map(|entry| entry.expect("it can be listed").path()));
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a source file is text");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for operation in operations.iter().filter(|operation| code.contains(&format!(".{operation}()"))) {
            let action = ACTIONS.iter().find(|(name, _)| name == operation);
            let (_, action) = action.unwrap_or_else(|| panic!("{} asks for {operation}", path.display()));
            actions.insert((*action).to_owned());
        }
    }
    actions
}

/// What a policy allows.
fn allowed(role: &str) -> BTreeSet<String> {
    let path = workspace().join(format!("docs/iam/{role}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let policy: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(policy["Version"], "2012-10-17");
    let mut found = BTreeSet::new();
    for statement in policy["Statement"].as_array().expect("a list of statements") {
        assert_eq!(statement["Effect"], "Allow");
        let resources = statement["Resource"].as_array().expect("a list of resources");
        assert!(!resources.is_empty() && resources.iter().all(|resource| resource != "*"), "{role}: {statement}");
        for action in statement["Action"].as_array().expect("a list of actions") {
            let action = action.as_str().expect("an action is text");
            assert!(!action.contains('*'), "{role}: {action} is more than anybody needs");
            found.insert(action.to_owned());
        }
    }
    found
}

#[test]
fn the_coordinator_may_do_what_store_and_glue_ask_for_and_no_more() {
    let mut expected = asked("lake/store/src", "aws-sdk-s3");
    expected.extend(asked("lake/catalog/src/glue.rs", "aws-sdk-glue"));
    assert!(expected.contains("s3:PutObject") && expected.contains("glue:UpdateTable"), "{expected:?}");
    assert_eq!(allowed("coordinator"), expected);
}

#[test]
fn a_worker_may_do_less_than_the_coordinator() {
    let (worker, coordinator) = (allowed("worker"), allowed("coordinator"));
    assert!(worker.is_subset(&coordinator), "{worker:?}");
    assert!(!worker.contains("s3:DeleteObject") && !worker.iter().any(|action| action.starts_with("glue:")));
}

#[test]
fn a_reader_may_do_what_queries_ask_for_and_change_nothing_but_results() {
    let asked = asked("lake/catalog/src/athena.rs", "aws-sdk-athena");
    assert!(asked.contains("athena:StartQueryExecution"), "{asked:?}");
    let reader = allowed("reader");
    assert!(asked.is_subset(&reader), "{asked:?}");
    let known =
        |action: &String| OF_ATHENA.contains(&action.as_str()) || ACTIONS.iter().any(|(_, known)| known == action);
    assert!(reader.iter().all(known), "{reader:?}");
    assert!(!reader.iter().any(|action| action.starts_with("glue:") && !action.starts_with("glue:Get")));
}

/// `lake/store` and `lake/catalog` are all there is that talks to AWS.
#[test]
fn nobody_else_asks_aws() {
    for manifest in [
        "cli",
        "coordinator",
        "coordinator/run",
        "coordinator/job",
        "worker",
        "worker/engine",
        "worker/process",
        "lake",
    ] {
        let text = std::fs::read_to_string(workspace().join(manifest).join("Cargo.toml")).expect("it is a package");
        assert!(!text.contains("aws-sdk"), "{manifest} has a client of its own: this test must read it, too");
    }
}
