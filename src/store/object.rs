//! Values that are structures of their own, behind the pointer in an entry.

use super::entry::Kind;
use super::events::Class;
use crate::values::hash::Hash;
use crate::values::heap::{Collection, size_class};
use crate::values::list::List;
use crate::values::set::Set;
use crate::values::sorted_set::SortedSet;
use crate::values::stream::Stream;
use crate::values::text::Text;

/// A structure that entries hold, and what the store calls it.
pub trait Stored: Collection {
    /// How an entry marks it.
    const KIND: Kind;
    /// The class of the events that tell of its changes.
    const CLASS: Class;
    /// The structure as one of any kind.
    fn into_object(self: Box<Self>) -> Object;
}

/// What differs between kinds stands in the lines at the macro's only use.
macro_rules! define {
    ($($kind:ident, $class:ident, $name:literal);*) => {
        /// A structure of any kind, owned.
        #[derive(Clone)]
        pub enum Object {
            $(#[doc = concat!("A ", $name, ".")] $kind(Box<$kind>),)*
        }

        /// A structure of any kind, to look at.
        #[derive(Clone, Copy)]
        pub enum ObjectRef<'a> {
            $(#[doc = concat!("A ", $name, ".")] $kind(&'a $kind),)*
        }

        $(impl Stored for $kind {
            const KIND: Kind = Kind::$kind;
            const CLASS: Class = Class::$class;

            fn into_object(self: Box<Self>) -> Object {
                Object::$kind(self)
            }
        })*

        impl Object {
            /// The object to look at.
            pub fn view(&self) -> ObjectRef<'_> {
                match self {
                    $(Self::$kind(object) => ObjectRef::$kind(object),)*
                }
            }

            /// How an entry marks it.
            pub(super) fn kind(&self) -> Kind {
                match self {
                    $(Self::$kind(_) => Kind::$kind,)*
                }
            }

            /// Gives up ownership; only [`Object::from_raw`] may take it back.
            pub(super) fn into_raw(self) -> *mut () {
                match self {
                    $(Self::$kind(object) => Box::into_raw(object).cast(),)*
                }
            }

            /// Takes back an object that [`Object::into_raw`] gave up; `None` for a kind that is no object.
            ///
            /// # Safety
            /// `pointer` came from `into_raw` of an object of this kind, and ownership was not taken back since.
            pub(super) unsafe fn from_raw(kind: Kind, pointer: *mut ()) -> Option<Self> {
                match kind {
                    Kind::Text | Kind::Int | Kind::Packed => None,
                    // SAFETY: the caller vouches for kind and ownership.
                    $(Kind::$kind => Some(Self::$kind(unsafe { Box::from_raw(pointer.cast()) })),)*
                }
            }
        }

        impl<'a> ObjectRef<'a> {
            /// The object behind a pointer that [`Object::into_raw`] gave; `None` for a kind that is no object.
            ///
            /// # Safety
            /// `pointer` came from `into_raw` of an object of this kind, which is not changed or dropped for as long
            /// as `'a`.
            pub(super) unsafe fn from_raw(kind: Kind, pointer: *const ()) -> Option<Self> {
                match kind {
                    Kind::Text | Kind::Int | Kind::Packed => None,
                    // SAFETY: the caller vouches for kind and lifetime.
                    $(Kind::$kind => Some(Self::$kind(unsafe { &*pointer.cast() })),)*
                }
            }

            /// An object of the same contents.
            pub fn cloned(self) -> Object {
                match self {
                    $(Self::$kind(object) => Object::$kind(Box::new(object.clone())),)*
                }
            }

            /// Bytes of all its allocations. O(1).
            pub fn allocated_bytes(self) -> usize {
                match self {
                    $(Self::$kind(object) => size_class(size_of::<$kind>()) + object.heap_bytes(),)*
                }
            }

            /// See [`Collection::elements`].
            pub fn elements(self) -> usize {
                match self {
                    $(Self::$kind(object) => object.elements(),)*
                }
            }

            /// See [`Collection::encoding`].
            pub fn encoding(self) -> &'static str {
                match self {
                    $(Self::$kind(object) => object.encoding(),)*
                }
            }

            /// Redis's name for the type.
            pub fn type_name(self) -> &'static str {
                match self {
                    $(Self::$kind(_) => $name,)*
                }
            }
        }
    };
}

define! {
    Hash, HASH, "hash";
    List, LIST, "list";
    Set, SET, "set";
    SortedSet, SORTED_SET, "zset";
    Stream, STREAM, "stream"
}

/// A value of any type, to look at.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// A text.
    Text(Text<'a>),
    /// Anything else.
    Object(ObjectRef<'a>),
}
