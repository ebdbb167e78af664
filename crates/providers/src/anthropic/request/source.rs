//! One `source` of a block: an image, a PDF or a plain text sent along, or a
//! reference. Base64 is decoded as far as an image's size or a PDF's pages need, never kept.

use tokens::{FeatureScanner, Features, overhead};

use super::pdf::Pages;

/// What a source turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// An image, and its size in pixels where its head tells.
    Image(Option<(u32, u32)>),
    /// Another document: its pages.
    Document(u64),
    /// Text, to be counted as such.
    Text(Features),
    /// Somewhere else: by address or by file id.
    Remote,
    /// Nothing of its own (its content is blocks).
    Nothing,
}

/// A source that is being read. Its keys come in any order.
#[derive(Debug, Default)]
pub(super) struct Source {
    pub(super) kind: Kind,
    pub(super) image: Option<bool>,
    has_data: bool,
    text: FeatureScanner,
    digits: u64,
    head: Head,
}

/// `type` of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Unknown,
    Base64,
    Text,
    Remote,
    Content,
}

impl Kind {
    pub(super) fn of(name: &[u8]) -> Self {
        match name {
            b"base64" => Self::Base64,
            b"text" => Self::Text,
            b"url" | b"file" => Self::Remote,
            b"content" => Self::Content,
            _ => Self::Unknown,
        }
    }
}

impl Source {
    /// More of `data`, decoded from JSON.
    pub(super) fn data(&mut self, piece: &[u8]) {
        self.has_data = true;
        if self.kind != Kind::Base64 {
            self.text.feed(piece);
        }
        if self.kind != Kind::Text {
            self.digits += piece.len() as u64;
            self.head.feed(piece);
        }
    }

    /// It is complete.
    pub(super) fn settle(self) -> Sent {
        match self.kind {
            Kind::Base64 => {
                let size = self.head.size();
                if self.image.unwrap_or(self.head.looks_like_image()) {
                    Sent::Image(size)
                } else {
                    let bytes = self.digits / 4 * 3 + self.digits % 4 * 3 / 4;
                    let pages = self.head.pages.count(bytes);
                    Sent::Document(pages.unwrap_or_else(|| overhead::pages(bytes)))
                }
            }
            Kind::Remote => Sent::Remote,
            Kind::Text => Sent::Text(self.text.features()),
            Kind::Unknown | Kind::Content if self.has_data => Sent::Text(self.text.features()),
            Kind::Unknown => Sent::Remote,
            Kind::Content => Sent::Nothing,
        }
    }
}

/// The head of a base64 string: enough for an image's size, or a PDF's pages.
///
/// Formats: PNG (W3C 2003, IHDR), GIF89a (logical screen), RFC 9649 (WebP:
/// VP8, VP8L, VP8X), ITU-T T.81 (JPEG: the first SOF segment, behind segments
/// that are skipped by their length, for at most [`JPEG_BYTES_MAX`]).
#[derive(Debug, Default)]
struct Head {
    /// Bits not yet a byte.
    bits: u32,
    count: u32,
    bytes: [u8; 32],
    length: usize,
    jpeg: Jpeg,
    jpeg_bytes: u32,
    pages: Pages,
    stopped: bool,
}

/// Where a JPEG's size must have come: EXIF, ICC and thumbnail segments hold at
/// most 64 KiB each.
const JPEG_BYTES_MAX: u32 = 1 << 20;

impl Head {
    fn feed(&mut self, piece: &[u8]) {
        for &digit in piece {
            if self.stopped {
                return;
            }
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' | b'-' => 62,
                b'/' | b'_' => 63,
                b'\n' | b'\r' | b' ' | b'\t' => continue,
                _ => {
                    self.stopped = true;
                    return;
                }
            };
            self.bits = self.bits << 6 | u32::from(value);
            self.count += 6;
            if self.count >= 8 {
                self.count -= 8;
                self.byte((self.bits >> self.count) as u8);
            }
        }
    }

    fn byte(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.length) {
            *slot = byte;
            self.length += 1;
        }
        let jpeg = self.length < 2 || self.bytes.starts_with(&[0xFF, 0xD8]);
        if jpeg {
            self.jpeg_bytes += 1;
            if self.jpeg_bytes > 2 {
                self.jpeg.feed(byte);
            }
        }
        let full = if self.bytes.starts_with(b"%PDF") {
            !self.pages.feed(byte)
        } else if jpeg {
            self.jpeg_bytes == JPEG_BYTES_MAX || self.jpeg == Jpeg::Ended
        } else {
            self.length == self.bytes.len()
        };
        self.stopped = full || matches!(self.jpeg, Jpeg::Size(..));
    }

    fn looks_like_image(&self) -> bool {
        let head = &self.bytes[..self.length];
        let webp = head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP".as_slice());
        webp || [b"\x89PNG".as_slice(), b"GIF8", b"\xFF\xD8\xFF"]
            .iter()
            .any(|m| head.starts_with(m))
    }

    /// Width and height in pixels, both at least 1.
    fn size(&self) -> Option<(u32, u32)> {
        let head = &self.bytes[..self.length];
        let u16le =
            |i: usize| head.get(i..i + 2).map(|b| u32::from(u16::from_le_bytes([b[0], b[1]])));
        let u24le = |i: usize| Some(u16le(i)? | u32::from(*head.get(i + 2)?) << 16);
        let u32be =
            |i: usize| head.get(i..i + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
        let (width, height) = if head.starts_with(b"\x89PNG\r\n\x1a\n") {
            (u32be(16)?, u32be(20)?)
        } else if head.starts_with(b"GIF8") {
            (u16le(6)?, u16le(8)?)
        } else if head.starts_with(b"RIFF") && head.get(8..12)? == b"WEBP" {
            match head.get(12..16)? {
                b"VP8 " => (u16le(26)? & 0x3FFF, u16le(28)? & 0x3FFF),
                b"VP8L" => {
                    let bits = u16le(21)? | u16le(23)? << 16;
                    ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
                }
                b"VP8X" => (u24le(24)? + 1, u24le(27)? + 1),
                _ => return None,
            }
        } else if let Jpeg::Size(width, height) = self.jpeg {
            (width, height)
        } else {
            return None;
        };
        (width > 0 && height > 0).then_some((width, height))
    }
}

/// A walk over JPEG segments, after the first two bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Jpeg {
    #[default]
    Marker,
    /// After 0xFF.
    Code,
    /// Of a segment's length, high byte first.
    Length {
        sof: bool,
        high: Option<u8>,
    },
    Skip {
        left: u32,
    },
    /// Precision, height, width: five bytes.
    Frame {
        read: u8,
        height: u16,
        width: u16,
    },
    Size(u32, u32),
    Ended,
}

impl Jpeg {
    fn feed(&mut self, byte: u8) {
        *self = match *self {
            Self::Marker => {
                if byte == 0xFF {
                    Self::Code
                } else {
                    Self::Ended
                }
            }
            Self::Code => match byte {
                0xFF => Self::Code,
                0x01 | 0xD0..=0xD7 => Self::Marker,
                // End of image, start of scan: the frame header must have come.
                0x00 | 0xD9 | 0xDA => Self::Ended,
                // SOF0-15 without DHT (C4), JPG (C8), DAC (CC).
                0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => {
                    Self::Length { sof: true, high: None }
                }
                _ => Self::Length { sof: false, high: None },
            },
            Self::Length { sof, high: None } => Self::Length { sof, high: Some(byte) },
            Self::Length { sof: true, .. } => Self::Frame { read: 0, height: 0, width: 0 },
            Self::Length { high: Some(high), .. } => {
                match (u32::from(high) << 8 | u32::from(byte)).checked_sub(2) {
                    Some(0) => Self::Marker,
                    Some(left) => Self::Skip { left },
                    None => Self::Ended,
                }
            }
            Self::Skip { left: 1 } => Self::Marker,
            Self::Skip { left } => Self::Skip { left: left - 1 },
            Self::Frame { read, height, width } => match read {
                0 => Self::Frame { read: 1, height, width },
                1 | 2 => {
                    Self::Frame { read: read + 1, height: height << 8 | u16::from(byte), width }
                }
                3 => Self::Frame { read: 4, height, width: u16::from(byte) },
                _ => Self::Size(u32::from(width) << 8 | u32::from(byte), u32::from(height)),
            },
            done @ (Self::Size(..) | Self::Ended) => done,
        };
    }
}
