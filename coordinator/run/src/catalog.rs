//! Where the tables of a commit are published, as the command line and the environment say it.

use std::fmt;
use std::str::FromStr;

use clap::builder::FalseyValueParser;
use stedi_lake::catalog::parse_database;

/// A kind of catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CatalogKind {
    /// The Glue Data Catalog, which Athena asks.
    Glue,
}

impl fmt::Display for CatalogKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Glue => f.write_str("glue"),
        }
    }
}

/// A word that names no catalog.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown catalog `{0}`; the one there is is glue")]
pub struct UnknownCatalog(String);

impl FromStr for CatalogKind {
    type Err = UnknownCatalog;

    fn from_str(text: &str) -> Result<Self, UnknownCatalog> {
        match text {
            "glue" => Ok(Self::Glue),
            _ => Err(UnknownCatalog(text.to_owned())),
        }
    }
}

/// A database of a catalog, if one is named.
#[derive(Clone, Debug, clap::Args)]
pub struct CatalogOptions {
    /// The catalog that shows the tables: glue. It needs a lake in S3
    #[arg(long, env = "STEDI_CATALOG", value_name = "glue", requires = "database", value_parser = word)]
    pub catalog: Option<CatalogKind>,
    /// The catalog's database
    #[arg(long, env = "STEDI_DATABASE", value_name = "NAME", value_parser = parse_database)]
    pub database: Option<String>,
}

impl CatalogOptions {
    /// The database, if a catalog is named.
    pub fn published_to(&self) -> Option<&str> {
        self.catalog.and(self.database.as_deref())
    }
}

/// What is done about tables that are not as they would be made.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct PublishFlags {
    /// Take over tables of the catalog that show something outside the lake
    #[arg(long, env = "STEDI_ADOPT", value_parser = FalseyValueParser::new())]
    pub adopt: bool,
    /// Make the columns in the catalog exactly those of the tables, instead of only adding those that are missing
    #[arg(long, env = "STEDI_REPLACE_COLUMNS", value_parser = FalseyValueParser::new())]
    pub replace_columns: bool,
}

fn word(text: &str) -> Result<CatalogKind, UnknownCatalog> {
    text.parse()
}
