//! What a run takes when one device owns half of all readings and there is far less memory than readings.

#[path = "scene/scene.rs"]
#[allow(dead_code, reason = "each test file uses its own share")]
mod scene;

use std::fmt::Write as _;

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
