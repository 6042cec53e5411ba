//! In which shape an object delivers its records: framing, style of the JSON, faults, packing and name.

/// How records follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// One record a line.
    Lines,
    /// One JSON array.
    Array,
    /// `}{`, with this in between.
    Concatenated(&'static str),
    /// One record over several lines.
    Pretty,
    /// One JSON array of records over several lines.
    PrettyArray,
}

/// The letter case of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyCase {
    AsWritten,
    Upper,
    Lower,
    Mixed,
}

/// Compression of the whole object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    None,
    /// gzip in this many members, cut anywhere.
    Gzip(usize),
    /// zstd in this many frames, cut anywhere.
    Zstd(usize),
}

/// What the object is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Records.
    Records,
    /// Records under a hidden name: nobody may read them.
    Hidden,
    /// These bytes and no record.
    Only(&'static str),
    /// A few records, one of them longer than a record may be.
    Oversized,
}

/// A shape. Fields apply in all combinations, those of lines to [`Framing::Lines`] only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The shape's name in the manifest.
    pub name: &'static str,
    pub(super) content: Content,
    pub(super) framing: Framing,
    pub(super) byte_order_mark: bool,
    /// Lines: end in CR LF.
    pub(super) crlf: bool,
    /// Lines: each ends in a comma.
    pub(super) trailing_comma: bool,
    /// Lines: some are blank.
    pub(super) blank_lines: bool,
    /// Lines: the last one has no end.
    pub(super) unterminated: bool,
    /// Spaces after `:` and `,` and around braces; without it as the starter data has them.
    pub(super) spaces: bool,
    pub(super) shuffled_keys: bool,
    pub(super) key_case: KeyCase,
    /// Accelerometer: `timeStamp`, as older files have it.
    pub(super) old_timestamp_key: bool,
    /// Unknown fields between the known ones.
    pub(super) extra_fields: bool,
    /// Numbers as strings.
    pub(super) number_strings: bool,
    /// Numbers with exponents.
    pub(super) exponents: bool,
    /// Doubles without a fraction as integers.
    pub(super) short_doubles: bool,
    /// Escapes in strings where none are needed.
    pub(super) escapes: bool,
    /// Values of a wrong type where there is no value.
    pub(super) wrong_types: bool,
    /// Records that cannot be read, between the good ones.
    pub(super) faults: bool,
    pub(super) packing: Packing,
    /// Folder below the landing prefix, with `/` at the end, or empty.
    pub(super) folder: &'static str,
    /// What file names start with, before the table's name.
    pub(super) prefix: &'static str,
    pub(super) suffix: &'static str,
}

/// One record a line, as the starter data has it.
pub(super) const LINES: Shape = Shape {
    name: "lines",
    content: Content::Records,
    framing: Framing::Lines,
    byte_order_mark: false,
    crlf: false,
    trailing_comma: false,
    blank_lines: false,
    unterminated: false,
    spaces: false,
    shuffled_keys: false,
    key_case: KeyCase::AsWritten,
    old_timestamp_key: false,
    extra_fields: false,
    number_strings: false,
    exponents: false,
    short_doubles: false,
    escapes: false,
    wrong_types: false,
    faults: false,
    packing: Packing::None,
    folder: "",
    prefix: "",
    suffix: ".json",
};

const OLD: Shape = Shape { name: "old lines", trailing_comma: true, old_timestamp_key: true, ..LINES };

/// The shapes of the profile `clean`.
pub(super) static CLEAN: [Shape; 1] = [LINES];

/// The shapes of the profile `legacy`, in rotation.
pub(super) static LEGACY: [Shape; 5] = [
    OLD,
    Shape { name: "old lines, gzip", packing: Packing::Gzip(1), suffix: ".json.gz", ..OLD },
    LINES,
    OLD,
    Shape { name: "lines, timeStamp", old_timestamp_key: true, ..LINES },
];

impl Shape {
    /// Whether the object holds no record that anybody should read.
    pub fn skipped(&self) -> bool {
        matches!(self.content, Content::Hidden | Content::Only(_))
    }
}
