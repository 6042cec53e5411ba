//! What is counted of a fleet.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::pod::LossCause;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCause {
    cause: &'static str,
}

/// The metrics of a fleet; clones count together.
#[derive(Clone, Debug, Default)]
pub struct FleetMetrics {
    wanted: Gauge,
    ready: Gauge,
    lost: Family<OfCause, Counter>,
}

impl FleetMetrics {
    /// Lets them be served, as `stedi_fleet_...`.
    pub fn register(&self, registry: &mut Registry) {
        // of a counter that comes with its first count, nobody sees that it increased
        for cause in LossCause::ALL {
            drop(self.lost.get_or_create(&OfCause { cause: cause.name() }));
        }
        let all = registry.sub_registry_with_prefix("stedi_fleet");
        all.register(
            "wanted",
            "Workers that the worker Jobs ask for while they are not suspended",
            self.wanted.clone(),
        );
        all.register("ready", "Workers whose pods are ready", self.ready.clone());
        all.register("pods_lost", "Pods that were gone before their work was done, by cause", self.lost.clone());
    }

    pub(crate) fn sizes(&self, wanted: u32, ready: u32) {
        self.wanted.set(wanted.into());
        self.ready.set(ready.into());
    }

    pub(crate) fn lost(&self, cause: LossCause) {
        self.lost.get_or_create(&OfCause { cause: cause.name() }).inc();
    }
}
