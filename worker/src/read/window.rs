//! How far a zstd object may refer back: its window is in memory while it is decompressed.

use std::io::{self, BufRead, Read};

use zstd::stream::read::Decoder;
use zstd::zstd_safe;

/// Binary logarithm of the largest window, 128 MiB: that of `zstd --long`, and the most that zstd itself reads without being
/// asked.
pub(crate) const WINDOW_LOG_MAX: u32 = 27;

/// Binary logarithm of the window that every reader should support (RFC 8878, 3.1.1.1.2), 8 MiB: that of `zstd -19`.
pub(crate) const WINDOW_LOG_USUAL: u32 = 23;

/// zstd's error of a window that is larger than allowed, `ZSTD_error_frameParameter_windowTooLarge` of zstd_errors.h, as its
/// functions return it.
const TOO_LARGE: usize = 16_usize.wrapping_neg();

/// The largest window that there is memory for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ZstdWindow {
    /// Its binary logarithm.
    pub(crate) log: u32,
    /// The `--memory` that is enough for the largest one of all, in MiB; `None` if this is enough.
    pub(crate) wanted_mib: Option<u64>,
}

impl Default for ZstdWindow {
    fn default() -> Self {
        Self { log: WINDOW_LOG_MAX, wanted_mib: None }
    }
}

/// A zstd object takes more memory to read than there is for it.
#[derive(Debug, thiserror::Error)]
#[error(
    "landing object {key} is compressed by zstd with a window of more than {} MiB; compress it again without --long{}",
    (1 << log) >> 20,
    wanted_mib.map(|mib| format!(", or give at least --memory {mib}MiB, for windows of up to 128 MiB")).unwrap_or_default()
)]
pub struct WindowTooLarge {
    key: String,
    log: u32,
    wanted_mib: Option<u64>,
}

impl WindowTooLarge {
    /// Whether more memory helps.
    pub fn is_for_want_of_memory(&self) -> bool {
        self.wanted_mib.is_some()
    }
}

impl ZstdWindow {
    /// Decompresses the landing object `key`. A [`WindowTooLarge`] is inside the error of reading one that has a larger
    /// window.
    pub(crate) fn decoder<R: BufRead>(self, key: &str, bytes: R) -> io::Result<impl Read + use<R>> {
        let mut decoder = Decoder::with_buffer(bytes)?;
        decoder.window_log_max(self.log)?;
        Ok(Windowed { decoder, window: self, key: key.to_owned() })
    }
}

struct Windowed<D> {
    decoder: D,
    window: ZstdWindow,
    key: String,
}

impl<D: Read> Read for Windowed<D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.decoder.read(buffer).map_err(|error| {
            // the library's text is all that it tells of its code
            if error.to_string() != zstd_safe::get_error_name(TOO_LARGE) {
                return error;
            }
            let ZstdWindow { log, wanted_mib } = self.window;
            io::Error::other(WindowTooLarge { key: self.key.clone(), log, wanted_mib })
        })
    }
}
