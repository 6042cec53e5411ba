//! From iterators over rows to pages of typed values.

use parquet::errors::ParquetError;

/// Rows of a page: the page index lets readers skip so many at a time.
const PAGE_ROWS: usize = 20_000;

/// The name of an id.
pub(crate) type NameOf<'v> = &'v dyn Fn(u32) -> &'v str;

/// The values of one page.
#[derive(Clone, Copy)]
pub(crate) enum Values<'v> {
    /// Times, mostly ascending, none missing.
    Time(&'v [i64]),
    /// Integers; [`NULL_I64`](crate::decode::NULL_I64) is missing.
    BigInt(&'v [i64]),
    /// Numbers; NaN is missing.
    Double(&'v [f64]),
    /// Names by id, none missing. Ids compare as their names do.
    Text(&'v [u32], NameOf<'v>),
}

/// Takes the values of a column, page by page.
pub(crate) type Emit<'e> = &'e mut dyn FnMut(Values<'_>) -> Result<(), ParquetError>;

/// Emits times.
pub(crate) fn time(values: impl Iterator<Item = i64>, emit: Emit<'_>) -> Result<(), ParquetError> {
    pages(values, |page| emit(Values::Time(page)))
}

/// Emits integers.
pub(crate) fn bigint(values: impl Iterator<Item = i64>, emit: Emit<'_>) -> Result<(), ParquetError> {
    pages(values, |page| emit(Values::BigInt(page)))
}

/// Emits numbers.
pub(crate) fn double(values: impl Iterator<Item = f64>, emit: Emit<'_>) -> Result<(), ParquetError> {
    pages(values, |page| emit(Values::Double(page)))
}

/// Emits the names of ids.
pub(crate) fn text<'n>(
    ids: impl Iterator<Item = u32>,
    name: impl Fn(u32) -> &'n str,
    emit: Emit<'_>,
) -> Result<(), ParquetError> {
    pages(ids, |page| emit(Values::Text(page, &|id| name(id))))
}

fn pages<T>(
    mut values: impl Iterator<Item = T>,
    mut emit: impl FnMut(&[T]) -> Result<(), ParquetError>,
) -> Result<(), ParquetError> {
    let mut page = Vec::with_capacity(PAGE_ROWS);
    loop {
        page.clear();
        page.extend(values.by_ref().take(PAGE_ROWS));
        if page.is_empty() {
            return Ok(());
        }
        emit(&page)?;
    }
}
