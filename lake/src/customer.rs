//! One customer record, as landing delivers it and as customer_trusted and customers_curated hold it.

use std::cmp::Ordering;

/// A customer record. Only the e-mail address and the serial number are always there.
///
/// The field order is the column order of the table. `None` is SQL NULL and sorts below every value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Customer {
    /// Name of the customer.
    pub customer_name: Option<Box<str>>,
    /// E-mail address; matched byte for byte.
    pub email: Box<str>,
    /// Phone number.
    pub phone: Option<Box<str>>,
    /// Birthday as typed; odd values such as `967-01-01` are kept.
    pub birth_day: Option<Box<str>>,
    /// Serial number of the step trainer; matched byte for byte.
    pub serial_number: Box<str>,
    /// Epoch ms.
    pub registration_date: Option<i64>,
    /// Epoch ms; decides which version of a record is the newest.
    pub last_update_date: Option<i64>,
    /// Epoch ms; present and not 0 means consent to research.
    pub share_with_research_as_of_date: Option<i64>,
    /// Epoch ms.
    pub share_with_public_as_of_date: Option<i64>,
    /// Epoch ms.
    pub share_with_friends_as_of_date: Option<i64>,
}

impl Customer {
    /// Order of the customer tables within a part: e-mail, serial number, then the remaining columns.
    pub fn table_order(&self, other: &Self) -> Ordering {
        (&self.email, &self.serial_number)
            .cmp(&(&other.email, &other.serial_number))
            .then_with(|| self.column_order(other))
    }

    /// Order by all columns from left to right, NULL lowest.
    pub fn column_order(&self, other: &Self) -> Ordering {
        let key = |c: &Self| {
            (
                c.registration_date,
                c.last_update_date,
                c.share_with_research_as_of_date,
                c.share_with_public_as_of_date,
                c.share_with_friends_as_of_date,
            )
        };
        (&self.customer_name, &self.email, &self.phone, &self.birth_day, &self.serial_number)
            .cmp(&(&other.customer_name, &other.email, &other.phone, &other.birth_day, &other.serial_number))
            .then_with(|| key(self).cmp(&key(other)))
    }

    /// Bytes of memory the record takes, its text included.
    pub fn memory_bytes(&self) -> usize {
        let text = |s: &Option<Box<str>>| s.as_ref().map_or(0, |s| s.len());
        size_of::<Self>()
            + self.email.len()
            + self.serial_number.len()
            + text(&self.customer_name)
            + text(&self.phone)
            + text(&self.birth_day)
    }
}
