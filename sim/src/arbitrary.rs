//! Hard landing data: so few e-mails, serial numbers and times that ties, duplicates, users of several serial numbers
//! and serial numbers of several users are the rule.

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;
use stedi_lake::Customer;

use crate::landing::{AccelerometerReading, Landing, StepReading};

const EMAILS: [&str; 6] = ["ann@x.io", "bob@x.io", "Ann@x.io", "ann@x.i", "é\"\\@x.io", "zoë@x.io"];
const SERIALS: [&str; 5] = ["s1", "s2", "S1", "50f7b4f3-7af5-4b07-a421-7b902c8d2b7c", "s\u{1F600}"];
const TEXTS: [&str; 4] = ["", "a", "b", "967-01-01"];

/// Landing with customers, without whom a run refuses to start, and at most `readings` readings of each kind.
pub fn landing(readings: usize) -> impl Strategy<Value = Landing> {
    (vec(customer(), 1..24), vec(accelerometer(), 0..readings), vec(step(), 0..readings))
        .prop_map(|(customers, accelerometer, step_trainer)| Landing { customers, accelerometer, step_trainer })
}

fn customer() -> impl Strategy<Value = Customer> {
    let text = || weighted(0.5, select(&TEXTS[..]));
    let date = |chance| weighted(chance, -1..3_i64);
    let research = prop_oneof![3 => 1..3_i64, 1 => Just(0)];
    (
        (text(), select(&EMAILS[..]), text(), text(), select(&SERIALS[..])),
        (date(0.7), date(0.8), weighted(0.8, research), date(0.3), date(0.3)),
    )
        .prop_map(|((name, email, phone, birth_day, serial), (registered, updated, research, public, friends))| {
            Customer {
                customer_name: name.map(Box::from),
                email: email.into(),
                phone: phone.map(Box::from),
                birth_day: birth_day.map(Box::from),
                serial_number: serial.into(),
                registration_date: registered,
                last_update_date: updated,
                share_with_research_as_of_date: research,
                share_with_public_as_of_date: public,
                share_with_friends_as_of_date: friends,
            }
        })
}

/// Mostly few times, sometimes any.
fn time() -> impl Strategy<Value = i64> {
    prop_oneof![
        12 => 0..8_i64,
        6 => 1_655_564_444_100..1_655_564_444_104_i64,
        1 => select(vec![i64::MIN, i64::MIN + 1, -1, i64::MAX]),
        1 => any::<i64>(),
    ]
}

fn accelerometer() -> impl Strategy<Value = AccelerometerReading> {
    let axis = || {
        weighted(
            0.8,
            prop_oneof![
                6 => select(vec![0.0, -0.0, 1.0, -1.0, 0.5]),
                1 => select(vec![f64::MIN_POSITIVE, f64::MAX, f64::MIN, 5e-324, 0.1]),
                1 => -1e3..1e3_f64,
            ],
        )
    };
    (select(&EMAILS[..]), time(), [axis(), axis(), axis()]).prop_map(|(user, timestamp, xyz)| AccelerometerReading {
        user: user.to_owned(),
        timestamp,
        xyz,
    })
}

fn step() -> impl Strategy<Value = StepReading> {
    let distance = weighted(0.8, prop_oneof![6 => 0..3_i64, 1 => select(vec![i64::MIN + 1, -1, i64::MAX])]);
    (time(), select(&SERIALS[..]), distance).prop_map(|(sensor_reading_time, serial, distance)| StepReading {
        sensor_reading_time,
        serial_number: serial.to_owned(),
        distance,
    })
}
