//! Who may be spoken to without TLS: this machine, or whoever `--insecure` says.

use std::net::{IpAddr, SocketAddr};

/// An address that others can reach, without TLS.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is not on this machine, and what coordinator and workers say would go over the network in the clear: use TLS \
     (--tls-dir, or --tls-ca, --tls-cert and --tls-key), or say --insecure if the network is yours alone"
)]
pub struct ClearTextError(pub String);

/// Checks an address that will be listened on without TLS.
///
/// # Errors
/// If others than this machine can reach it.
pub fn check_listen(address: SocketAddr) -> Result<(), ClearTextError> {
    if address.ip().is_loopback() { Ok(()) } else { Err(ClearTextError(address.to_string())) }
}

/// Checks a host that will be spoken to without TLS.
///
/// # Errors
/// If it is not this machine by its very name: `localhost` or a loopback address.
pub fn check_host(host: &str) -> Result<(), ClearTextError> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if is_loopback || bare.eq_ignore_ascii_case("localhost") { Ok(()) } else { Err(ClearTextError(host.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_needs_no_tls() {
        for host in ["localhost", "127.0.0.1", "127.8.8.8", "[::1]", "::1"] {
            assert_eq!(check_host(host), Ok(()), "{host}");
        }
        for host in ["stedi-coordinator", "10.0.0.1", "0.0.0.0", "[::]", "127.0.0.1.example.com", ""] {
            assert!(check_host(host).is_err(), "{host}");
        }
        let listen = |text: &str| check_listen(text.parse().expect("an address"));
        assert!(listen("127.0.0.1:0").is_ok() && listen("[::1]:1").is_ok());
        assert!(listen("0.0.0.0:1").is_err() && listen("[::]:1").is_err() && listen("192.168.0.1:1").is_err());
    }
}
