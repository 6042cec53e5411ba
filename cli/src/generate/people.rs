//! Who the customers are: e-mail addresses, serial numbers, and the records that landing has of each.

use stedi_lake::Customer;

use super::random::{Purpose, Random, index};
use super::{GenerateConfig, Profile, odd};

const FIRST_NAMES: [&str; 33] = [
    "Angie",
    "Ashley",
    "Ben",
    "Bobby",
    "Chris",
    "Christina",
    "Craig",
    "Dan",
    "Danny",
    "David",
    "Edward",
    "Eric",
    "Frank",
    "Gail",
    "Jacob",
    "Jane",
    "Jason",
    "Jaya",
    "Jerry",
    "John",
    "Larry",
    "Liz",
    "Lyn",
    "Manoj",
    "Neeraj",
    "Santosh",
    "Sarah",
    "Sean",
    "Senthil",
    "Spencer",
    "Suresh",
    "Travis",
    "Trevor",
];

const LAST_NAMES: [&str; 29] = [
    "Abram",
    "Ahmed",
    "Anandh",
    "Anderson",
    "Aristotle",
    "Clark",
    "Clayton",
    "Davis",
    "Doshi",
    "Fibonnaci",
    "Gonzalez",
    "Habschied",
    "Hansen",
    "Harris",
    "Howard",
    "Huey",
    "Jackson",
    "Jefferson",
    "Jones",
    "Khatib",
    "Lincoln",
    "Mitra",
    "Olson",
    "Phillips",
    "Sanchez",
    "Smith",
    "Spencer",
    "Staples",
    "Wu",
];

const NAME_PAIRS: u64 = (FIRST_NAMES.len() * LAST_NAMES.len()) as u64;

/// Epoch ms at which the first day of readings starts; about when the public starter data was recorded.
pub(super) const FIRST_DAY_MS: i64 = 1_655_560_800_000;

const DAY_MS: u64 = 86_400_000;

/// Over how many objects the versions of a customer are spread in the profiles that have versions.
pub(super) const VERSION_LANES: u64 = 6;

/// The part of a day in which sessions start: as dense as in the starter data, as long as a day is long enough.
pub(super) fn session_window_ms(config: &GenerateConfig) -> u64 {
    config.customers.saturating_mul(2_700).clamp(600_000, DAY_MS)
}

/// Start of day `day`.
pub(super) fn day_start_ms(day: u64) -> i64 {
    FIRST_DAY_MS + (day * DAY_MS).cast_signed()
}

/// The number of serial numbers that the customers of a `legacy` landing share: 30 for 609 customers.
pub(super) fn shared_serials(config: &GenerateConfig) -> u64 {
    (config.customers.saturating_mul(30) / 609).max(30)
}

/// What follows from the number of a customer alone.
pub(super) struct Person<'c> {
    config: &'c GenerateConfig,
    customer: u64,
    /// Bits: 0-2 what the customer shares (`clean`), 16-63 silence.
    bits: u64,
    random: Random,
}

impl<'c> Person<'c> {
    pub(super) fn new(config: &'c GenerateConfig, customer: u64) -> Self {
        let mut random = Random::new(config.seed, Purpose::Person, customer, 0);
        Self { config, customer, bits: random.word(), random }
    }

    /// Never sends an accelerometer reading: one customer in a hundred, of those who consent if the profile is `clean`.
    pub(super) fn silent(&self) -> bool {
        let may_be = self.config.profile != Profile::Clean || self.shares(0);
        may_be && (self.bits >> 16).is_multiple_of(100)
    }

    pub(super) fn email(&self) -> String {
        let (first, last) = self.name();
        match (self.config.profile, self.customer / NAME_PAIRS) {
            (Profile::Messy, _) => odd::email(self.customer, first, last),
            (_, 0) => [first, ".", last, "@test.com"].concat(),
            (_, n) => format!("{first}.{last}.{n}@test.com"),
        }
    }

    /// At least one serial number; of `clean` exactly one, and nobody else has it.
    pub(super) fn serials(mut self) -> Vec<String> {
        match self.config.profile {
            Profile::Clean => vec![uuid(&mut self.random)],
            Profile::Legacy | Profile::Messy => self.shared_serials(),
        }
    }

    /// Every serial number has several customers, and one customer in seven has several serial numbers.
    fn shared_serials(mut self) -> Vec<String> {
        let Self { config, customer, .. } = self;
        let count = shared_serials(config);
        let mut numbers = vec![customer % count];
        if self.random.one_in(7) {
            for _ in 0..=self.random.below(2) {
                let another = self.random.below(count);
                if !numbers.contains(&another) {
                    numbers.push(another);
                }
            }
        }
        let serial = |n| {
            let uuid = uuid(&mut Random::new(config.seed, Purpose::Serial, n, 0));
            if config.profile == Profile::Messy { odd::serial(n, uuid) } else { uuid }
        };
        numbers.into_iter().map(serial).collect()
    }

    fn name(&self) -> (&'static str, &'static str) {
        name(self.customer % NAME_PAIRS)
    }

    fn shares(&self, bit: u32) -> bool {
        self.bits >> bit & 1 == 1
    }
}

/// The e-mail address of somebody who is no customer.
pub(super) fn stranger_email(random: &mut Random) -> String {
    let (first, last) = name(random.below(NAME_PAIRS));
    format!("{first}.{last}.guest{}@test.com", random.below(1_000_000))
}

/// A random UUID, version 4.
pub(super) fn uuid(random: &mut Random) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut bits = u128::from(random.word()) << 64 | u128::from(random.word());
    bits = bits & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let mut text = String::with_capacity(36);
    for digit in 0..32 {
        if matches!(digit, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(char::from(HEX[index(u64::try_from(bits >> (124 - 4 * digit) & 0xf).expect("four bits"))]));
    }
    text
}

/// Yields the records that landing has of `customer`, of those in `lane` (below [`VERSION_LANES`]) where there are lanes.
pub(super) fn records(config: &GenerateConfig, customer: u64, lane: u64, each: &mut impl FnMut(&Customer)) {
    match config.profile {
        Profile::Clean => each(&clean_record(config, customer)),
        Profile::Legacy | Profile::Messy => versions(config, customer, lane, each),
    }
}

fn name(pair: u64) -> (&'static str, &'static str) {
    let first = FIRST_NAMES[index(pair % FIRST_NAMES.len() as u64)];
    let last = LAST_NAMES[index(pair / FIRST_NAMES.len() as u64 % LAST_NAMES.len() as u64)];
    (first, last)
}

fn clean_record(config: &GenerateConfig, customer: u64) -> Customer {
    let person = Person::new(config, customer);
    let mut random = Random::new(config.seed, Purpose::Versions, customer, 0);
    let registration = FIRST_DAY_MS + random.ms_below(session_window_ms(config));
    let last_update = if random.one_in(21) { registration + 1 + random.ms_below(2_400_000) } else { registration };
    let share = |bit| person.shares(bit).then_some(last_update);
    let (first, last) = person.name();
    Customer {
        customer_name: Some(format!("{first} {last}").into()),
        email: person.email().into(),
        phone: Some("8015551212".into()),
        birth_day: Some(format!("{}-01-01", 900 + random.below(1_100)).into()),
        registration_date: Some(registration),
        last_update_date: Some(last_update),
        share_with_research_as_of_date: share(0),
        share_with_public_as_of_date: share(1),
        share_with_friends_as_of_date: share(2),
        serial_number: person.serials().swap_remove(0).into(),
    }
}

/// Three to ten versions. Half of the customers give and withdraw consent, a quarter always consents, a quarter never.
fn versions(config: &GenerateConfig, customer: u64, lane: u64, each: &mut impl FnMut(&Customer)) {
    let person = Person::new(config, customer);
    let (first, last) = person.name();
    let (email, serials) = (person.email(), person.serials());
    let mut random = Random::new(config.seed, Purpose::Versions, customer, 0);
    let registration = FIRST_DAY_MS - random.ms_below(900 * DAY_MS);
    let birth_day = format!("{}-01-01", 900 + random.below(1_100));
    let first_consents = random.one_in(2);
    let mut update = registration;
    for version in 0..3 + random.below(8) {
        if version > 0 && !random.one_in(8) {
            update += 1 + random.ms_below(30 * DAY_MS);
        }
        let consents = match (customer % 4, version) {
            (0 | 1, 0) => first_consents,
            (0 | 1, 1) => !first_consents,
            (0 | 1, _) => random.one_in(2),
            (kind, _) => kind == 2,
        };
        let serial = match index(version) {
            each_once if each_once < serials.len() => each_once,
            _ => index(random.below(serials.len() as u64)),
        };
        let mut record = Customer {
            customer_name: Some(format!("{first} {last}").into()),
            email: email.as_str().into(),
            phone: Some(format!("801555{:04}", random.below(10_000)).into()),
            birth_day: Some(birth_day.as_str().into()),
            serial_number: serials[serial].as_str().into(),
            registration_date: Some(registration + if random.one_in(10) { 1_000 } else { 0 }),
            last_update_date: (!random.one_in(12)).then_some(update),
            share_with_research_as_of_date: consent_date(consents, update, &mut random),
            share_with_public_as_of_date: random.one_in(2).then_some(update),
            share_with_friends_as_of_date: random.one_in(2).then_some(update),
        };
        if config.profile == Profile::Messy {
            odd::customer(&mut record, &mut random);
        }
        let delivered_twice = random.one_in(16);
        if version % VERSION_LANES == lane {
            each(&record);
        }
        if delivered_twice && (version + 1) % VERSION_LANES == lane {
            each(&record);
        }
    }
}

fn consent_date(consents: bool, update_ms: i64, random: &mut Random) -> Option<i64> {
    let zero = random.one_in(3).then_some(0);
    if consents { Some(update_ms) } else { zero }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn nobody_shares_an_e_mail_address() {
        for profile in Profile::ALL {
            let config = GenerateConfig::new(profile);
            let emails: BTreeSet<_> = (0..5_000).map(|customer| Person::new(&config, customer).email()).collect();
            assert_eq!(emails.len(), 5_000, "{profile}");
        }
    }
}
