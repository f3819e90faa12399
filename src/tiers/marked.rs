//! Texts that a Forebay packed and marked before it carried them upstream, in replies that are passed on.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::limits::BULK_BYTES_MAX;
use crate::resp::frame::replace_bulks;
use crate::values::compression::{self, MAGIC};

/// The frame with plain texts in place of marked ones. Linear in its bytes; a frame with none is only searched.
pub fn plain(frame: &[u8]) -> Cow<'_, [u8]> {
    static MARK: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(&MAGIC));
    if MARK.find(frame).is_none() {
        return Cow::Borrowed(frame);
    }
    let mut out = Vec::with_capacity(frame.len());
    replace_bulks(
        frame,
        |bytes| compression::marked(bytes, BULK_BYTES_MAX),
        &mut out,
    );
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::{Protocol, Reply};
    use crate::values::compression::{Method, mark, pack};

    fn frame(texts: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, Protocol::Resp3);
        reply.array(texts.len());
        for text in texts {
            reply.bulk(text);
        }
        out
    }

    #[test]
    fn marked_texts_are_shown_plain_and_all_others_as_they_are() {
        let text = b"a text of some length ".repeat(20);
        let marked = mark(&pack(Method::Lz4, &text).unwrap());
        let broken = &marked[..marked.len() - 1];
        let reply = frame(&[b"before", &marked, &MAGIC, broken, &text]);
        let shown = frame(&[b"before", &text, &MAGIC, broken, &text]);
        assert_eq!(plain(&reply), shown);
        assert!(matches!(plain(&shown[..shown.len()]), Cow::Owned(_)));
        assert!(matches!(plain(&frame(&[&text])), Cow::Borrowed(_)));
    }
}
