//! As much of HTTP/1.1 as both ends of a loopback benchmark need: heads,
//! bodies by length, bodies in chunks. Not a general client: no trailers with
//! meaning, no pipelining, no 1xx. Used by `upstream` and `run`.
//!
//! Hand-written because the tool shares two cores with what it measures: one
//! buffer a connection, nothing allocated per message.

use std::io::{Error, ErrorKind, Result};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Larger heads than this are an error: ours are below 2 KiB.
const HEAD_MAX: usize = 64 * 1024;

/// How the body's end is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// By `content-length`; 0 when neither header is there.
    Fixed(usize),
    /// By a last chunk of size 0.
    Chunked,
}

/// What we keep of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The status of a response; 0 for a request.
    pub(crate) status: u16,
    /// How long the body is.
    pub(crate) length: Length,
    /// The other side closes the connection after this message.
    pub(crate) close: bool,
}

/// One connection and the bytes that were read from it but not used yet.
pub(crate) struct Wire {
    /// The socket; writes go to it directly.
    pub(crate) socket: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Wire {
    /// Takes over `socket`.
    pub(crate) fn new(socket: TcpStream) -> Result<Self> {
        // Each event of a stream has to leave at once.
        socket.set_nodelay(true)?;
        Ok(Self { socket, buffer: vec![0; 2 * HEAD_MAX], start: 0, end: 0 })
    }

    /// Reads a head; `None` when the other side closed before its first byte.
    pub(crate) async fn head(&mut self) -> Result<Option<Head>> {
        let mut searched = 0;
        loop {
            let bytes = &self.buffer[self.start..self.end];
            if let Some(at) = find(&bytes[searched..], b"\r\n\r\n") {
                let head = parse_head(&bytes[..searched + at])?;
                self.start += searched + at + 4;
                return Ok(Some(head));
            }
            if bytes.len() > HEAD_MAX {
                return Err(invalid("head too long"));
            }
            searched = bytes.len().saturating_sub(3);
            if !self.fill().await? {
                return if self.start == self.end {
                    Ok(None)
                } else {
                    Err(ErrorKind::UnexpectedEof.into())
                };
            }
        }
    }

    /// Reads the body to its end, giving each piece of it to `each`.
    pub(crate) async fn body(&mut self, length: Length, mut each: impl FnMut(&[u8])) -> Result<()> {
        match length {
            Length::Fixed(size) => self.take(size, &mut each).await,
            Length::Chunked => loop {
                let size = self.chunk_size().await?;
                self.take(size, &mut each).await?;
                self.take(2, &mut |_| {}).await?;
                if size == 0 {
                    return Ok(());
                }
            },
        }
    }

    async fn take(&mut self, mut size: usize, each: &mut impl FnMut(&[u8])) -> Result<()> {
        while size > 0 {
            if self.start == self.end && !self.fill().await? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let part = size.min(self.end - self.start);
            each(&self.buffer[self.start..self.start + part]);
            self.start += part;
            size -= part;
        }
        Ok(())
    }

    async fn chunk_size(&mut self) -> Result<usize> {
        loop {
            let bytes = &self.buffer[self.start..self.end];
            if let Some(at) = find(bytes, b"\r\n") {
                let digits = bytes[..at].split(|&byte| byte == b';').next().unwrap_or_default();
                let size = std::str::from_utf8(digits)
                    .ok()
                    .and_then(|text| usize::from_str_radix(text.trim(), 16).ok())
                    .ok_or_else(|| invalid("bad chunk size"))?;
                self.start += at + 2;
                return Ok(size);
            }
            if bytes.len() > 256 {
                return Err(invalid("chunk size too long"));
            }
            if !self.fill().await? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Reads once; false at the end.
    async fn fill(&mut self) -> Result<bool> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.buffer.len() - self.end < HEAD_MAX / 2 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let read = self.socket.read(&mut self.buffer[self.end..]).await?;
        self.end += read;
        Ok(read > 0)
    }
}

/// Where `needle` begins in `haystack`.
pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn parse_head(bytes: &[u8]) -> Result<Head> {
    let mut lines =
        bytes.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = lines.next().unwrap_or_default();
    let status = match first.strip_prefix(b"HTTP/1.1 ") {
        Some(rest) => {
            number(rest.get(..3).unwrap_or_default()).ok_or_else(|| invalid("bad status"))? as u16
        }
        None => 0,
    };
    let mut head = Head { status, length: Length::Fixed(0), close: false };
    for line in lines {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            head.length =
                Length::Fixed(number(value).ok_or_else(|| invalid("bad content-length"))?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding")
            && value.eq_ignore_ascii_case(b"chunked")
        {
            head.length = Length::Chunked;
        } else if name.eq_ignore_ascii_case(b"connection") && value.eq_ignore_ascii_case(b"close") {
            head.close = true;
        }
    }
    Ok(head)
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    /// The head and the body that `bytes` are read as, when they come in
    /// pieces of `size`.
    async fn read(bytes: &[u8], size: usize) -> Result<(Option<Head>, Vec<u8>)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let write = async {
            let mut socket = TcpStream::connect(address).await?;
            socket.set_nodelay(true)?;
            for piece in bytes.chunks(size) {
                socket.write_all(piece).await?;
                tokio::task::yield_now().await;
            }
            socket.shutdown().await
        };
        let read = async {
            let mut wire = Wire::new(listener.accept().await?.0)?;
            let mut body = Vec::new();
            let head = wire.head().await?;
            if let Some(head) = head {
                wire.body(head.length, |part| body.extend_from_slice(part)).await?;
            }
            Ok((head, body))
        };
        let (_, outcome) = tokio::join!(write, read);
        outcome
    }

    #[tokio::test]
    async fn messages_are_read_whatever_the_pieces() {
        let fixed =
            b"HTTP/1.1 529 Overloaded\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
        let chunked = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
        for size in [1, 2, 3, 7, 1000] {
            let (head, body) = read(fixed, size).await.expect("a good message");
            assert_eq!(head, Some(Head { status: 529, length: Length::Fixed(5), close: true }));
            assert_eq!(body, b"hello");
            let (head, body) = read(chunked, size).await.expect("a good message");
            assert_eq!(head, Some(Head { status: 0, length: Length::Chunked, close: false }));
            assert_eq!(body, b"hello");
        }
    }

    #[tokio::test]
    async fn a_body_larger_than_the_buffer_is_read_whole() {
        let size = 5 * HEAD_MAX;
        let mut bytes = format!("POST / HTTP/1.1\r\ncontent-length: {size}\r\n\r\n").into_bytes();
        bytes.resize(bytes.len() + size, b'x');
        let (_, body) = read(&bytes, 10_000).await.expect("a good message");
        assert_eq!(body.len(), size);
    }

    #[tokio::test]
    async fn nothing_is_no_message_and_half_of_one_is_an_error() {
        assert_eq!(read(b"", 1).await.expect("a clean close"), (None, vec![]));
        for bad in [
            &b"HTTP/1.1 2"[..],
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell",
            b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
            b"HTTP/1.1 xxx\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        ] {
            assert!(read(bad, 3).await.is_err(), "{}", String::from_utf8_lossy(bad));
        }
        let long = vec![b'x'; 3 * HEAD_MAX];
        assert!(read(&long, 10_000).await.is_err());
    }
}
