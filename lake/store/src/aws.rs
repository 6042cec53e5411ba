//! How services of AWS are reached: by TLS, region, endpoint and credentials as AWS's own tools find them.

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::SharedHttpClient;
use aws_smithy_http_client::tls;

/// The region that stores other than AWS take, where none is configured.
pub(crate) const ANY_REGION: &str = "us-east-1";

/// The configuration of clients of `service`, such as `S3`: from environment, profile, web identity, Pod Identity, ECS or
/// the instance's role.
pub async fn configuration(service: &str) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(https());
    if names_endpoint(service) {
        // whoever names an endpoint is not asked where in AWS this machine is
        let region = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
            .or_else(ProfileFileRegionProvider::new())
            .or_else(Region::new(ANY_REGION));
        loader = loader.region(region);
    }
    loader.load().await
}

/// Whether the environment says that `service` is not AWS's own.
pub(crate) fn names_endpoint(service: &str) -> bool {
    variable(&format!("AWS_ENDPOINT_URL_{}", service.to_uppercase())).or_else(|| variable("AWS_ENDPOINT_URL")).is_some()
}

/// The client below those of all services.
pub fn https() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https()
}

/// An environment variable that is set to something.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
