//! Landing from the generator: its objects on disk, its good records as it knows them, and what it broke.

use std::fs;
use std::io;
use std::path::Path;

use stedi::generate::{Canonical, GenerateConfig, Manifest, ManifestObject, canonical, object, plan};

use crate::landing::{AccelerometerReading, Landing, StepReading};

impl From<Canonical> for Landing {
    fn from(all: Canonical) -> Self {
        let accelerometer = all.accelerometer.into_iter().map(|row| AccelerometerReading {
            user: row.user.into(),
            timestamp: row.timestamp_ms,
            xyz: [row.x, row.y, row.z],
        });
        let step_trainer = all.step_trainer.into_iter().map(|row| StepReading {
            sensor_reading_time: row.reading_time_ms,
            serial_number: row.serial_number.into(),
            distance: row.distance,
        });
        Self { customers: all.customers, accelerometer: accelerometer.collect(), step_trainer: step_trainer.collect() }
    }
}

/// Writes the objects of `config` below `lake`; returns its good records, and the manifest of all objects.
///
/// # Errors
/// If a file cannot be written.
pub fn land(config: &GenerateConfig, lake: &Path) -> io::Result<(Landing, Manifest)> {
    let mut objects = Vec::new();
    for spec in plan(config) {
        let made = object(config, &spec);
        let path = lake.join(&spec.path);
        fs::create_dir_all(path.parent().unwrap_or(lake))?;
        fs::write(path, &made.bytes)?;
        objects.push(ManifestObject::new(&spec, &made));
    }
    Ok((canonical(config).into(), Manifest::new(config, objects)))
}
