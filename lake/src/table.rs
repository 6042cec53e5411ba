//! The eight tables: names, paths, columns and their stable Parquet field ids.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};

/// Arrow metadata key under which the parquet crate reads and writes a field id.
pub const FIELD_ID_KEY: &str = "PARQUET:field_id";

/// A column type, with the name Athena gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8 text.
    String,
    /// 64-bit signed integer; times are epoch milliseconds.
    BigInt,
    /// IEEE 754 double.
    Double,
}

impl ColumnType {
    /// The type's name in Athena DDL.
    pub fn athena(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::BigInt => "bigint",
            Self::Double => "double",
        }
    }

    fn arrow(self) -> DataType {
        match self {
            Self::String => DataType::Utf8,
            Self::BigInt => DataType::Int64,
            Self::Double => DataType::Float64,
        }
    }
}

/// One column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Lower-case name, as Athena shows it.
    pub name: &'static str,
    /// Key in the landing JSON, in the case the producers write; the curated name where there is none.
    pub json: &'static str,
    /// Type of the values.
    pub ty: ColumnType,
    /// Whether a row without a value is refused.
    pub required: bool,
    /// What the column means, for catalogs.
    pub comment: &'static str,
}

const fn column(
    name: &'static str,
    json: &'static str,
    ty: ColumnType,
    required: bool,
    comment: &'static str,
) -> Column {
    Column { name, json, ty, required, comment }
}

use ColumnType::{BigInt, Double, String};

const CUSTOMER_COLUMNS: [Column; 10] = [
    column("customername", "customerName", String, false, "name of the customer"),
    column("email", "email", String, true, "e-mail address; the accelerometer tables call it user"),
    column("phone", "phone", String, false, "phone number"),
    column("birthday", "birthDay", String, false, "birthday as the customer typed it; not always a date"),
    column("serialnumber", "serialNumber", String, true, "serial number of the customer's step trainer"),
    column("registrationdate", "registrationDate", BigInt, false, "epoch ms of the registration"),
    column("lastupdatedate", "lastUpdateDate", BigInt, false, "epoch ms of this version of the record"),
    column(
        "sharewithresearchasofdate",
        "shareWithResearchAsOfDate",
        BigInt,
        false,
        "epoch ms since which data may be used for research; absent or 0: not",
    ),
    column(
        "sharewithpublicasofdate",
        "shareWithPublicAsOfDate",
        BigInt,
        false,
        "epoch ms since which data may be shared with the public",
    ),
    column(
        "sharewithfriendsasofdate",
        "shareWithFriendsAsOfDate",
        BigInt,
        false,
        "epoch ms since which data may be shared with friends",
    ),
];

const ACCELEROMETER_COLUMNS: [Column; 5] = [
    column("user", "user", String, true, "e-mail address of the customer"),
    column("timestamp", "timestamp", BigInt, true, "epoch ms of the reading"),
    column("x", "x", Double, false, "acceleration along x"),
    column("y", "y", Double, false, "acceleration along y"),
    column("z", "z", Double, false, "acceleration along z"),
];

const STEP_TRAINER_COLUMNS: [Column; 3] = [
    column("sensorreadingtime", "sensorReadingTime", BigInt, true, "epoch ms of the reading"),
    column("serialnumber", "serialNumber", String, true, "serial number of the step trainer"),
    column("distancefromobject", "distanceFromObject", BigInt, false, "distance the sensor saw"),
];

const MACHINE_LEARNING_COLUMNS: [Column; 8] = [
    column("serialnumber", "serialNumber", String, true, "serial number of the step trainer"),
    column("sensorreadingtime", "sensorReadingTime", BigInt, true, "epoch ms of the step reading"),
    column("distancefromobject", "distanceFromObject", BigInt, false, "distance the sensor saw"),
    column("user", "user", String, true, "e-mail address of the customer"),
    column("timestamp", "timestamp", BigInt, true, "epoch ms of the accelerometer reading"),
    column("x", "x", Double, false, "acceleration along x"),
    column("y", "y", Double, false, "acceleration along y"),
    column("z", "z", Double, false, "acceleration along z"),
];

/// A landing table: JSON records as the devices and apps delivered them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LandingTable {
    /// Customer records, many versions of each.
    #[serde(rename = "customer_landing")]
    Customer,
    /// Readings of the phone app.
    #[serde(rename = "accelerometer_landing")]
    Accelerometer,
    /// Readings of the step trainer.
    #[serde(rename = "step_trainer_landing")]
    StepTrainer,
}

impl LandingTable {
    /// All landing tables, in the order a run reads them.
    pub const ALL: [Self; 3] = [Self::Customer, Self::Accelerometer, Self::StepTrainer];

    /// The table's name in the catalog and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Customer => "customer_landing",
            Self::Accelerometer => "accelerometer_landing",
            Self::StepTrainer => "step_trainer_landing",
        }
    }

    /// The prefix below the lake that holds its objects, without slashes at the ends.
    pub fn path(self) -> &'static str {
        match self {
            Self::Customer => "customer/landing",
            Self::Accelerometer => "accelerometer/landing",
            Self::StepTrainer => "step_trainer/landing",
        }
    }

    /// Columns in catalog order.
    pub fn columns(self) -> &'static [Column] {
        match self {
            Self::Customer => &CUSTOMER_COLUMNS,
            Self::Accelerometer => &ACCELEROMETER_COLUMNS,
            Self::StepTrainer => &STEP_TRAINER_COLUMNS,
        }
    }
}

/// A curated table: Parquet parts that a commit names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CuratedTable {
    /// Customer records that consent to research.
    CustomerTrusted,
    /// Readings whose user is in customer_trusted.
    AccelerometerTrusted,
    /// Rows of customer_trusted whose e-mail has at least one accelerometer reading.
    CustomersCurated,
    /// Readings whose serial is in customers_curated.
    StepTrainerTrusted,
    /// Trusted step readings with the trusted accelerometer readings of the same time.
    MachineLearningCurated,
}

impl CuratedTable {
    /// All curated tables, each after those it derives from.
    pub const ALL: [Self; 5] = [
        Self::CustomerTrusted,
        Self::AccelerometerTrusted,
        Self::CustomersCurated,
        Self::StepTrainerTrusted,
        Self::MachineLearningCurated,
    ];

    /// The table's name in the catalog and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::CustomerTrusted => "customer_trusted",
            Self::AccelerometerTrusted => "accelerometer_trusted",
            Self::CustomersCurated => "customers_curated",
            Self::StepTrainerTrusted => "step_trainer_trusted",
            Self::MachineLearningCurated => "machine_learning_curated",
        }
    }

    /// The table's prefix below the lake, without slashes at the ends.
    pub fn path(self) -> &'static str {
        match self {
            Self::CustomerTrusted => "customer/trusted",
            Self::AccelerometerTrusted => "accelerometer/trusted",
            Self::CustomersCurated => "customer/curated",
            Self::StepTrainerTrusted => "step_trainer/trusted",
            Self::MachineLearningCurated => "machine_learning/curated",
        }
    }

    /// Columns in file and catalog order.
    pub fn columns(self) -> &'static [Column] {
        match self {
            Self::CustomerTrusted | Self::CustomersCurated => &CUSTOMER_COLUMNS,
            Self::AccelerometerTrusted => &ACCELEROMETER_COLUMNS,
            Self::StepTrainerTrusted => &STEP_TRAINER_COLUMNS,
            Self::MachineLearningCurated => &MACHINE_LEARNING_COLUMNS,
        }
    }

    /// The leading columns of the sort order within a part; ties are broken by the remaining columns in file order.
    pub fn sort_columns(self) -> &'static [&'static str] {
        match self {
            Self::CustomerTrusted | Self::CustomersCurated => &["email", "serialnumber"],
            Self::AccelerometerTrusted => &["user", "timestamp"],
            Self::StepTrainerTrusted => &["serialnumber", "sensorreadingtime"],
            Self::MachineLearningCurated => &["serialnumber", "sensorreadingtime", "user"],
        }
    }

    /// The whole sort order as column indexes: [`Self::sort_columns`] first, then the others in file order.
    pub fn sort_order(self) -> Vec<usize> {
        let columns = self.columns();
        let leading = self.sort_columns();
        let mut order: Vec<usize> =
            leading.iter().filter_map(|name| columns.iter().position(|c| c.name == *name)).collect();
        order.extend((0..columns.len()).filter(|&i| !leading.contains(&columns[i].name)));
        order
    }

    /// The Arrow schema of the table's parts: Utf8, Int64 and Float64 columns in file order, each with its field id.
    pub fn arrow_schema(self) -> SchemaRef {
        arrow_schema(self.columns())
    }
}

/// The Arrow schema of `columns`, with field ids from 1 in column order under [`FIELD_ID_KEY`].
pub fn arrow_schema(columns: &[Column]) -> SchemaRef {
    let fields: Vec<Field> = columns
        .iter()
        .zip(1..)
        .map(|(column, id): (&Column, i32)| {
            Field::new(column.name, column.ty.arrow(), !column.required)
                .with_metadata(HashMap::from([(FIELD_ID_KEY.to_owned(), id.to_string())]))
        })
        .collect();
    Arc::new(Schema::new(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sort_order_names_every_column_once() {
        for table in CuratedTable::ALL {
            let mut order = table.sort_order();
            order.sort_unstable();
            assert_eq!(order, (0..table.columns().len()).collect::<Vec<_>>(), "{}", table.name());
        }
    }

    #[test]
    fn machine_learning_ties_are_broken_by_distance_then_reading() {
        let columns = CuratedTable::MachineLearningCurated.columns();
        let names: Vec<_> =
            CuratedTable::MachineLearningCurated.sort_order().into_iter().map(|i| columns[i].name).collect();
        assert_eq!(
            names,
            ["serialnumber", "sensorreadingtime", "user", "distancefromobject", "timestamp", "x", "y", "z"]
        );
    }
}
