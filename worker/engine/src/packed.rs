//! Packed rows: how they travel from scan to join, in memory, in scratch, and in the shuffle files between workers.
//!
//! Readings come in runs: a device delivers some of one customer at a time. A *run* is up to [`RUN_ROWS_MAX`] rows of one
//! id. Its times lie close together and its other values repeat, so that a column of it takes few bits a row: the
//! difference of each value to the least one, in as many bits as the greatest difference needs. A row that takes 40 bytes
//! in memory takes about 5, for about the work of writing 40 bytes to fresh memory and reading them back.
//!
//! ```text
//! run    := id varint, rows varint, length of the rest varint, times column, values
//! values := of readings:      scale u8, column of x, y, z of each row
//!           of step readings: column of distances
//! column := bits u8, least value varint (zigzag), differences in `bits` bits each, least significant bit first
//! ```
//! Runs follow each other without anything between them: chunks can be put together and read as one.

mod column;

use std::marker::PhantomData;

use stedi_lake::checksum;

use crate::encode::pack::varint;
use crate::join::Row;
use crate::rows::{Reading, StepReading};
use column::{put_column, take_column, take_varint};

/// Rows of a run at most.
pub const RUN_ROWS_MAX: usize = 64;

/// Bytes of a run at most: nothing is saved on 8 bytes a value, nor on headers.
pub const RUN_BYTES_MAX: usize = RUN_ROWS_MAX * 8 * 4 + 64;

/// Bytes that are no packed rows of the wanted kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("packed rows are damaged")]
pub struct Damaged;

/// A row that can be packed.
pub trait PackRow: Row + 'static {
    /// Tells the kinds of rows apart in [seals](seal).
    const KIND: u32;

    /// Appends what a row has beside id and time.
    fn pack_values(rows: &[Self], space: &mut Vec<i64>, out: &mut Vec<u8>);

    /// Fills `rows`, which are of `id` and as many as `times_ms`, with what [`Self::pack_values`] wrote, and takes that off
    /// the start of `bytes`.
    ///
    /// # Errors
    /// If `bytes` start with anything else.
    fn unpack_values(
        id: u32,
        times_ms: &[i64],
        bytes: &mut &[u8],
        space: &mut Vec<i64>,
        rows: &mut [Self],
    ) -> Result<(), Damaged>;
}

/// How x, y and z are written: as integers, as millionths, or as the bits of the double.
const SCALES: [f64; 2] = [1.0, 1e6];
const BITS: u8 = 2;

impl PackRow for Reading {
    const KIND: u32 = 5;

    fn pack_values(rows: &[Self], space: &mut Vec<i64>, out: &mut Vec<u8>) {
        let scale = if scaled::<0>(rows, space) {
            0
        } else if scaled::<1>(rows, space) {
            1
        } else {
            space.clear();
            space.extend(rows.iter().flat_map(|row| row.xyz).map(|v| v.to_bits().cast_signed()));
            BITS
        };
        out.push(scale);
        put_column(space, out);
    }

    fn unpack_values(
        id: u32,
        times_ms: &[i64],
        bytes: &mut &[u8],
        space: &mut Vec<i64>,
        rows: &mut [Self],
    ) -> Result<(), Damaged> {
        let (&scale, rest) = bytes.split_first().ok_or(Damaged)?;
        *bytes = rest;
        take_column(bytes, 3 * rows.len(), space)?;
        let (xyz, _) = space.as_chunks::<3>();
        let rows = rows.iter_mut().zip(times_ms.iter().zip(xyz));
        match scale {
            0 => rows.for_each(|(row, (&time_ms, xyz))| *row = Self { time_ms, xyz: xyz.map(|n| n as f64), user: id }),
            1 => rows.for_each(|(row, (&time_ms, xyz))| {
                *row = Self { time_ms, xyz: xyz.map(|n| n as f64 / SCALES[1]), user: id };
            }),
            BITS => rows.for_each(|(row, (&time_ms, xyz))| {
                *row = Self { time_ms, xyz: xyz.map(|n| f64::from_bits(n.cast_unsigned())), user: id };
            }),
            _ => return Err(Damaged),
        }
        Ok(())
    }
}

/// Fills `space` with x, y, z times the scale, if all of them are integers then that give back the very same doubles.
#[inline]
fn scaled<const SCALE: usize>(rows: &[Reading], space: &mut Vec<i64>) -> bool {
    /// Added to a double of less than 2^51, it leaves the nearest integer in the low bits.
    const ROUNDER: f64 = 6_755_399_441_055_744.0;
    let mut fits = true;
    space.clear();
    space.extend(rows.iter().flat_map(|row| row.xyz).map(|value| {
        let number = value * SCALES[SCALE];
        let rounded = number + ROUNDER;
        let back = (rounded - ROUNDER) / SCALES[SCALE];
        // not so for NaN and for -0.0
        fits &= (number.abs() < 2e9) & (back.to_bits() == value.to_bits());
        rounded.to_bits().cast_signed().wrapping_sub(ROUNDER.to_bits().cast_signed())
    }));
    fits
}

impl PackRow for StepReading {
    const KIND: u32 = 3;

    fn pack_values(rows: &[Self], space: &mut Vec<i64>, out: &mut Vec<u8>) {
        space.clear();
        space.extend(rows.iter().map(|row| row.distance));
        put_column(space, out);
    }

    fn unpack_values(
        id: u32,
        times_ms: &[i64],
        bytes: &mut &[u8],
        space: &mut Vec<i64>,
        rows: &mut [Self],
    ) -> Result<(), Damaged> {
        take_column(bytes, rows.len(), space)?;
        for (row, (&time_ms, &distance)) in rows.iter_mut().zip(times_ms.iter().zip(&*space)) {
            *row = Self { time_ms, distance, serial: id };
        }
        Ok(())
    }
}

/// Packs runs; keeps its working memory from one to the next.
#[derive(Debug, Default)]
pub struct Packer {
    numbers: Vec<i64>,
    columns: Vec<u8>,
}

impl Packer {
    /// Appends a run: `rows`, whose own ids are not looked at, as rows of `id`.
    ///
    /// # Panics
    /// If there are none or more than [`RUN_ROWS_MAX`].
    pub fn pack<T: PackRow>(&mut self, id: u32, rows: &[T], out: &mut Vec<u8>) {
        assert!((1..=RUN_ROWS_MAX).contains(&rows.len()), "a run of {} rows", rows.len());
        self.numbers.clear();
        self.numbers.extend(rows.iter().map(T::time_ms));
        self.columns.clear();
        put_column(&self.numbers, &mut self.columns);
        T::pack_values(rows, &mut self.numbers, &mut self.columns);
        varint(u64::from(id), out);
        varint(rows.len() as u64, out);
        varint(self.columns.len() as u64, out);
        out.extend_from_slice(&self.columns);
    }
}

/// Some runs of one kind and shard, in memory.
#[derive(Debug)]
pub struct Chunk<T> {
    bytes: Vec<u8>,
    rows: usize,
    kind: PhantomData<T>,
}

impl<T> Default for Chunk<T> {
    fn default() -> Self {
        Self { bytes: Vec::new(), rows: 0, kind: PhantomData }
    }
}

impl<T: PackRow> Chunk<T> {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Its runs.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes of memory that it holds.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Appends a run of `rows` rows that [`Packer::pack`] made.
    pub(crate) fn push(&mut self, run: &[u8], rows: usize) {
        self.bytes.extend_from_slice(run);
        self.rows += rows;
    }

    /// Whether a run of so many bytes fits into `bytes_max`; memory for all of them is taken with the first one.
    pub(crate) fn has_room(&mut self, run_bytes: usize, bytes_max: usize) -> bool {
        if self.bytes.capacity() == 0 {
            self.bytes.reserve_exact(bytes_max.max(run_bytes));
        }
        self.bytes.len() + run_bytes <= self.bytes.capacity()
    }
}

/// A chunk that takes rows one by one.
#[derive(Debug)]
pub struct ChunkWriter<T> {
    run: Vec<T>,
    packer: Packer,
    chunk: Chunk<T>,
}

impl<T: PackRow> Default for ChunkWriter<T> {
    fn default() -> Self {
        Self { run: Vec::new(), packer: Packer::default(), chunk: Chunk::default() }
    }
}

impl<T: PackRow> ChunkWriter<T> {
    /// Adds a row. Returns the chunk once it has `bytes_max` bytes or nearly so.
    pub fn push(&mut self, row: T, bytes_max: usize) -> Option<Chunk<T>> {
        if self.run.len() == RUN_ROWS_MAX || self.run.last().is_some_and(|last| last.id() != row.id()) {
            self.end_run();
        }
        self.run.push(row);
        (self.chunk.bytes.len() + RUN_BYTES_MAX > bytes_max).then(|| self.take())
    }

    /// Adds the rows of a run as they are packed. Returns the chunk as [`Self::push`] does.
    pub fn push_run(&mut self, run: &Run<'_, T>, bytes_max: usize) -> Option<Chunk<T>> {
        self.end_run();
        self.chunk.push(run.packed, run.rows);
        (self.chunk.bytes.len() + RUN_BYTES_MAX > bytes_max).then(|| self.take())
    }

    /// What was pushed since the last chunk, which may be nothing.
    pub fn take(&mut self) -> Chunk<T> {
        self.end_run();
        std::mem::take(&mut self.chunk)
    }

    fn end_run(&mut self) {
        if let Some(last) = self.run.last() {
            self.packer.pack(last.id(), &self.run, &mut self.chunk.bytes);
            self.chunk.rows += self.run.len();
            self.run.clear();
        }
    }
}

/// A run that is still packed.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a, T> {
    /// The id of its rows.
    pub id: u32,
    /// Number of rows, at least 1.
    pub rows: usize,
    /// All of it.
    packed: &'a [u8],
    /// Its columns and what follows them.
    bytes: &'a [u8],
    kind: PhantomData<T>,
}

/// Unpacks runs; keeps its working memory from one to the next.
#[derive(Debug, Default)]
pub struct Unpacker {
    times: Vec<i64>,
    numbers: Vec<i64>,
}

impl Unpacker {
    /// The times of a run, epoch ms.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn times_ms<T: PackRow>(&mut self, run: &Run<'_, T>) -> Result<&[i64], Damaged> {
        take_column(&mut &*run.bytes, run.rows, &mut self.times)?;
        Ok(&self.times)
    }

    /// Fills `rows` with the rows of a run, as many as it has.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn unpack<T: PackRow>(&mut self, run: &Run<'_, T>, rows: &mut [T]) -> Result<(), Damaged> {
        let mut bytes = run.bytes;
        take_column(&mut bytes, run.rows, &mut self.times)?;
        T::unpack_values(run.id, &self.times, &mut bytes, &mut self.numbers, rows)
    }
}

/// The runs in `bytes`.
pub fn runs<'a, T: PackRow>(mut bytes: &'a [u8]) -> impl Iterator<Item = Result<Run<'a, T>, Damaged>> {
    std::iter::from_fn(move || {
        (!bytes.is_empty()).then(|| {
            let run = take_run(&mut bytes);
            if run.is_err() {
                bytes = &[];
            }
            run
        })
    })
}

fn take_run<'a, T: PackRow>(bytes: &mut &'a [u8]) -> Result<Run<'a, T>, Damaged> {
    let whole = *bytes;
    let id = u32::try_from(take_varint(bytes)?).map_err(|_| Damaged)?;
    let rows = usize::try_from(take_varint(bytes)?).map_err(|_| Damaged)?;
    let length = usize::try_from(take_varint(bytes)?).map_err(|_| Damaged)?;
    if !(1..=RUN_ROWS_MAX).contains(&rows) {
        return Err(Damaged);
    }
    let columns = *bytes;
    *bytes = bytes.split_at_checked(length).ok_or(Damaged)?.1;
    let packed = &whole[..whole.len() - bytes.len()];
    Ok(Run { id, rows, packed, bytes: columns, kind: PhantomData })
}

/// Chunks of one shard as they travel between workers: one after the other, and a [seal](stedi_lake::checksum) that opens
/// for the same shard and the same kind of rows only.
pub fn seal<T: PackRow>(shard: u32, chunks: &[Chunk<T>]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(chunks.iter().map(|c| c.bytes.len()).sum::<usize>() + checksum::SEAL_BYTES);
    chunks.iter().for_each(|chunk| sealed.extend_from_slice(&chunk.bytes));
    checksum::seal(&mut sealed, seed::<T>(shard));
    sealed
}

/// The runs in what [`seal()`] made, `None` if it is damaged, of another shard or of another kind of rows.
pub fn unseal<T: PackRow>(shard: u32, sealed: &[u8]) -> Option<&[u8]> {
    checksum::unseal(sealed, seed::<T>(shard))
}

fn seed<T: PackRow>(shard: u32) -> u64 {
    // 1: what is sealed are packed rows, not an Arrow IPC stream as once
    1 << 63 | u64::from(T::KIND) << 32 | u64::from(shard)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decode::NULL_I64;

    fn pack<T: PackRow>(rows: &[T]) -> Chunk<T> {
        let mut writer = ChunkWriter::default();
        for row in rows {
            assert!(writer.push(*row, usize::MAX).is_none());
        }
        writer.take()
    }

    fn unpack<T: PackRow>(bytes: &[u8]) -> Result<Vec<T>, Damaged> {
        let (mut unpacker, mut rows) = (Unpacker::default(), Vec::new());
        for run in runs::<T>(bytes) {
            let run = run?;
            let start = rows.len();
            rows.resize(start + run.rows, T::BLANK);
            unpacker.unpack(&run, &mut rows[start..])?;
            assert!(
                unpacker.times_ms(&run)?.iter().eq(rows[start..].iter().map(T::time_ms).collect::<Vec<_>>().iter())
            );
        }
        Ok(rows)
    }

    fn check(readings: &[Reading]) -> usize {
        let chunk = pack(readings);
        assert_eq!(chunk.rows(), readings.len());
        let back: Vec<Reading> = unpack(chunk.bytes()).expect("whole");
        assert_eq!(back.len(), readings.len());
        assert!(back.iter().zip(readings).all(|(a, b)| a.same(b)), "{back:?} {readings:?}");
        chunk.bytes().len()
    }

    #[test]
    fn values_of_all_kinds_come_back_as_they_were() {
        let odd = [f64::NAN, -0.0, 1e300, f64::MIN_POSITIVE, f64::INFINITY, 0.1, 2e9, -2e9, 1e-6, 0.123_456_7];
        for &value in &odd {
            check(&[Reading::new(7, i64::MAX, [value, 1.0, 2.0]), Reading::new(7, i64::MIN, [0.5, value, -3.0])]);
        }
        check(&[Reading::new(u32::MAX, 0, [1.0, 2.0, 3.0]), Reading::new(0, i64::MIN, [0.0; 3])]);
        let steps = [
            StepReading { time_ms: 1, distance: NULL_I64, serial: 9 },
            StepReading { time_ms: i64::MIN, distance: i64::MAX, serial: 9 },
        ];
        let chunk = pack(&steps);
        assert_eq!(unpack::<StepReading>(chunk.bytes()), Ok(steps.to_vec()));
        let mut copy = ChunkWriter::default();
        for run in runs::<StepReading>(chunk.bytes()) {
            assert!(copy.push_run(&run.expect("whole"), usize::MAX).is_none());
        }
        let copy = copy.take();
        assert_eq!((copy.bytes(), copy.rows()), (chunk.bytes(), chunk.rows()));
    }

    #[test]
    fn usual_readings_take_few_bytes() {
        let of = |value: fn(u32) -> f64| -> Vec<Reading> {
            (0..6400).map(|i| Reading::new(i / 64, i64::from(i) * 3000, [value(i), 1.0, -1.0])).collect()
        };
        assert!(check(&of(|i| f64::from(i % 3) - 1.0)) < 6400 * 4, "small integers");
        assert!(check(&of(|i| f64::from(i % 1000) / 1000.0)) < 6400 * 12, "decimals");
        assert!(check(&of(|i| f64::from(i) / 7.0)) < 6400 * 28, "any doubles");
    }

    #[test]
    fn a_seal_opens_for_its_shard_and_kind() {
        let rows: Vec<Reading> = (0..4000).map(|i| Reading::new(i % 7, i64::from(i), [0.5; 3])).collect();
        let sealed = seal(3, &[pack(&rows[..9]), pack(&rows[9..])]);
        let back: Vec<Reading> = unpack(unseal::<Reading>(3, &sealed).expect("whole")).expect("whole");
        assert!(back.len() == rows.len() && back.iter().zip(&rows).all(|(a, b)| a.same(b)));
        assert!(unseal::<Reading>(2, &sealed).is_none() && unseal::<StepReading>(3, &sealed).is_none());
    }

    proptest! {
        #[test]
        fn any_readings_come_back(
            rows in proptest::collection::vec((0_u32..4, any::<i64>(), any::<[u64; 3]>(), 0..4_u8), 0..300),
        ) {
            let readings: Vec<Reading> = rows
                .into_iter()
                .map(|(user, time_ms, bits, kind)| match kind {
                    0 => Reading::new(user, time_ms, bits.map(f64::from_bits)),
                    1 => Reading::new(user, time_ms >> 40, bits.map(|b| (b >> 50) as f64)),
                    2 => Reading::new(user, time_ms >> 20, bits.map(|b| (b >> 40) as f64 / -1e6)),
                    _ => Reading::new(user, time_ms >> 50, [0.0; 3]),
                })
                .collect();
            check(&readings);
        }

        #[test]
        fn no_bytes_make_unpacking_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..200_usize) {
            let _ = unpack::<Reading>(&bytes);
            let _ = unpack::<StepReading>(&bytes);
            let rows: Vec<Reading> = (0..9).map(|i| Reading::new(1, i << 40, [0.5; 3])).collect();
            let whole = pack(&rows);
            if let Some(part) = whole.bytes().get(..cut) {
                let rows: Result<Vec<Reading>, Damaged> = unpack(part);
                prop_assert!(rows.is_err() || part.is_empty() || part.len() == whole.bytes().len());
            }
        }
    }
}
