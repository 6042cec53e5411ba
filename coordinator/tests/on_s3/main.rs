//! A coordinator and workers, as processes, over a lake in S3 that fails.

mod bad;
mod bucket;
mod chaos;
#[path = "../cluster/cluster.rs"]
#[allow(dead_code, reason = "each test file uses its own share")]
mod cluster;
#[path = "../../../cli/tests/scene/scene.rs"]
#[allow(dead_code, reason = "each test file uses its own share")]
mod scene;


use bucket::Bucket;
use scene::{Published, Scene, assert_code};

/// A landing, and what a quiet run in one process on disk makes of it with the cluster's options.
struct Quiet {
    landing: Scene,
    expected: Published,
}

impl Quiet {
    fn new() -> Self {
        cluster::build();
        let landing = Scene::with_landing(12);
        let run = landing.fork();
        assert_code(&run.run(&["--shards", "3"]), 0);
        Self { expected: run.published().expect("a quiet run commits"), landing }
    }

    /// A lake in S3 with that landing.
    fn in_bucket(&self) -> Bucket {
        Bucket::with_landing_of(&self.landing)
    }
}
