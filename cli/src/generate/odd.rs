//! The odd but readable values of the profile `messy`.

use stedi_lake::Customer;

use super::random::Random;
use super::record::{AccelerometerRow, StepTrainerRow};

const DOUBLES: [f64; 10] =
    [-1.0, 0.0, 1.0, 0.25, -9.80665, 0.1 + 0.2, 1e-7, 6.022_140_76e23, f64::MAX, f64::MIN_POSITIVE];

const BIRTH_DAYS: [&str; 8] = [
    "967-01-01",
    "",
    "0000-00-00",
    "1980-13-45",
    "12/31/1999",
    "unbekannt – später",
    "1999-01-01T00:00:00Z",
    "-44-03-15",
];

/// An e-mail address; escapes, quotes, composed and decomposed letters, letter case, and surrogate pairs all matter.
pub(super) fn email(customer: u64, first: &str, last: &str) -> String {
    match customer % 12 {
        3 => format!("zo\u{eb}.{customer}@test.com"),
        // the same letters as the one before to the eye, another address byte for byte
        4 => format!("zoe\u{308}.{}@test.com", customer - 1),
        5 => format!("\"{first} {last}\".{customer}@test.com"),
        6 => format!("{first}\\{last}/{customer}@test.com"),
        7 => format!("\u{1f680}{customer}@тест.example"),
        8 => format!("CUSTOMER.{customer}@TEST.COM"),
        9 => format!("customer.{}@test.com", customer - 1),
        10 => format!("{first}{{}}[],:.{customer}@test.com"),
        11 => format!("tab\t{customer}@test.com"),
        _ => format!("{first}.{last}.{customer}@test.com"),
    }
}

/// Serial number `n`, a UUID unless it is odd.
pub(super) fn serial(n: u64, uuid: String) -> String {
    match n % 10 {
        3 => format!("SN/{n:06}"),
        5 => format!("{n}"),
        7 => format!("Prüf-№ {n} \"B\""),
        9 => uuid.to_uppercase(),
        _ => uuid,
    }
}

/// Makes some optional fields of a customer odd or absent.
pub(super) fn customer(record: &mut Customer, random: &mut Random) {
    if random.one_in(3) {
        record.birth_day = Some(random.pick(&BIRTH_DAYS).into());
    }
    if random.one_in(6) {
        record.customer_name = Some(
            random
                .pick(&["Zo\u{eb} \"Z\" O'Hara", "{\"a\": [1, 2}", "a\\b/c\u{1}\u{7f}", "李 小龙 \u{1f44d}", ""])
                .into(),
        );
    }
    for text in [&mut record.customer_name, &mut record.phone, &mut record.birth_day] {
        if random.one_in(12) {
            *text = None;
        }
    }
    if random.one_in(12) {
        record.registration_date = None;
    }
    if random.one_in(20) {
        record.share_with_public_as_of_date = Some(-1);
    }
}

/// Makes some values of a reading odd or absent.
pub(super) fn accelerometer<S>(row: &mut AccelerometerRow<S>, random: &mut Random) {
    for value in [&mut row.x, &mut row.y, &mut row.z] {
        match random.below(12) {
            0 => *value = None,
            1..6 => *value = Some(random.pick(&DOUBLES)),
            _ => {}
        }
    }
}

/// Makes some values of a reading odd or absent.
pub(super) fn step_trainer<S>(row: &mut StepTrainerRow<S>, random: &mut Random) {
    match random.below(24) {
        0 => row.distance = None,
        1 => row.distance = Some(0),
        2 => row.distance = Some(-7),
        // not a double
        3 => row.distance = Some(9_007_199_254_740_993),
        4 => row.distance = Some(i64::MAX),
        _ => {}
    }
}
