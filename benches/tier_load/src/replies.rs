//! Replies to GET and SET, taken apart no further than they are counted.

use crate::Result;

/// How many of each kind came.
#[derive(Default)]
pub struct Tally {
    pub values: u64,
    pub nils: u64,
    pub oks: u64,
    pub errors: u64,
    pub first_error: Option<String>,
}

impl Tally {
    /// Takes the first reply from `bytes`: how long it is, `None` if it is not whole.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Option<usize>> {
        let Some(line_end) = bytes.iter().position(|&byte| byte == b'\n') else {
            return Ok(None);
        };
        let after = line_end + 1;
        match bytes[0] {
            b'+' => self.oks += 1,
            b'-' => self.note_error(&bytes[1..line_end]),
            b'_' => self.nils += 1,
            b'$' => return Ok(self.take_bulk(bytes, after)),
            other => return Err(format!("a reply begins with {:?}", char::from(other)).into()),
        }
        Ok(Some(after))
    }

    fn take_bulk(&mut self, bytes: &[u8], after: usize) -> Option<usize> {
        if bytes[1] == b'-' {
            self.nils += 1;
            return Some(after);
        }
        let digits = &bytes[1..after - 2];
        let len = digits
            .iter()
            .fold(0usize, |len, digit| len * 10 + usize::from(digit - b'0'));
        let end = after + len + 2;
        if bytes.len() < end {
            return None;
        }
        self.values += 1;
        Some(end)
    }

    fn note_error(&mut self, line: &[u8]) {
        self.errors += 1;
        if self.first_error.is_none() {
            let text = String::from_utf8_lossy(line);
            self.first_error = Some(text.trim_end().replace(['"', '\\'], "'"));
        }
    }
}
