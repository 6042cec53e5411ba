//! Compression of whole objects.

use std::io::Write;

use flate2::write::GzEncoder;

use super::shape::Packing;

/// `bytes` as the store gets them.
pub(super) fn pack(bytes: Vec<u8>, packing: Packing) -> Vec<u8> {
    match packing {
        Packing::None => bytes,
        Packing::Gzip(members) => pieces(&bytes, members).flat_map(gzip).collect(),
        Packing::Zstd(frames) => pieces(&bytes, frames).flat_map(zstd).collect(),
    }
}

/// `count` pieces of about the same size, and never none.
fn pieces(bytes: &[u8], count: usize) -> impl Iterator<Item = &[u8]> {
    (0..count).map(move |i| &bytes[bytes.len() * i / count..bytes.len() * (i + 1) / count])
}

fn gzip(piece: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(piece).and_then(|()| encoder.finish()).expect("memory takes every byte")
}

fn zstd(piece: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(piece, 1).expect("memory takes every byte")
}
