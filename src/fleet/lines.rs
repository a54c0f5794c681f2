//! Lines of a stream, one at a time, in one buffer.

use std::io;

use futures::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// Longest line that is looked at. etcd takes 1.5 MB an object; as JSON it can be a few times that.
const MAX_LINE: usize = 16 * 1024 * 1024;
/// What is kept of the buffer after a long line.
const USUAL: usize = 64 * 1024;

/// The buffer.
#[derive(Debug, Default)]
pub struct Lines(Vec<u8>);

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// Without its line feed.
    Whole(&'a [u8]),
    /// Longer than [`MAX_LINE`]: passed over.
    TooLarge,
    /// The stream ended within a line.
    Truncated,
    /// The stream ended.
    End,
}

impl Lines {
    /// Forgets what is left of another stream.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Reads the next line. If it is dropped before it is done, what it has read is lost: give the stream up then.
    pub async fn next(&mut self, stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Line<'_>> {
        self.0.clear();
        self.0.shrink_to(USUAL);
        let mut too_large = false;
        loop {
            let read = (&mut *stream).take(MAX_LINE as u64).read_until(b'\n', &mut self.0).await?;
            let ends = self.0.last() == Some(&b'\n');
            match (read, ends) {
                (0, _) if too_large => return Ok(Line::Truncated),
                (0, _) => return Ok(Line::End),
                (_, true) if too_large => return Ok(Line::TooLarge),
                (_, true) => {
                    self.0.pop();
                    return Ok(Line::Whole(&self.0));
                }
                (MAX_LINE, false) => {
                    too_large = true;
                    self.0.clear();
                }
                (_, false) => return Ok(Line::Truncated),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::io::Cursor;

    use super::*;

    #[tokio::test]
    async fn lines_come_one_by_one() {
        let (mut lines, mut stream) = (Lines::default(), Cursor::new("a\n\nbc"));
        assert_eq!(lines.next(&mut stream).await.unwrap(), Line::Whole(b"a"));
        assert_eq!(lines.next(&mut stream).await.unwrap(), Line::Whole(b""));
        assert_eq!(lines.next(&mut stream).await.unwrap(), Line::Truncated);
        assert_eq!(lines.next(&mut stream).await.unwrap(), Line::End);
    }

    #[tokio::test]
    async fn a_line_without_end_is_passed_over_and_its_memory_is_given_back() {
        let text = format!("{}\nb\n", "x".repeat(2 * MAX_LINE + 5));
        let (mut lines, mut stream) = (Lines::default(), Cursor::new(text));
        assert_eq!(lines.next(&mut stream).await.unwrap(), Line::TooLarge);
        assert_eq!(lines.next(&mut stream).await.unwrap(), Line::Whole(b"b"));
        assert!(lines.0.capacity() <= USUAL, "{}", lines.0.capacity());
    }
}
