//! In which shape an object delivers its records: framing, style of the JSON, faults, packing and name.

/// How records follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// One record a line.
    Lines,
    /// One JSON array, with this between its records.
    Array(&'static str),
    /// No array, and this between the records.
    Concatenated(&'static str),
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

/// A shape. Fields apply in all combinations, those of lines to framing by lines only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The shape's name in the manifest.
    pub name: &'static str,
    pub(super) content: Content,
    pub(super) framing: Framing,
    pub(super) byte_order_mark: bool,
    /// Each record over several lines.
    pub(super) pretty: bool,
    /// Lines end in CR LF.
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
    /// Records that cannot be read, between the good ones; those that are no JSON among lines only.
    pub(super) faults: bool,
    /// The object ends inside a record.
    pub(super) cut_off: bool,
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
    pretty: false,
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
    cut_off: false,
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

/// Every style of JSON at once.
const WILD: Shape = Shape {
    spaces: true,
    shuffled_keys: true,
    key_case: KeyCase::Mixed,
    extra_fields: true,
    number_strings: true,
    exponents: true,
    short_doubles: true,
    escapes: true,
    wrong_types: true,
    faults: true,
    ..LINES
};

const FAULTY: Shape = Shape { faults: true, ..LINES };

const ARRAY: Shape = Shape { framing: Framing::Array(","), faults: true, ..LINES };

const CONCATENATED: Shape = Shape { framing: Framing::Concatenated(""), faults: true, ..LINES };

const PRETTY: Shape = Shape { framing: Framing::Concatenated("\n"), pretty: true, faults: true, ..LINES };

const HIDDEN: Shape = Shape { content: Content::Hidden, ..LINES };

/// The shapes of the profile `messy`, in rotation.
#[rustfmt::skip]
pub(super) static MESSY: [Shape; 40] = [
    Shape { name: "lines with faults", ..FAULTY },
    Shape { name: "trailing comma", trailing_comma: true, ..FAULTY },
    Shape { name: "crlf", crlf: true, ..FAULTY },
    Shape { name: "byte-order mark", byte_order_mark: true, ..FAULTY },
    Shape { name: "byte-order mark, trailing comma, crlf", byte_order_mark: true, crlf: true, faults: true, ..OLD },
    Shape { name: "blank lines", blank_lines: true, ..FAULTY },
    Shape { name: "blank lines, crlf", blank_lines: true, crlf: true, ..FAULTY },
    Shape { name: "spaces, last line not ended", spaces: true, unterminated: true, ..FAULTY },
    Shape { name: "shuffled keys", shuffled_keys: true, ..FAULTY },
    Shape { name: "upper-case keys", key_case: KeyCase::Upper, ..FAULTY },
    Shape { name: "lower-case keys", key_case: KeyCase::Lower, ..FAULTY },
    Shape { name: "mixed-case keys", key_case: KeyCase::Mixed, old_timestamp_key: true, ..FAULTY },
    Shape { name: "unknown fields", extra_fields: true, ..FAULTY },
    Shape { name: "numbers as strings", number_strings: true, ..FAULTY },
    Shape { name: "exponents", exponents: true, ..FAULTY },
    Shape { name: "doubles as integers", short_doubles: true, ..FAULTY },
    Shape { name: "escapes", escapes: true, ..FAULTY },
    Shape { name: "wrong types", wrong_types: true, ..FAULTY },
    Shape { name: "everything", byte_order_mark: true, trailing_comma: true, crlf: true, blank_lines: true, ..WILD },
    Shape { name: "lines, cut off", cut_off: true, ..FAULTY },
    Shape { name: "nested folder", folder: "2022/06/18/", ..FAULTY },
    Shape { name: "array", ..ARRAY },
    Shape { name: "array, cut off", cut_off: true, ..ARRAY },
    Shape { name: "array, a record a line", framing: Framing::Array(",\n"), extra_fields: true, ..ARRAY },
    Shape { name: "array, pretty", framing: Framing::Array(",\n"), pretty: true, byte_order_mark: true, crlf: true, ..ARRAY },
    Shape { name: "concatenated", ..CONCATENATED },
    Shape { name: "concatenated, everything", framing: Framing::Concatenated(" "), cut_off: true, ..WILD },
    Shape { name: "pretty", ..PRETTY },
    Shape { name: "pretty, everything, cut off", framing: Framing::Concatenated("\n"), pretty: true, crlf: true, cut_off: true, ..WILD },
    Shape { name: "gzip", packing: Packing::Gzip(1), suffix: ".json.gz", ..FAULTY },
    Shape { name: "gzip, three members, unsaid", packing: Packing::Gzip(3), trailing_comma: true, ..WILD },
    Shape { name: "zstd", packing: Packing::Zstd(1), suffix: ".json.zst", ..FAULTY },
    Shape { name: "zstd, two frames, unsaid", packing: Packing::Zstd(2), suffix: "", framing: Framing::Array(", "), ..WILD },
    Shape { name: "zstd, said to be gzip", packing: Packing::Zstd(1), suffix: ".json.gz", ..CONCATENATED },
    Shape { name: "empty", content: Content::Only(""), ..LINES },
    Shape { name: "byte-order mark and blanks only", content: Content::Only("\u{feff} \r\n\n\t\n"), ..LINES },
    Shape { name: "empty array, gzip", content: Content::Only("[ ]\n"), packing: Packing::Gzip(1), suffix: ".json.gz", ..LINES },
    Shape { name: "hidden by _", prefix: "_", ..HIDDEN },
    Shape { name: "hidden by .", prefix: ".", ..HIDDEN },
    Shape { name: "hidden folder", folder: "2022/_temporary/0/", ..HIDDEN },
];

/// The shape of the object with a record that is too long.
pub(super) static OVERSIZED: Shape = Shape { name: "a record over 16 MiB", content: Content::Oversized, ..LINES };

impl Shape {
    /// Whether each record lies on one line, with nothing before the first and after the last.
    pub fn lines(&self) -> bool {
        self.framing == Framing::Lines
    }

    /// Whether the object is compressed.
    pub fn compressed(&self) -> bool {
        self.packing != Packing::None
    }

    /// Whether the object holds no record that anybody should read.
    pub fn skipped(&self) -> bool {
        matches!(self.content, Content::Hidden | Content::Only(_))
    }
}
