//! What operators may ask of the tiers, and have them do. Commands and HTTP see this and nothing behind it.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::commands::error::Error;
use crate::stats::findings::Finding;
use crate::stats::memory::Human;

/// What the control answers, at once.
pub type Result<T> = std::result::Result<T, Error>;

/// What it answers after a while. Dropped, it is given up; what was already done stays done.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// Figures with their names, in the order in which they are shown. Names are in lower case, with `-` between words.
pub type Page = Vec<(Cow<'static, str>, Figure)>;

/// One value of a page. What is no number and no page is shown as people read it.
#[derive(Debug, Clone, PartialEq)]
pub enum Figure {
    /// A count, or whatever the name says.
    Number(u64),
    /// A word or a sentence.
    Text(Cow<'static, str>),
    /// Bytes of a stranger, such as a key.
    Raw(Box<[u8]>),
    /// `1.50K`
    Bytes(u64),
    /// `12 ms`
    Milliseconds(u64),
    /// `93.1%` of the second number are the first; `-` of nothing.
    Share(u64, u64),
    /// A page in a page.
    Page(Page),
}

impl Figure {
    /// A text that is put together.
    pub fn text(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Text(text.into())
    }
}

impl fmt::Display for Figure {
    /// As people read it; a page as its names and values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
            Self::Raw(bytes) => f.write_str(&String::from_utf8_lossy(bytes)),
            Self::Bytes(bytes) => write!(f, "{}", Human(*bytes)),
            Self::Milliseconds(ms) => write!(f, "{ms} ms"),
            Self::Share(_, 0) => f.write_str("-"),
            Self::Share(part, whole) => write!(f, "{:.1}%", *part as f64 / *whole as f64 * 100.0),
            Self::Page(page) => {
                for (index, (name, figure)) in page.iter().enumerate() {
                    let separator = if index == 0 { "" } else { " " };
                    write!(f, "{separator}{name}={figure}")?;
                }
                Ok(())
            }
        }
    }
}

/// Which copies are to go. In all databases, as upstream's own feed names keys without theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Those of these keys.
    Keys(Vec<Box<[u8]>>),
    /// Those of keys that this glob matches.
    Match(Box<[u8]>),
    /// Those of keys in which this regular expression finds something.
    Regex(String),
    /// All of the namespace with this name.
    Namespace(String),
}

/// Who removes copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// This server.
    Here,
    /// This server and all others in front of the same upstream.
    Everywhere,
}

/// Which keys are to be brought in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// These.
    Keys(Vec<Box<[u8]>>),
    /// Those of upstream's that this glob matches.
    Match(Box<[u8]>),
}

/// Which writes that upstream refused for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letters {
    /// The one with this number.
    One(u64),
    /// All of them.
    All,
}

/// The tiers, as operators see them. Nothing here is on the way of a request, but none of it may make one wait either:
/// whatever visits the whole store does so shard by shard, with rests.
pub trait TierControl: Send + Sync {
    /// How everything is doing, on one page.
    fn status(&self) -> Page;

    /// What was counted since the start or the last reset: of all namespaces, or of the one with this name. Fails if
    /// there is none.
    fn stats(&self, namespace: Option<&[u8]>) -> Result<Page>;

    /// What is not as it should be, the worst first.
    fn findings(&self) -> Vec<Finding>;

    /// The addresses of upstream, in the order in which they are tried.
    fn nodes(&self) -> Vec<Page>;

    /// By which policy fetched values are kept, and how often they were; of all namespaces, or of the one with this
    /// name. Fails if there is none.
    fn promotion(&self, namespace: Option<&[u8]>) -> Result<Page>;

    /// Whether as many keys are here as readiness waits for.
    fn is_warm(&self) -> bool;

    /// Sets what the tiers count to zero. The hits of L1 are what the store counts less what had to be fetched first, so
    /// the store's counters are to be reset with them.
    fn reset_counters(&self);

    /// Has upstream asked again, whatever came before.
    fn close_breaker(&self);

    /// Removes copies. Returns how many there were here; `None` where that is not known, because they were made old by
    /// their version alone. Fails if the expression can't be read or there is no such namespace; then nothing was
    /// removed. With [`Reach::Everywhere`] it fails also when the others could not be told; those here are gone then.
    fn invalidate(&self, target: Target, reach: Reach) -> Later<'_, Option<u64>>;

    /// Has keys of a database brought in, beside everything else. Returns how many were queued.
    fn warm(&self, selection: Selection, db: usize) -> Later<'_, u64>;

    /// Waits until upstream has everything that is dirty at the beginning, for so long at most (`None`: for ever).
    /// Returns how many keys are dirty if the time was over before, else 0.
    fn drain(&self, patience: Option<Duration>) -> Later<'_, u64>;

    /// How many writes there are that upstream refused for good.
    fn dead_letters_len(&self) -> u64;

    /// The oldest `count` of them.
    fn dead_letters(&self, count: usize) -> Later<'_, Vec<Page>>;

    /// Has them carried once more. Returns how many that are.
    fn retry_dead_letters(&self, which: Letters) -> Later<'_, u64>;

    /// Forgets them: these writes are lost. Returns how many that are.
    fn drop_dead_letters(&self, which: Letters) -> Later<'_, u64>;

    /// Compares so many copies, chosen at random, with upstream, and removes those that differ. Returns how many were
    /// compared, differed, and were removed.
    fn check(&self, count: usize) -> Later<'_, Page>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        let page = vec![
            ("link".into(), Figure::text("up")),
            ("pending".into(), Figure::Number(3)),
        ];
        for (figure, text) in [
            (Figure::Bytes(1536), "1.50K"),
            (Figure::Milliseconds(12), "12 ms"),
            (Figure::Share(931, 1000), "93.1%"),
            (Figure::Share(0, 0), "-"),
            (Figure::Raw(b"a\xff".as_slice().into()), "a\u{fffd}"),
            (Figure::Page(page), "link=up pending=3"),
        ] {
            assert_eq!(figure.to_string(), text);
        }
    }
}
