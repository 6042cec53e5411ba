//! GB/s of the decoder on one core, in CPU time so that a busy machine matters less, for the common ways to write readings. `cargo bench -p stedi-engine --bench decode`

#![expect(clippy::print_stdout, reason = "it prints what it measures")]

use stedi_engine::decode::{Decoder, Layout, RecordSink, Reject, sniff};
use stedi_lake::{Customer, LandingTable};

const OBJECT_BYTES: usize = 64 << 20;
const CHUNK_BYTES: usize = 1 << 20;
const ROUNDS: usize = 5;

/// Looks at everything and keeps nothing.
#[derive(Default)]
struct Checksum {
    rows: u64,
    rejects: u64,
    sum: u64,
}

impl RecordSink for Checksum {
    fn customer(&mut self, record: Customer) {
        self.rows += 1;
        self.sum = self.sum.wrapping_add(record.email.len() as u64);
    }

    fn accelerometer(&mut self, user: &[u8], timestamp_ms: i64, xyz: [f64; 3]) {
        self.rows += 1;
        let xyz = xyz.iter().fold(0, |sum, v| sum ^ v.to_bits());
        self.sum = self.sum.wrapping_add(timestamp_ms.cast_unsigned() ^ xyz ^ u64::from(user[user.len() - 1]));
    }

    fn step_trainer(&mut self, serial: &[u8], sensor_reading_time_ms: i64, distance: i64) {
        self.rows += 1;
        let text = u64::from(serial[serial.len() - 1]);
        self.sum = self.sum.wrapping_add((sensor_reading_time_ms ^ distance).cast_unsigned() ^ text);
    }

    fn reject(&mut self, _reject: Reject<'_>) {
        self.rejects += 1;
    }
}

/// Numbers that differ from each other (SplitMix64).
fn mixed(i: u64) -> u64 {
    let z = (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

const FIRST: [&str; 8] = ["Santosh", "Ben", "Craig", "Ashley", "Christopher", "Jo", "Bobby", "Lyn"];
const LAST: [&str; 8] = ["Clayton", "Khatib", "Wu", "Staples", "Hernandez", "Li", "Anandh", "Mitra"];

fn user(i: u64) -> String {
    let z = mixed(i);
    format!("{}.{}@test.com", FIRST[(z % 8) as usize], LAST[(z / 8 % 8) as usize])
}

fn axis(i: u64, axis: u64) -> &'static str {
    ["-1.0", "0.0", "1.0"][(mixed(i * 3 + axis) % 3) as usize]
}

fn serial(i: u64) -> String {
    let (a, b) = (mixed(i), mixed(i + 1_000_000));
    format!("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", a >> 32, a >> 16 & 0xFFFF, a & 0xFFFF, b >> 48, b & 0xFFFF_FFFF_FFFF)
}

fn object(record: impl Fn(u64) -> String) -> Vec<u8> {
    let mut object = Vec::with_capacity(OBJECT_BYTES + 1024);
    let mut i = 0;
    while object.len() < OBJECT_BYTES {
        object.extend_from_slice(record(i).as_bytes());
        i += 1;
    }
    object
}

fn decode(table: LandingTable, layout: Layout, object: &[u8], slow: bool) -> Checksum {
    let mut sink = Checksum::default();
    let mut decoder = Decoder::new(table, layout, 0..u64::MAX);
    if slow {
        decoder = decoder.without_shapes();
    }
    let (mut start, mut end) = (0, 0);
    loop {
        end = object.len().min(end + CHUNK_BYTES);
        let progress = decoder.decode(&object[start..end], end == object.len(), &mut sink);
        start += progress.consumed;
        if progress.done {
            return sink;
        }
    }
}

/// CPU time of this thread (proc(5), `schedstat`).
fn cpu_seconds() -> f64 {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanoseconds = schedstat.split(' ').next().and_then(|field| field.parse::<f64>().ok());
    nanoseconds.expect("a number") / 1e9
}

fn measure(name: &str, table: LandingTable, record: impl Fn(u64) -> String) {
    let only = std::env::args().nth(1).filter(|arg| !arg.starts_with('-'));
    if only.is_some_and(|only| !name.contains(&only)) {
        return;
    }
    let object = object(record);
    let layout = sniff(&object);
    let speed = |slow| {
        let mut best = f64::INFINITY;
        let mut sink = Checksum::default();
        for _ in 0..ROUNDS {
            let start = cpu_seconds();
            sink = decode(table, layout, &object, slow);
            best = best.min(cpu_seconds() - start);
        }
        (object.len() as f64 / best / 1e9, sink)
    };
    let (fast, sink) = speed(false);
    let (slow, check) = speed(true);
    assert_eq!((sink.rows, sink.rejects, sink.sum), (check.rows, check.rejects, check.sum));
    println!(
        "{name:32} {fast:6.2} GB/s  without shapes {slow:5.2} GB/s  {layout:?}, {} rows, {} rejects",
        sink.rows, sink.rejects
    );
}

fn main() {
    use LandingTable::{Accelerometer, Customer, StepTrainer};
    let time = |i: u64| 1_655_564_444_103 + i * 37 % 100_000_000;
    let xyz = |i| (axis(i, 0), axis(i, 1), axis(i, 2));
    let accelerometer = |i, user: String, end: &str| {
        let (x, y, z) = xyz(i);
        format!(r#"{{"user":"{user}","timestamp":{},"x":{x},"y":{y},"z":{z}}}{end}"#, time(i))
    };
    let step = |i: u64, serial: String, end: &str| {
        format!(
            r#"{{"sensorReadingTime":{},"serialNumber":"{serial}","distanceFromObject":{}}}{end}"#,
            time(i),
            200 + mixed(i) % 100
        )
    };
    measure("accelerometer, runs of a user", Accelerometer, |i| accelerometer(i, user(i / 50), "\n"));
    measure("accelerometer, mixed users", Accelerometer, |i| accelerometer(i, user(i), "\n"));
    measure("accelerometer, comma CRLF", Accelerometer, |i| accelerometer(i, user(i / 50), ",\r\n"));
    measure("accelerometer, concatenated", Accelerometer, |i| accelerometer(i, user(i / 50), ""));
    measure("accelerometer, spaced, extra", Accelerometer, |i| {
        let (x, y, z) = xyz(i);
        format!(
            "{{\"timeStamp\": {}, \"x\": {x}, \"y\": {y}, \"z\": {z}, \"user\": \"{}\", \"device\": \"phone-{}\", \"seq\": {i}, \"ok\": true}}\n",
            time(i),
            user(i / 50),
            i % 7
        )
    });
    measure("accelerometer, nested extra", Accelerometer, |i| {
        let (x, y, z) = xyz(i);
        format!(
            "{{\"user\":\"{}\",\"timestamp\":{},\"x\":{x},\"y\":{y},\"z\":{z},\"meta\":{{\"app\":\"1.2\",\"gps\":[{},2.5]}}}}\n",
            user(i / 50),
            time(i),
            i % 90
        )
    });
    measure("accelerometer, pretty-printed", Accelerometer, |i| {
        let (x, y, z) = xyz(i);
        format!(
            "{{\n  \"user\": \"{}\",\n  \"timestamp\": {},\n  \"x\": {x},\n  \"y\": {y},\n  \"z\": {z}\n}}\n",
            user(i / 50),
            time(i)
        )
    });
    measure("accelerometer, long decimals", Accelerometer, |i| {
        let [x, y, z] = [0, 1, 2].map(|axis| (mixed(i * 3 + axis) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0);
        format!("{{\"user\":\"{}\",\"timestamp\":{},\"x\":{x},\"y\":{y},\"z\":{z}}}\n", user(i / 50), time(i))
    });
    measure("accelerometer, 1.655e12", Accelerometer, |i| {
        let (x, y, z) = xyz(i);
        format!("{{\"user\":\"{}\",\"timestamp\":1.655{:09}e12,\"x\":{x},\"y\":{y},\"z\":{z}}}\n", user(i / 50), i)
    });
    measure("accelerometer, two shapes", Accelerometer, |i| {
        let (x, y, z) = xyz(i);
        let key = if mixed(i).is_multiple_of(2) { "timestamp" } else { "timeStamp" };
        format!("{{\"user\":\"{}\",\"{key}\":{},\"x\":{x},\"y\":{y},\"z\":{z}}}\n", user(i / 50), time(i))
    });
    measure("accelerometer, not ASCII", Accelerometer, |i| accelerometer(i, format!("Zoë.{}", user(i / 50)), "\n"));
    measure("step trainer, runs of a serial", StepTrainer, |i| step(i, serial(i / 50), "\n"));
    measure("step trainer, mixed serials", StepTrainer, |i| step(i, serial(i), "\n"));
    measure("customer", Customer, |i| {
        format!(
            "{{\"customerName\": \"{0}\", \"email\": \"{0}@test.com\", \"phone\": \"8015551212\", \"birthDay\": \"1900-01-01\", \"serialNumber\": \"{1}\", \"registrationDate\": {2}, \"lastUpdateDate\": {2}, \"shareWithResearchAsOfDate\": {2}}}\n",
            user(i),
            serial(i),
            time(i)
        )
    });
}
