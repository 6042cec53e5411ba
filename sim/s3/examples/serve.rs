//! The server as a process of its own: `serve [--listen IP] FOLDER [LANDING]` puts what lies below LANDING under `lake/`,
//! prints the environment that a client needs as one JSON object, and ends with its standard input.
//!
//! Each line of standard input is a command, answered by one line:
//!
//! - `slow REQUEST KEY MILLISECONDS`: requests of that kind (`any`, `get`, `put`, `list`), of keys with KEY in them, take
//!   so much longer from now on;
//! - `clear`: no more;
//! - `put KEY FILE`;
//! - `delete PREFIX`;
//! - `etags PREFIX`: the objects whose keys begin so, as one JSON object of key and ETag.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use stedi_sim_s3::{Effect, Request, S3Server};

const USAGE: &str = "usage: serve [--listen IP] FOLDER [LANDING]";

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "whoever started this reads it there")]
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((address, folder, landing)) = parse(&args) else {
        eprintln!("{USAGE}");
        std::process::exit(2);
    };
    let server = S3Server::start_at(address, Path::new(folder));
    if let Some(landing) = landing {
        put_all(&server, Path::new(landing), "lake");
    }
    println!("{}", json_object(server.env()));
    // the end of standard input is the end of whoever started this
    for line in std::io::stdin().lines() {
        let Ok(line) = line else { return };
        println!("{}", obey(&server, &line));
    }
}

fn parse(args: &[String]) -> Option<(IpAddr, &str, Option<&str>)> {
    let (address, rest) = match args {
        [option, address, rest @ ..] if option == "--listen" => (address.parse().ok()?, rest),
        _ => (Ipv4Addr::LOCALHOST.into(), args),
    };
    match rest {
        [folder] => Some((address, folder, None)),
        [folder, landing] => Some((address, folder, Some(landing))),
        _ => None,
    }
}

fn obey(server: &S3Server, command: &str) -> String {
    let words: Vec<&str> = command.split_whitespace().collect();
    match words.as_slice() {
        ["slow", request, key, milliseconds] => {
            let (Some(request), Ok(milliseconds)) = (kind(request), milliseconds.parse()) else {
                return format!("error: no such request or time: {command}");
            };
            server.faults().add(request, key, u64::MAX, Effect::Slow(Duration::from_millis(milliseconds)));
        }
        ["clear"] => server.faults().clear(),
        ["put", key, file] => match std::fs::read(file) {
            Ok(bytes) => server.put(key, &bytes),
            Err(error) => return format!("error: {file}: {error}"),
        },
        ["delete", prefix] => server.objects(prefix).keys().for_each(|key| server.delete(key)),
        ["etags", prefix] => {
            let objects = server.objects(prefix).into_keys();
            return json_object(objects.filter_map(|key| server.etag(&key).map(|etag| (key, etag))));
        }
        _ => return format!("error: no such command: {command}"),
    }
    "{}".to_owned()
}

fn kind(request: &str) -> Option<Request> {
    match request {
        "any" => Some(Request::Any),
        "get" => Some(Request::Get),
        "put" => Some(Request::Put),
        "list" => Some(Request::List),
        _ => None,
    }
}

/// Names and values have nothing in them that JSON would escape.
fn json_object(pairs: impl IntoIterator<Item = (String, String)>) -> String {
    let mut text = String::from("{");
    for (name, value) in pairs {
        let comma = if text.len() > 1 { ", " } else { "" };
        let _ = write!(text, "{comma}\"{name}\": \"{value}\"");
    }
    text + "}"
}

fn put_all(server: &S3Server, folder: &Path, key: &str) {
    for entry in std::fs::read_dir(folder).expect("a folder that can be listed") {
        let entry = entry.expect("a folder that can be listed");
        let key = format!("{key}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            put_all(server, &entry.path(), &key);
        } else {
            server.put(&key, &std::fs::read(entry.path()).expect("a file that can be read"));
        }
    }
}
