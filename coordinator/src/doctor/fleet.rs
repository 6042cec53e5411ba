//! The fleet: whether the coordinator may do in its cluster what it must.

use stedi_fleet::access::{self, RIGHTS, Right, SECRET_RIGHTS};
use stedi_fleet::cluster::Cluster;
use stedi_fleet::{FleetError, FleetSettings, Pool};

use super::Finding;
use crate::args::DoctorCommand;

pub(super) async fn examine(args: &DoctorCommand) -> Vec<Finding> {
    let settings = match args.fleet.settings() {
        Ok(Some(settings)) => settings,
        Ok(None) => return vec![Finding::skipped("fleet", "workers are not made here (--fleet none)")],
        Err(error) => return vec![Finding::failed("fleet", &error)],
    };
    let cluster = match Cluster::connect(&settings.namespace).await {
        Ok(cluster) => cluster,
        Err(error) => return vec![Finding::failed("fleet", &error)],
    };
    let (min, max) = (settings.workers_min, settings.workers_max);
    let mut findings =
        vec![Finding::ok("fleet", format!("{min} to {max} workers in namespace {}", settings.namespace))];
    let missing = access::missing(&cluster, &RIGHTS, None).await;
    findings.push(rights("rights", missing, &settings.namespace));
    for pool in Pool::ALL {
        let tried = access::try_worker_job(&cluster, &settings, pool).await;
        let ok =
            |()| "the API server would take it; the pods of it are judged by their namespace when they come".to_owned();
        findings.push(Finding::of(format!("{pool} worker Job"), tried, ok));
    }
    findings.extend(secret(&cluster, &settings).await);
    findings
}

async fn secret(cluster: &Cluster, settings: &FleetSettings) -> Vec<Finding> {
    let Some(name) = &settings.tls_secret else {
        return vec![Finding::skipped("certificates", "no Secret keeps them (STEDI_TLS_SECRET)")];
    };
    let missing = access::missing(cluster, &SECRET_RIGHTS, Some(name)).await;
    let readable = cluster.secret(name).await;
    vec![
        rights("rights on certificates", missing, &settings.namespace),
        Finding::of("certificates", readable, |data| format!("Secret {name} can be read and has {} keys", data.len())),
    ]
}

fn rights(check: &str, missing: Result<Vec<Right>, FleetError>, namespace: &str) -> Finding {
    let missing = match missing {
        Ok(missing) => missing,
        Err(error) => return Finding::failed(check, &error),
    };
    if missing.is_empty() {
        return Finding::ok(check, "all that are needed");
    }
    let named = missing.iter().map(|right| format!("{} {}", right.verb, right.resource)).collect::<Vec<_>>().join(", ");
    Finding::wrong(
        check,
        format!("missing in namespace {namespace}: {named}: let the chart make the Role (rbac.create), or grant them"),
    )
}
