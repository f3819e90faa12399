//! The numbers by which payloads tell in which form their value is written.

pub(super) const TEXT: u8 = 0;
pub(super) const LIST: u8 = 1;
pub(super) const SET: u8 = 2;
/// Scores are texts.
pub(super) const SORTED_SET: u8 = 3;
pub(super) const HASH: u8 = 4;
/// Scores are in their eight bytes.
pub(super) const SORTED_SET_2: u8 = 5;
pub(super) const HASH_ZIPMAP: u8 = 9;
pub(super) const LIST_ZIPLIST: u8 = 10;
pub(super) const SET_INTSET: u8 = 11;
pub(super) const SORTED_SET_ZIPLIST: u8 = 12;
pub(super) const HASH_ZIPLIST: u8 = 13;
/// A row of ziplists.
pub(super) const LIST_QUICKLIST: u8 = 14;
pub(super) const STREAM: u8 = 15;
pub(super) const HASH_LISTPACK: u8 = 16;
pub(super) const SORTED_SET_LISTPACK: u8 = 17;
/// A row of listpacks, or of single large elements.
pub(super) const LIST_QUICKLIST_2: u8 = 18;
/// With the first id, the largest removed one, and counts of what was ever added and read.
pub(super) const STREAM_2: u8 = 19;
pub(super) const SET_LISTPACK: u8 = 20;
/// Also with the time when a consumer was active.
pub(super) const STREAM_3: u8 = 21;
/// Deadlines of fields as release candidates of Redis 7.4 wrote them; see [`VALKEY_VERSION`].
pub(super) const HASH_DEADLINES_EARLY: u8 = 22;
/// Beside the early form, in a listpack.
pub(super) const HASH_LISTPACK_DEADLINES_EARLY: u8 = 23;
/// Deadlines of fields, relative to the first of them.
pub(super) const HASH_DEADLINES: u8 = 24;
/// Deadlines of fields, in a listpack.
pub(super) const HASH_LISTPACK_DEADLINES: u8 = 25;
/// Deadlines of fields as Valkey writes them: its number for what is another form in Redis.
pub(super) const HASH_DEADLINES_VALKEY: u8 = 22;

/// From this version on payloads are Valkey's, which numbers new forms by itself.
pub(super) const VALKEY_VERSION: u16 = 80;
