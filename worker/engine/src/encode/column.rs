//! Encodes one column chunk: pages in memory, with statistics and page index.
//!
//! The parquet crate's own column writer looks every value up in a general hash table. Here the columns are known: ids
//! that come in runs, times in order, and numbers of which few are distinct. Pages go through the crate's page writer.

use bytes::Bytes;
use parquet::basic::{BoundaryOrder, Encoding, PageType, Type};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use stedi_lake::options::Compression;

use super::columns::{NameOf, Values};
use super::compress::Compressor;
use super::dictionary::{NameDictionary, NumberDictionary, plain_name};
use super::pack;
use crate::decode::NULL_I64;

/// Bytes of a page header at most, about: there are no statistics in it.
const PAGE_HEADER_BYTES: usize = 64;

/// An encoded column chunk.
pub(super) struct EncodedColumn {
    pub(super) bytes: Bytes,
    pub(super) close: ColumnCloseResult,
}

/// Encodes the pages of one column chunk.
pub(super) struct ColumnEncoder {
    descriptor: ColumnDescPtr,
    compression: Compression,
    compressor: Compressor,
    numbers: NumberDictionary,
    /// Whether a page had more numbers than the dictionary takes: it and those behind it do without.
    numbers_overflow: bool,
    names: NameDictionary,
    pages: Vec<EncodedPage>,
    /// Reused for the bytes of each page before compression.
    plain: Vec<u8>,
}

struct EncodedPage {
    bytes: Vec<u8>,
    plain_bytes: usize,
    encoding: Encoding,
    rows: usize,
    nulls: usize,
    /// Of the values that are there.
    bounds: Option<Bounds>,
}

#[derive(Clone, PartialEq)]
enum Bounds {
    BigInt(i64, i64),
    Double(f64, f64),
    Text(ByteArray, ByteArray),
}

impl ColumnEncoder {
    pub(super) fn new(descriptor: ColumnDescPtr, compression: Compression) -> Result<Self, ParquetError> {
        Ok(Self {
            descriptor,
            compression,
            compressor: Compressor::new(compression)?,
            numbers: NumberDictionary::new(),
            numbers_overflow: false,
            names: NameDictionary::default(),
            pages: Vec::new(),
            plain: Vec::new(),
        })
    }

    /// Encodes one page.
    pub(super) fn page(&mut self, values: &Values<'_>) -> Result<(), ParquetError> {
        self.plain.clear();
        let optional = self.descriptor.max_def_level() > 0;
        let (rows, nulls, bounds, encoding) = match *values {
            Values::Time(times) => {
                pack::delta_binary_packed(times, &mut self.plain);
                let bounds = bounds(times.iter().copied(), i64::min, i64::max).map(|(a, b)| Bounds::BigInt(a, b));
                (times.len(), 0, bounds, Encoding::DELTA_BINARY_PACKED)
            }
            Values::BigInt(numbers) => {
                let there = || numbers.iter().copied().filter(|v| *v != NULL_I64);
                let nulls = numbers.iter().filter(|v| **v == NULL_I64).count();
                self.levels(numbers.len(), nulls, optional, |i| numbers[i] != NULL_I64);
                let bounds = bounds(there(), i64::min, i64::max).map(|(a, b)| Bounds::BigInt(a, b));
                (numbers.len(), nulls, bounds, self.numbers(there().map(i64::cast_unsigned), numbers.len() - nulls))
            }
            Values::Double(numbers) => {
                let there = || numbers.iter().copied().filter(|v| !v.is_nan());
                let nulls = numbers.iter().filter(|v| v.is_nan()).count();
                self.levels(numbers.len(), nulls, optional, |i| !numbers[i].is_nan());
                let bounds = bounds_of_doubles(numbers).map(|(min, max)| {
                    // either zero may be the bound of both: the format asks for the wider one
                    Bounds::Double(if min == 0.0 { -0.0 } else { min }, if max == 0.0 { 0.0 } else { max })
                });
                (numbers.len(), nulls, bounds, self.numbers(there().map(f64::to_bits), numbers.len() - nulls))
            }
            Values::Text(ids, name) => {
                let bounds = bounds(ids.iter().copied(), u32::min, u32::max)
                    .map(|(first, last)| Bounds::Text(name(first).into(), name(last).into()));
                (ids.len(), 0, bounds, self.text(ids, name))
            }
        };
        let bytes = self.compressor.compress(&self.plain)?;
        self.pages.push(EncodedPage { bytes, plain_bytes: self.plain.len(), encoding, rows, nulls, bounds });
        Ok(())
    }

    /// Appends the definition levels of a page of an optional column.
    fn levels(&mut self, rows: usize, nulls: usize, optional: bool, is_there: impl Fn(usize) -> bool) {
        assert!(optional || nulls == 0, "a required column has a null");
        if optional {
            let at = self.plain.len();
            self.plain.extend_from_slice(&[0; 4]);
            if nulls == 0 {
                pack::rle_run(1, rows, 1, &mut self.plain);
            } else {
                pack::bit_packed_run((0..rows).map(|i| u64::from(is_there(i))), 1, &mut self.plain);
            }
            let bytes = u32::try_from(self.plain.len() - at - 4).unwrap_or(u32::MAX);
            self.plain[at..at + 4].copy_from_slice(&bytes.to_le_bytes());
        }
    }

    /// Appends `count` numbers, with the dictionary as long as they fit in it.
    fn numbers(&mut self, values: impl Iterator<Item = u64> + Clone, count: usize) -> Encoding {
        if !self.numbers_overflow {
            let dictionary = &mut self.numbers;
            let mut indexes: Vec<u16> = Vec::with_capacity(count);
            indexes.extend(values.clone().map_while(|value| dictionary.index(value)));
            if indexes.len() == count {
                let width = pack::bit_width(dictionary.values().len().saturating_sub(1) as u64).max(1);
                self.plain.push(width.to_le_bytes()[0]);
                match indexes.split_first() {
                    Some((first, rest)) if rest.iter().all(|index| index == first) => {
                        pack::rle_run(u64::from(*first), indexes.len(), width, &mut self.plain);
                    }
                    _ => pack::bit_packed_run(indexes.iter().map(|&i| u64::from(i)), width, &mut self.plain),
                }
                return Encoding::RLE_DICTIONARY;
            }
            self.numbers_overflow = true;
        }
        values.for_each(|value| self.plain.extend_from_slice(&value.to_le_bytes()));
        Encoding::PLAIN
    }

    /// Appends names, with the dictionary as long as it has room.
    fn text(&mut self, ids: &[u32], name: NameOf<'_>) -> Encoding {
        let dictionary = &mut self.names;
        if !dictionary.has_room() {
            ids.iter().for_each(|&id| plain_name(name(id), &mut self.plain));
            return Encoding::PLAIN;
        }
        let runs: Vec<(u32, usize)> =
            ids.chunk_by(|a, b| a == b).map(|run| (dictionary.index(run[0], name), run.len())).collect();
        let width = pack::bit_width(dictionary.len().saturating_sub(1) as u64).max(1);
        self.plain.push(width.to_le_bytes()[0]);
        if runs.len() * 8 <= ids.len() {
            for (index, count) in runs {
                pack::rle_run(u64::from(index), count, width, &mut self.plain);
            }
        } else {
            let indexes: Vec<u32> =
                runs.into_iter().flat_map(|(index, count)| std::iter::repeat_n(index, count)).collect();
            pack::bit_packed_run(indexes.iter().map(|&i| u64::from(i)), width, &mut self.plain);
        }
        Encoding::RLE_DICTIONARY
    }

    /// The chunk: the dictionary page, if a page uses it, and the pages.
    pub(super) fn close(mut self) -> Result<EncodedColumn, ParquetError> {
        let bytes_about = self.pages.iter().map(|page| page.bytes.len() + PAGE_HEADER_BYTES).sum::<usize>()
            + PAGE_HEADER_BYTES
            + self.numbers.plain_bytes()
            + self.names.plain.len();
        // growing would take fresh memory again and again
        let mut sink = TrackedWrite::new(Vec::with_capacity(bytes_about));
        let mut writer = SerializedPageWriter::new(&mut sink);
        let mut column_index = ColumnIndexBuilder::new(self.descriptor.physical_type());
        let mut offset_index = OffsetIndexBuilder::new();
        let mut used = Vec::new();
        let mut plain_bytes = 0;
        let mut rows = 0;
        let statistics = statistics(self.descriptor.physical_type(), &self.pages);
        column_index.set_boundary_order(boundary_order(&self.pages));
        let has_dictionary = self.pages.iter().any(|page| page.encoding == Encoding::RLE_DICTIONARY);
        if has_dictionary {
            let spec = writer.write_page(self.dictionary_page()?)?;
            plain_bytes += spec.uncompressed_size;
            count(&mut used, PageType::DICTIONARY_PAGE, Encoding::PLAIN);
        }
        let mut first_page = 0;
        for (i, page) in std::mem::take(&mut self.pages).into_iter().enumerate() {
            let (min, max) = page.bounds.as_ref().map(Bounds::bytes).unwrap_or_default();
            column_index.append(page.bounds.is_none(), min, max, page.nulls as i64);
            offset_index.append_row_count(page.rows as i64);
            rows += page.rows;
            count(&mut used, PageType::DATA_PAGE, page.encoding);
            let data = Page::DataPage {
                buf: page.bytes.into(),
                num_values: u32::try_from(page.rows).unwrap_or(u32::MAX),
                encoding: page.encoding,
                def_level_encoding: Encoding::RLE,
                rep_level_encoding: Encoding::RLE,
                statistics: None,
            };
            let spec = writer.write_page(CompressedPage::new(data, page.plain_bytes))?;
            if i == 0 {
                first_page = spec.offset;
            }
            plain_bytes += spec.uncompressed_size;
            offset_index
                .append_offset_and_size(spec.offset as i64, i32::try_from(spec.compressed_size).unwrap_or(i32::MAX));
        }
        writer.close()?;
        let bytes = Bytes::from(sink.into_inner()?);
        let mut encodings: Vec<Encoding> = used.iter().map(|stats| stats.encoding).collect();
        encodings.push(Encoding::RLE);
        let metadata = ColumnChunkMetaData::builder(self.descriptor)
            .set_compression(super::codec(self.compression))
            .set_encodings(encodings)
            .set_page_encoding_stats(used)
            .set_total_compressed_size(bytes.len() as i64)
            .set_total_uncompressed_size(plain_bytes as i64)
            .set_num_values(rows as i64)
            .set_data_page_offset(first_page as i64)
            .set_dictionary_page_offset(has_dictionary.then_some(0))
            .set_statistics(statistics);
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: rows as u64,
            metadata: metadata.build()?,
            bloom_filter: None,
            column_index: Some(column_index.build()?),
            offset_index: Some(offset_index.build()),
        };
        Ok(EncodedColumn { bytes, close })
    }

    fn dictionary_page(&mut self) -> Result<CompressedPage, ParquetError> {
        let numbers = self.numbers.values();
        let count = numbers.len() + self.names.len();
        let mut plain: Vec<u8> = numbers.iter().flat_map(|value| value.to_le_bytes()).collect();
        plain.extend_from_slice(&self.names.plain);
        let page = Page::DictionaryPage {
            buf: self.compressor.compress(&plain)?.into(),
            num_values: u32::try_from(count).unwrap_or(u32::MAX),
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        Ok(CompressedPage::new(page, plain.len()))
    }
}

impl Bounds {
    /// Minimum and maximum as the page index holds them.
    fn bytes(&self) -> (Vec<u8>, Vec<u8>) {
        match self {
            Self::BigInt(min, max) => (min.to_le_bytes().to_vec(), max.to_le_bytes().to_vec()),
            Self::Double(min, max) => (min.to_le_bytes().to_vec(), max.to_le_bytes().to_vec()),
            Self::Text(min, max) => (min.data().to_vec(), max.data().to_vec()),
        }
    }

    fn union(self, other: Self) -> Self {
        match (self, other) {
            (Self::BigInt(a, b), Self::BigInt(c, d)) => Self::BigInt(a.min(c), b.max(d)),
            (Self::Double(a, b), Self::Double(c, d)) => Self::Double(a.min(c), b.max(d)),
            (Self::Text(a, b), Self::Text(c, d)) => {
                Self::Text(if c.data() < a.data() { c } else { a }, if d.data() > b.data() { d } else { b })
            }
            _ => unreachable!("all pages of a column have one type"),
        }
    }

    /// Whether neither bound of `next` is below that of `self`.
    fn ascends_to(&self, next: &Self) -> bool {
        match (self, next) {
            (Self::BigInt(a, b), Self::BigInt(c, d)) => a <= c && b <= d,
            (Self::Double(a, b), Self::Double(c, d)) => a <= c && b <= d,
            (Self::Text(a, b), Self::Text(c, d)) => a.data() <= c.data() && b.data() <= d.data(),
            _ => false,
        }
    }
}

/// The bounds of the values that are no NaN, in a few lanes side by side: a chain of comparisons takes several times as long.
fn bounds_of_doubles(values: &[f64]) -> Option<(f64, f64)> {
    const LANES: usize = 8;
    let (mut least, mut most) = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]);
    let mut take = |lane: usize, value: f64| {
        // false for NaN
        if value < least[lane] {
            least[lane] = value;
        }
        if value > most[lane] {
            most[lane] = value;
        }
    };
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        (0..LANES).for_each(|lane| take(lane, chunk[lane]));
    }
    (0..).zip(rest).for_each(|(lane, &value)| take(lane, value));
    let bounds = (least.into_iter().fold(f64::INFINITY, f64::min), most.into_iter().fold(f64::NEG_INFINITY, f64::max));
    (bounds.0 <= bounds.1).then_some(bounds)
}

fn bounds<T: Copy>(mut values: impl Iterator<Item = T>, min: fn(T, T) -> T, max: fn(T, T) -> T) -> Option<(T, T)> {
    let first = values.next()?;
    Some(values.fold((first, first), |(least, most), value| (min(least, value), max(most, value))))
}

/// Bounds and number of nulls; of a column without values, the number of nulls alone.
fn statistics(physical_type: Type, pages: &[EncodedPage]) -> Statistics {
    let nulls = Some(pages.iter().map(|page| page.nulls as u64).sum());
    match pages.iter().filter_map(|page| page.bounds.clone()).reduce(Bounds::union) {
        Some(Bounds::BigInt(min, max)) => Statistics::int64(Some(min), Some(max), None, nulls, false),
        Some(Bounds::Double(min, max)) => Statistics::double(Some(min), Some(max), None, nulls, false),
        Some(Bounds::Text(min, max)) => Statistics::byte_array(Some(min), Some(max), None, nulls, false),
        // nothing but nulls
        None => match physical_type {
            Type::DOUBLE => Statistics::double(None, None, None, nulls, false),
            Type::BYTE_ARRAY => Statistics::byte_array(None, None, None, nulls, false),
            _ => Statistics::int64(None, None, None, nulls, false),
        },
    }
}

fn boundary_order(pages: &[EncodedPage]) -> BoundaryOrder {
    let bounds: Vec<&Bounds> = pages.iter().filter_map(|page| page.bounds.as_ref()).collect();
    match bounds.windows(2).all(|pair| pair[0].ascends_to(pair[1])) {
        true => BoundaryOrder::ASCENDING,
        false => BoundaryOrder::UNORDERED,
    }
}

fn count(used: &mut Vec<PageEncodingStats>, page_type: PageType, encoding: Encoding) {
    match used.iter_mut().find(|stats| stats.page_type == page_type && stats.encoding == encoding) {
        Some(stats) => stats.count += 1,
        None => used.push(PageEncodingStats { page_type, encoding, count: 1 }),
    }
}
