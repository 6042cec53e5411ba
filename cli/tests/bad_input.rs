//! What goes wrong around a run: each time a clear error that names the thing, the right exit code, and nothing lost.

#[path = "scene/scene.rs"]
#[allow(dead_code, reason = "each test file uses its own share")]
mod scene;

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;

use scene::{Scene, assert_code, stderr};

/// Runs, expects `code`, and that the error names `thing` while tables and landing stay as they were.
#[track_caller]
fn refused(scene: &Scene, args: &[&str], code: i32, thing: &str) {
    let (tables, landing) = (scene.published(), scene.landing());
    let output = scene.run(args);
    assert_code(&output, code);
    assert_names(&output, thing);
    assert!(scene.published() == tables, "the tables changed");
    assert!(scene.landing() == landing, "landing changed");
}

#[track_caller]
fn assert_names(output: &std::process::Output, thing: &str) {
    let error = stderr(output);
    assert!(error.contains(thing), "the error does not name `{thing}`: {error}");
    assert!(!error.contains("@example.com"), "customer data in an error: {error}");
    assert!(!error.contains("panicked"), "a panic instead of an error: {error}");
}

#[test]
fn a_lake_that_is_not_there() {
    let scene = Scene::empty();
    refused(&scene, &[], 1, &scene.lake().display().to_string());
    assert!(!scene.lake().exists(), "a lake was made of a typing mistake");
}

#[test]
fn a_lake_that_is_a_file() {
    let scene = Scene::empty();
    fs::write(scene.lake(), "not a folder").expect("a file is written");
    refused(&scene, &[], 1, &scene.lake().display().to_string());
}

#[test]
fn a_lake_without_landing() {
    let scene = Scene::empty();
    fs::create_dir(scene.lake()).expect("a folder is made");
    refused(&scene, &[], 1, "no landing objects");
    assert_eq!(scene.files().len(), 0, "a refused run leaves nothing: {:?}", scene.files().keys());
}

#[test]
fn a_lake_without_customers() {
    let scene = Scene::with_landing(6);
    fs::remove_dir_all(scene.path("customer")).expect("landing is removed");
    refused(&scene, &[], 1, "customer/landing");
}

#[test]
fn landing_that_went_missing_does_not_empty_the_tables() {
    let scene = Scene::with_news();
    fs::remove_dir_all(scene.path("customer/landing")).expect("landing is removed");
    refused(&scene, &[], 1, "customer/landing");
    for table in ["accelerometer", "step_trainer"] {
        let scene = Scene::with_news();
        fs::remove_dir_all(scene.path(&format!("{table}/landing"))).expect("landing is removed");
        refused(&scene, &[], 1, &format!("no records in {table}_landing"));
        assert_code(&scene.run(&["--allow-empty"]), 0);
    }
}

#[test]
fn landing_without_a_record_does_not_empty_the_tables() {
    for (table, error) in [("customer", "customer/landing"), ("accelerometer", "no records in accelerometer_landing")] {
        for nothing in ["\n", "[]", " \r\n\t"] {
            let scene = Scene::with_news();
            let folder = scene.path(&format!("{table}/landing"));
            fs::remove_dir_all(folder).expect("landing is removed");
            scene.write(&format!("{table}/landing/nothing.json"), nothing);
            refused(&scene, &[], 1, error);
        }
    }
}

#[test]
fn unknown_words_are_usage_errors() {
    let scene = Scene::with_news();
    refused(&scene, &["--consent", "newest"], 2, "newest");
    refused(&scene, &["--match", "serial"], 2, "serial");
    refused(&scene, &["--max-bad-records", "some"], 2, "some");
    refused(&scene, &["--memory", "lots"], 2, "lots");
    refused(&scene, &["--threads", "0"], 2, "--threads");
    refused(&scene, &["--shards", "0"], 2, "--shards");
    assert_code(&scene.stedi("generate", &["--days", "0"]), 2);
    let lake =
        std::process::Command::new(env!("CARGO_BIN_EXE_stedi")).args(["tables", "--lake", "ftp://host/lake"]).output();
    assert_code(&lake.expect("it starts"), 2);
}

#[test]
fn too_many_bad_records_commit_nothing_and_keep_the_quarantine() {
    let scene = Scene::with_news();
    scene.write("step_trainer/landing/broken.json", "{\"sensorReadingTime\":1\n{\"sensorReadingTime\":2}\n");
    refused(&scene, &["--max-bad-records", "1"], 3, "step_trainer_landing");
    let quarantine = |files: &std::collections::BTreeMap<String, Vec<u8>>| {
        files.keys().filter(|path| path.contains("/quarantine/")).count()
    };
    assert!(quarantine(&scene.files()) > 0, "the quarantine is kept");
    assert_code(&scene.run(&["--max-bad-records", "2"]), 0);
}

#[test]
fn a_damaged_object_is_no_small_share_of_bad_records() {
    for table in ["customer", "step_trainer"] {
        let scene = Scene::with_news();
        let path = format!("{table}/landing/late.json.gz");
        let lines: String = (0..1000).map(|i| format!("{{\"email\":\"{i}\",\"a\":{i}}}\n")).collect();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(lines.as_bytes()).expect("a Vec");
        let whole = gzip.finish().expect("a Vec");
        scene.write(&path, &whole[..whole.len() / 2]);
        refused(&scene, &["--max-bad-records", "99.9%"], 3, &format!("{path} of {table}_landing is damaged"));
        assert_code(&scene.run(&["--max-bad-records", "100%"]), 0);
    }
}

#[test]
fn a_file_where_the_log_should_be() {
    let scene = Scene::with_landing(6);
    scene.write("_stedi/log", "");
    refused_blocked(&scene, "_stedi/log");
}

#[test]
fn a_file_where_a_table_should_be() {
    let scene = Scene::with_landing(6);
    scene.write("machine_learning", "");
    refused_blocked(&scene, "machine_learning");
}

#[test]
fn a_file_where_the_runs_should_be() {
    let scene = Scene::with_news();
    fs::rename(scene.path("_stedi/runs"), scene.path("_stedi/old-runs")).expect("the runs move away");
    scene.write("_stedi/runs", "");
    refused_blocked(&scene, "_stedi/runs");
}

/// After the thing in the way is gone, the run succeeds.
#[track_caller]
fn refused_blocked(scene: &Scene, below: &str) {
    refused(scene, &[], 1, below);
    fs::remove_file(scene.path(below)).expect("the obstacle is a file");
    assert_code(&scene.run(&[]), 0);
    assert_code(&scene.stedi("verify", &[]), 0);
}

#[test]
fn a_folder_that_looks_like_a_landing_object_is_a_folder() {
    let scene = Scene::with_landing(6);
    let record = "{\"user\":\"c1@example.com\",\"timestamp\":1}\n";
    scene.write("accelerometer/landing/late.json/late.json", record);
    assert_code(&scene.run(&[]), 0);
    assert_code(&scene.stedi("verify", &[]), 0);
}

#[test]
fn a_scratch_folder_that_cannot_be_made() {
    let scene = Scene::with_news();
    fs::write(scene.folder().join("scratch"), "a file").expect("a file is written");
    let scratch = scene.folder().join("scratch").display().to_string();
    refused(&scene, &["--scratch", &scratch], 1, &scratch);
}

#[test]
fn another_run_commits_first() {
    let scene = Scene::with_news();
    let first = scene.run_until("before_commit", &[]);
    assert_code(&scene.run(&[]), 0);
    let winner = scene.commit().expect("the second run committed");
    let (tables, commits) = (scene.published(), scene.commits().len());
    let output = first.finish();
    assert_code(&output, 4);
    assert_names(&output, &winner.run_id.to_string());
    assert_eq!(scene.commits().len(), commits, "the loser added to the log");
    assert!(scene.published() == tables, "the loser changed the tables");
    assert_code(&scene.stedi("verify", &[]), 0);
    assert_code(&scene.stedi("gc", &["--grace", "0s", "--delete"]), 0);
    scene.assert_no_leftovers();
}

#[test]
fn a_file_that_shrinks_while_it_is_read() {
    changed_while_read(|path| {
        let bytes = fs::metadata(path).expect("the object is there").len();
        let file = OpenOptions::new().write(true).open(path).expect("the object opens");
        file.set_len(bytes / 2).expect("the object is cut");
    });
}

#[test]
fn a_file_that_grows_while_it_is_read() {
    changed_while_read(|path| {
        let mut file = OpenOptions::new().append(true).open(path).expect("the object opens");
        file.write_all(b"{\"user\":\"c1@example.com\",\"timestamp\":1}\n").expect("the object grows");
    });
}

#[test]
fn a_file_that_is_written_anew_while_it_is_read() {
    changed_while_read(|path| {
        let mut bytes = fs::read(path).expect("the object reads");
        let digit = bytes.iter_mut().rfind(|byte| byte.is_ascii_digit()).expect("readings have numbers");
        *digit = if *digit == b'1' { b'2' } else { b'1' };
        fs::write(path, bytes).expect("the object is written again");
    });
}

#[test]
fn a_file_that_goes_away_while_it_is_read() {
    changed_while_read(|path| fs::remove_file(path).expect("the object goes"));
}

fn changed_while_read(change: impl FnOnce(&std::path::Path)) {
    let scene = Scene::with_news();
    let tables = scene.published();
    let run = scene.run_until("after_list", &[]);
    change(&scene.path("accelerometer/landing/2022/9-15.json"));
    let output = run.finish();
    assert_code(&output, 1);
    assert_names(&output, "accelerometer/landing/2022/9-15.json");
    assert!(scene.published() == tables, "a run that saw two versions of landing committed");
    assert_code(&scene.run(&["--max-bad-records", "1"]), 0);
    assert_code(&scene.stedi("verify", &[]), 0);
}

#[test]
fn a_line_of_a_gigabyte_is_quarantined_in_bounded_memory() {
    let scene = Scene::with_landing(6);
    let readings = fs::read_to_string(scene.path("accelerometer/landing/2022/0-6.json")).expect("landing reads");
    let whole = scene.fork();
    assert_code(&whole.run(&[]), 0);

    // sparse: a gigabyte of zero bytes in the middle of a record
    let mut file = File::create(scene.path("accelerometer/landing/2022/0-6.json")).expect("landing opens");
    file.write_all(b"{\"user\":\"").expect("landing is written");
    file.set_len(1 << 30).expect("a sparse file");
    let mut file =
        OpenOptions::new().append(true).open(scene.path("accelerometer/landing/2022/0-6.json")).expect("opens");
    file.write_all(b"\",\"timestamp\":1}\n").and_then(|()| file.write_all(readings.as_bytes())).expect("is written");
    drop(file);

    let run = scene.run_until("before_commit", &["--memory", "128MiB", "--max-bad-records", "1"]);
    let resident = run.resident_kib_max();
    assert!(resident <= 128 << 10, "{resident} KiB resident");
    assert_code(&run.finish(), 0);
    let counts = scene.commit().expect("the run committed").landing[&stedi_lake::LandingTable::Accelerometer];
    assert_eq!((counts.rows, counts.quarantined), (6 * 40 + 1, 1));
    assert_eq!(scene.rows(), whole.rows(), "the records around the line are read");
}

#[test]
fn zstd_may_begin_with_a_frame_to_be_skipped() {
    let scene = Scene::with_landing(6);
    let plain = scene.fork();
    assert_code(&plain.run(&[]), 0);
    for object in ["customer/landing/0-6.json", "accelerometer/landing/2022/0-6.json"] {
        let text = fs::read(scene.path(object)).expect("landing reads");
        // as pzstd writes: the magic number, 4 bytes to be skipped, and these
        let mut bytes = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd".to_vec();
        bytes.extend(zstd::encode_all(&text[..], 1).expect("memory takes it"));
        scene.write(object, &bytes);
    }
    assert_code(&scene.run(&[]), 0);
    assert_eq!(scene.rows(), plain.rows());
    assert_code(&scene.stedi("verify", &[]), 0);
}
