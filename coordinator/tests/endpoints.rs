//! Who may speak to whom, and what a process tells of itself.

#[path = "cluster/cluster.rs"]
#[allow(dead_code, reason = "each test file uses its own share")]
mod cluster;
#[path = "../../cli/tests/scene/scene.rs"]
#[allow(dead_code, reason = "each test file uses its own share")]
mod scene;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use cluster::{Cluster, Process, free_port};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustix::process::Signal;
use scene::{Scene, assert_code, stderr};
use stedi_endpoint::tls::COORDINATOR_NAME;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

/// The status line and the body of `GET path`.
fn get(port: u16, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("something listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("it takes requests");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
}

#[test]
fn workers_with_the_files_of_the_run_speak_tls_and_others_do_not() {
    let scene = Scene::with_landing(9);
    let cluster = Cluster::new(&scene);
    let (dir, other_dir) = (scene.folder().join("tls"), scene.folder().join("other-tls"));
    let (dir, other_dir) = (dir.to_str().expect("UTF-8"), other_dir.to_str().expect("UTF-8"));
    // another run's files: made by a coordinator that gives up
    let elsewhere = Scene::with_landing(3);
    let strange = Cluster::new(&elsewhere).coordinator(&["--tls-dir", other_dir, "--worker-deadline", "1s"]);
    assert_code(&strange.output(), 1);

    let coordinator = cluster.coordinator(&["--tls-dir", dir]);
    let url = format!("https://127.0.0.1:{}", cluster.port);
    let in_the_clear = Process::start(cluster.worker_command(&["--coordinator-deadline", "2s"])).output();
    assert_code(&in_the_clear, 1);
    let of_another_run =
        cluster.worker_command(&["--coordinator", &url, "--tls-dir", other_dir, "--coordinator-deadline", "2s"]);
    assert_code(&Process::start(of_another_run).output(), 1);
    assert!(scene.commit().is_none());
    let worker = Process::start(cluster.worker_command(&["--coordinator", &url, "--tls-dir", dir]));
    assert_code(&coordinator.output(), 0);
    assert_code(&worker.output(), 0);
    assert!(scene.commit().is_some());
}

#[test]
fn files_of_ones_own_do_as_well_and_those_of_another_ca_do_not() {
    let scene = Scene::with_landing(9);
    let cluster = Cluster::new(&scene);
    let (ours, theirs) = (scene.folder().join("ours"), scene.folder().join("theirs"));
    make_files(&ours);
    make_files(&theirs);
    let coordinator = start_with(cluster.coordinator_command(&[]), &ours, "coordinator");
    let url = format!("https://localhost:{}", cluster.port);
    let impatient = cluster.worker_command(&["--coordinator", &url, "--coordinator-deadline", "2s"]);
    assert_code(&start_with(impatient, &theirs, "worker").output(), 1);
    assert!(scene.commit().is_none());
    let worker = start_with(cluster.worker_command(&["--coordinator", &url]), &ours, "worker");
    assert_code(&coordinator.output(), 0);
    assert_code(&worker.output(), 0);
    assert!(scene.commit().is_some());
}

/// Starts a command with the files that [`make_files`] made for its side.
fn start_with(mut command: Command, dir: &Path, side: &str) -> Process {
    command.arg("--tls-ca").arg(dir.join("ca.pem"));
    command.arg("--tls-cert").arg(dir.join(format!("{side}.pem")));
    command.arg("--tls-key").arg(dir.join(format!("{side}.key")));
    Process::start(command)
}

/// A CA, and certificates of it for both sides on this machine, as PEM files.
fn make_files(dir: &Path) {
    std::fs::create_dir(dir).expect("a folder");
    let write = |name: &str, text: String| std::fs::write(dir.join(name), text).expect("a file");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let key = KeyPair::generate().expect("a key");
    write("ca.pem", params.self_signed(&key).expect("a certificate").pem());
    let ca = Issuer::new(params, key);
    for side in ["coordinator", "worker"] {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        write(&format!("{side}.pem"), params.signed_by(&key, &ca).expect("a certificate").pem());
        write(&format!("{side}.key"), key.serialize_pem());
    }
}

#[test]
fn without_tls_only_this_machine_is_spoken_to() {
    let scene = Scene::with_landing(3);
    let cluster = Cluster::new(&scene);
    let mut command = scene.command_of(scene::binary("stedi-coordinator"), "run");
    let output = command.args(["--listen", "0.0.0.0:0"]).output().expect("the binary starts");
    assert_code(&output, 78);
    assert!(stderr(&output).contains("--insecure"), "{}", stderr(&output));
    let abroad = cluster.worker_command(&["--coordinator", "http://stedi-coordinator.example:7420"]);
    let output = Process::start(abroad).output();
    assert_code(&output, 78);
    assert!(stderr(&output).contains("--insecure"), "{}", stderr(&output));
    let no_files = cluster.worker_command(&["--coordinator", "https://127.0.0.1:1"]);
    assert_code(&Process::start(no_files).output(), 78);
    assert_code(&Process::start(cluster.worker_command(&["--no-such-option"])).output(), 64);
}

#[test]
fn both_processes_tell_how_they_are() {
    let scene = Scene::with_landing(9);
    let cluster = Cluster::new(&scene);
    let (http, http_of_worker) = (free_port(), free_port());
    let coordinator = cluster.coordinator(&["--http", &format!("127.0.0.1:{http}")]);
    let mut command = cluster.worker_command(&["--http", &format!("127.0.0.1:{http_of_worker}"), "--threads", "1"]);
    // the second task stops the process, so the first one is counted
    command.env("STEDI_FAULT", "scan-accelerometer_begun:stop");
    let worker = Process::start(command);
    worker.wait_until_stopped();
    let ok = "HTTP/1.1 200 OK";
    assert_eq!(get(http, "/healthz"), (ok.to_owned(), "alive\n".to_owned()));
    assert_eq!(get(http, "/readyz"), (ok.to_owned(), "ready\n".to_owned()));
    let (status, text) = get(http, "/metrics");
    assert_eq!(status, ok);
    for line in [
        "stedi_coordinator_tasks{stage=\"consent\"} 1",
        "stedi_coordinator_tasks_done{stage=\"consent\"} 1",
        "stedi_coordinator_grants_total{stage=\"scan-accelerometer\"} 1",
        "stedi_coordinator_workers 1",
    ] {
        assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
    }
    coordinator.signal(Signal::KILL);
    let _ = coordinator.output();
    worker.signal(Signal::CONT);
    let (status, text) = get(http_of_worker, "/metrics");
    assert_eq!(status, ok);
    assert!(text.contains("stedi_worker_attempts_total{stage=\"consent\",outcome=\"done\"} 1"), "{text}");
    // its health does not depend on the coordinator
    assert_eq!(get(http_of_worker, "/healthz").0, ok);
    worker.signal(Signal::TERM);
    assert_code(&worker.output(), 143);
}

/// What a worker has to show of the files in `dir`.
fn worker_tls(dir: &Path) -> ClientTlsConfig {
    let read = |name| std::fs::read(dir.join(name)).expect("the coordinator has written it");
    ClientTlsConfig::new()
        .domain_name(COORDINATOR_NAME)
        .ca_certificate(Certificate::from_pem(read("ca.pem")))
        .identity(Identity::from_pem(read("worker.pem"), read("worker-key.pem")))
}

/// Connects as soon as somebody listens, which the coordinator does once it has its run.
async fn connect(endpoint: &Endpoint) -> Channel {
    for _ in 0..200 {
        if let Ok(channel) = endpoint.connect().await {
            return channel;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    unreachable!("nobody listens at {}", endpoint.uri())
}

/// Asks for the health of a service.
async fn health(channel: Channel, service: &str) -> Result<ServingStatus, tonic::Code> {
    let request = HealthCheckRequest { service: service.to_owned() };
    let answer = HealthClient::new(channel).check(request).await;
    answer.map(|answer| answer.into_inner().status()).map_err(|status| status.code())
}

/// Sends one request to the reflection service.
async fn reflect(channel: Channel, request: MessageRequest) -> MessageResponse {
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let mut answers = ServerReflectionClient::new(channel)
        .server_reflection_info(tokio_stream::once(request))
        .await
        .expect("it is served")
        .into_inner();
    let answer = answers.message().await.expect("it answers").expect("one answer a request");
    answer.message_response.expect("one of the answers")
}

async fn assert_tells_of_itself(channel: Channel) {
    for service in ["", "stedi.v1.Dispatch"] {
        assert_eq!(health(channel.clone(), service).await, Ok(ServingStatus::Serving), "{service}");
    }
    assert_eq!(health(channel.clone(), "stedi.v1.Unheard").await, Err(tonic::Code::NotFound));
    let listed = reflect(channel.clone(), MessageRequest::ListServices(String::new())).await;
    let MessageResponse::ListServicesResponse(listed) = listed else { unreachable!("{listed:?}") };
    let names: Vec<String> = listed.service.into_iter().map(|service| service.name).collect();
    assert!(names.iter().any(|name| name == "stedi.v1.Dispatch"), "{names:?}");
    let symbol = MessageRequest::FileContainingSymbol("stedi.v1.Dispatch".to_owned());
    let file = reflect(channel, symbol).await;
    let MessageResponse::FileDescriptorResponse(file) = file else { unreachable!("{file:?}") };
    let names_messages = |bytes: &Vec<u8>| bytes.windows(9).any(|name| name == b"Heartbeat");
    assert!(file.file_descriptor_proto.iter().any(names_messages), "the messages are described");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_tells_grpc_tools_of_itself() {
    let scene = Scene::with_landing(3);
    let cluster = Cluster::new(&scene);
    let coordinator = cluster.coordinator(&[]);
    let url = format!("http://127.0.0.1:{}", cluster.port);
    assert_tells_of_itself(connect(&Endpoint::from_shared(url).expect("a URL")).await).await;
    drop(coordinator);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_tls_a_coordinator_tells_only_those_who_have_the_files_of_the_run() {
    let scene = Scene::with_landing(3);
    let cluster = Cluster::new(&scene);
    let dir = scene.folder().join("tls");
    let coordinator = cluster.coordinator(&["--tls-dir", dir.to_str().expect("UTF-8")]);
    let url = format!("https://127.0.0.1:{}", cluster.port);
    // the files are there before anybody listens
    while !dir.join("worker-key.pem").exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let endpoint = |tls| Endpoint::from_shared(url.clone()).expect("a URL").tls_config(tls).expect("PEM files");
    assert_tells_of_itself(connect(&endpoint(worker_tls(&dir))).await).await;
    // who knows the CA but shows nothing gets no answer, whatever the handshake says
    let ca = Certificate::from_pem(std::fs::read(dir.join("ca.pem")).expect("written"));
    let nobody = endpoint(ClientTlsConfig::new().domain_name(COORDINATOR_NAME).ca_certificate(ca));
    if let Ok(channel) = nobody.connect().await {
        let answer = health(channel, "").await;
        assert!(answer.is_err(), "{answer:?}");
    }
    drop(coordinator);
}
