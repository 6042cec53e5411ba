//! What a run takes when one device owns half of all readings and there is far less memory than readings.

#[path = "scene/scene.rs"]
#[allow(dead_code, reason = "each test file uses its own share")]
mod scene;

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::RowAccessor as _;
use scene::{Scene, assert_code};
use stedi_lake::CuratedTable;

/// Readings of the one device's owner; as many of everybody else together. In memory they take 40 bytes each.
const HALF: u32 = 700_000;

/// The other customers.
const OTHERS: u32 = 50;

#[test]
fn one_device_with_half_of_all_readings_fits_in_little_memory() {
    let scene = Scene::empty();
    let (mut customers, mut readings, mut steps) = (String::new(), String::new(), String::new());
    for c in 0..=OTHERS {
        let record = r#""shareWithResearchAsOfDate":1655564444103"#;
        writeln!(customers, r#"{{"email":"c{c}@example.com","serialNumber":"serial-{c}",{record}}}"#)
            .expect("a string");
    }
    for t in 0..HALF {
        for c in [0, 1 + t % OTHERS] {
            let x = f64::from(t % 1013) / 7.0;
            writeln!(readings, r#"{{"user":"c{c}@example.com","timestamp":{t},"x":{x},"y":-1,"z":0.5}}"#)
                .expect("a string");
            if t % 4 == 0 {
                writeln!(steps, r#"{{"sensorReadingTime":{t},"serialNumber":"serial-{c}","distanceFromObject":7}}"#)
                    .expect("a string");
            }
        }
    }
    scene.write("customer/landing/a.json", &customers);
    scene.write("accelerometer/landing/a.json", &readings);
    scene.write("step_trainer/landing/a.json", &steps);
    drop((customers, readings, steps));

    for memory_mib in [64, 96] {
        let memory = format!("{memory_mib}MiB");
        let run = scene.run_until("before_commit", &["--force", "--memory", &memory, "--shards", "3"]);
        let resident = run.resident_kib_max();
        assert_code(&run.finish(), 0);
        assert!(resident <= memory_mib << 10, "{resident} KiB resident with --memory {memory}");
        let rows = CuratedTable::ALL.map(|table| scene.commit().expect("the run committed").tables[&table].rows);
        let all = u64::from(OTHERS) + 1;
        let (half, pairs) = (u64::from(HALF), u64::from(HALF.div_ceil(4)));
        assert_eq!(rows, [all, 2 * half, all, 2 * pairs, 2 * pairs]);
    }
    assert_code(&scene.stedi("verify", &[]), 0);
    let report: serde_json::Value =
        serde_json::from_slice(&scene.stedi("report", &["--json"]).stdout).expect("a report");
    let spilled: u64 = (0..4).filter_map(|stage| report["stages"][stage]["cost"]["spilled_bytes"].as_u64()).sum();
    assert!(spilled > u64::from(HALF) * 10, "the report tells of {spilled} spilled bytes");
}

#[test]
fn readings_that_cannot_be_told_apart_by_time_are_an_error_with_a_way_out() {
    let scene = Scene::empty();
    let record = r#""shareWithResearchAsOfDate":1655564444103"#;
    scene.write("customer/landing/a.json", format!(r#"{{"email":"a@example.com","serialNumber":"s",{record}}}"#));
    let readings: String = (0..500_000)
        .map(|x| format!("{{\"user\":\"a@example.com\",\"timestamp\":7,\"x\":{x},\"y\":-1,\"z\":0.5}}\n"))
        .collect();
    scene.write("accelerometer/landing/a.json", &readings);
    scene.write("step_trainer/landing/a.json", r#"{"sensorReadingTime":7,"serialNumber":"s","distanceFromObject":7}"#);
    let refused = scene.stedi("run", &["--memory", "64MiB"]);
    assert_code(&refused, 1);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    let wanted = error.trim_end().rsplit(' ').next().expect("the way out");
    assert!(error.contains("500001 readings of one time") && wanted.ends_with("MiB"), "{error}");
    assert_code(&scene.stedi("run", &["--memory", wanted]), 0);
}

#[test]
fn customers_of_one_object_are_counted_while_it_is_read() {
    let scene = Scene::empty();
    let customers: String = (0..150_000)
        .map(|c| format!("{{\"email\":\"c{c}@example.com\",\"serialNumber\":\"s-{c}\",\"customerName\":\"nobody\"}}"))
        .collect();
    // one split, as the records are not one a line
    scene.write("customer/landing/a.json", &customers);
    let refused = scene.stedi("run", &["--memory", "64MiB"]);
    assert_code(&refused, 1);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(error.contains("12 MiB of customers so far do not fit"), "{error}");
    assert_code(&scene.stedi("run", &["--memory", "512MiB"]), 0);
}

#[test]
fn records_of_megabytes_that_cannot_be_read_fit_in_little_memory() {
    const RECORDS: u64 = 5;
    let scene = Scene::with_landing(6);
    let whole = scene.fork();
    assert_code(&whole.run(&[]), 0);
    let record = |n: u64| {
        let filling: String = (n..n + (15 << 20)).map(|i| char::from(b'a' + (i % 23) as u8)).collect();
        format!(r#"{{"user":"{filling}","timestamp":"never""#)
    };
    let mut landing = String::new();
    for n in 0..RECORDS {
        landing.push_str(&record(n));
        landing.push('\n');
    }
    scene.write("accelerometer/landing/2022/large.json", &landing);
    drop(landing);

    let run = scene.run_until("before_commit", &["--memory", "64MiB", "--max-bad-records", "100%"]);
    let resident = run.resident_kib_max();
    assert_code(&run.finish(), 0);
    assert!(resident <= 64 << 10, "{resident} KiB resident");
    let commit = scene.commit().expect("the run committed");
    assert_eq!(commit.landing[&stedi_lake::LandingTable::Accelerometer].quarantined, RECORDS);
    assert_eq!(scene.rows(), whole.rows(), "the other records are read");
    let mut raw: Vec<Vec<u8>> = Vec::new();
    for path in scene.files().into_keys().filter(|path| path.contains("/quarantine/")) {
        let file =
            SerializedFileReader::new(File::open(scene.path(&path)).expect("it is there")).expect("it is Parquet");
        let rows = file.get_row_iter(None).expect("it has rows");
        raw.extend(rows.map(|row| row.expect("a row reads").get_bytes(5).expect("raw bytes").data().to_vec()));
    }
    raw.sort();
    let wanted: Vec<Vec<u8>> = (0..RECORDS).map(|n| record(n).into_bytes()).collect();
    assert!(raw == wanted, "the quarantine has all bytes of {} records", raw.len());
}

#[test]
fn a_window_of_zstd_that_does_not_fit_is_an_error_with_a_way_out() {
    let scene = Scene::with_landing(6);
    let mut zstd = zstd::stream::Encoder::new(Vec::new(), 1).expect("an encoder");
    zstd.window_log(27).and_then(|()| zstd.long_distance_matching(true)).expect("as zstd --long");
    let reading = b"{\"user\":\"nobody@example.com\",\"timestamp\":1}\n";
    (0..400_000).try_for_each(|_| zstd.write_all(reading)).expect("memory takes it");
    scene.write("accelerometer/landing/2022/long.json.zst", zstd.finish().expect("memory takes it"));

    let refused = scene.stedi("run", &["--memory", "64MiB"]);
    assert_code(&refused, 1);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    let wanted = error.rsplit("--memory ").next().and_then(|way_out| way_out.split(',').next()).expect("the way out");
    assert!(error.contains("2022/long.json.zst") && error.contains("--long") && wanted.ends_with("MiB"), "{error}");
    assert!(scene.commit().is_none(), "nothing is committed");

    let run = scene.run_until("before_commit", &["--memory", wanted]);
    let resident = run.resident_kib_max();
    assert_code(&run.finish(), 0);
    let memory_mib: u64 = wanted.trim_end_matches("MiB").parse().expect("a number");
    assert!(resident <= memory_mib << 10, "{resident} KiB resident");
}

#[test]
fn names_of_megabytes_fit_in_little_memory() {
    let scene = Scene::with_landing(6);
    let whole = scene.fork();
    assert_code(&whole.run(&[]), 0);
    let of = |n: u8| char::from(b'a' + n).to_string().repeat(15 << 20);
    let readings: String = (0..5).map(|n| format!("{{\"user\":\"{}\",\"timestamp\":1}}\n", of(n))).collect();
    scene.write("accelerometer/landing/2022/large.json", &readings);
    drop(readings);
    let run = scene.run_until("before_commit", &["--memory", "64MiB"]);
    let resident = run.resident_kib_max();
    assert_code(&run.finish(), 0);
    assert!(resident <= 64 << 10, "{resident} KiB resident");
    assert_eq!(scene.rows(), whole.rows(), "they are nobody's");

    // of customers, names are held
    let customers: String = (0..3).map(|n| format!("{{\"email\":\"{}\",\"serialNumber\":\"s\"}}\n", of(n))).collect();
    scene.write("customer/landing/large.json", &customers);
    let refused = scene.run(&["--memory", "64MiB"]);
    assert_code(&refused, 1);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(error.contains("16 MiB of customers so far do not fit"), "{error}");
}
