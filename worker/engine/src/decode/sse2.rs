//! The one thing that pays to do in vector registers. SSE2 is part of x86-64, so nothing needs to be detected.

#![expect(unsafe_code, reason = "the compiler wants to hear that SSE2 is there")]

use std::arch::x86_64::{
    _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
};

/// The index of the first byte that is a quote, a backslash, a control character or not ASCII.
#[inline(always)]
pub(super) fn first_stop(block: &[u8; 16]) -> Option<usize> {
    // SAFETY: every x86-64 processor has SSE2; the function asks for nothing else
    let stops = unsafe { stops(block) };
    (stops != 0).then(|| stops.trailing_zeros() as usize)
}

/// A bit for each byte, the first byte's lowest.
#[inline]
#[target_feature(enable = "sse2")]
fn stops(block: &[u8; 16]) -> i32 {
    let (words, _) = block.as_chunks::<8>();
    // this becomes one unaligned load
    let block = _mm_set_epi64x(i64::from_le_bytes(words[1]), i64::from_le_bytes(words[0]));
    let equal = |byte: u8| _mm_cmpeq_epi8(block, _mm_set1_epi8(byte.cast_signed()));
    // as signed bytes those that are not ASCII are negative
    let control_or_not_ascii = _mm_cmplt_epi8(block, _mm_set1_epi8(0x20));
    _mm_movemask_epi8(_mm_or_si128(control_or_not_ascii, _mm_or_si128(equal(b'"'), equal(b'\\'))))
}
