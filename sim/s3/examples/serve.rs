//! The server as a process of its own: `serve FOLDER [LANDING]` puts what lies below LANDING under `lake/`, prints the
//! environment that a client needs as one JSON object, and ends with its standard input.

use std::io::Read as _;
use std::path::Path;

use stedi_sim_s3::S3Server;

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "whoever started this reads it there")]
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (folder, landing) = match args.as_slice() {
        [folder] => (folder, None),
        [folder, landing] => (folder, Some(landing)),
        _ => {
            eprintln!("usage: serve FOLDER [LANDING]");
            std::process::exit(2);
        }
    };
    let server = S3Server::start(Path::new(folder));
    if let Some(landing) = landing {
        put_all(&server, Path::new(landing), "lake");
    }
    let variables = server.env().into_iter().map(|(name, value)| format!("\"{name}\": \"{value}\""));
    println!("{{{}}}", variables.collect::<Vec<_>>().join(", "));
    // the end of standard input is the end of whoever started this
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
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
