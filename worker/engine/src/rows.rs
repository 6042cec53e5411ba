//! Readings as they travel from scan to join: fixed size, customers and devices as dense ids.

use std::cmp::Ordering;

/// A missing x, y or z in a [`Reading`]: the NaN that `f64::total_cmp` puts below every number, so that NULL sorts lowest.
pub(crate) const NULL_XYZ: f64 = f64::from_bits(0xfff8_0000_0000_0000);

/// An accelerometer reading of a trusted customer.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Epoch ms.
    pub time_ms: i64,
    /// Acceleration; NaN where missing.
    pub xyz: [f64; 3],
    /// [User id](crate::directory::Directory) of the reading's e-mail.
    pub user: u32,
}

impl Reading {
    pub(crate) fn new(user: u32, time_ms: i64, xyz: [f64; 3]) -> Self {
        Self { time_ms, xyz: xyz.map(|v| if v.is_nan() { NULL_XYZ } else { v }), user }
    }

    /// Order of one user's readings: time, x, y, z.
    #[inline]
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        self.time_ms.cmp(&other.time_ms).then_with(|| self.value_order(other))
    }

    #[inline]
    pub(crate) fn value_order(&self, other: &Self) -> Ordering {
        let [x, y, z] = &self.xyz;
        let [ox, oy, oz] = &other.xyz;
        x.total_cmp(ox).then_with(|| y.total_cmp(oy)).then_with(|| z.total_cmp(oz))
    }

    pub(crate) fn same(&self, other: &Self) -> bool {
        self.user == other.user && self.order(other) == Ordering::Equal
    }
}

/// A step trainer reading of a curated customer's device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepReading {
    /// Epoch ms.
    pub time_ms: i64,
    /// Distance; `i64::MIN` where missing, which sorts lowest.
    pub distance: i64,
    /// [Serial id](crate::directory::Directory) of the device.
    pub serial: u32,
}
