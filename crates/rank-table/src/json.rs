//! JSON read leniently: what has the wrong shape is kept as such, so that all faults can be reported at once.
//!
//! Values that nobody asked for are passed over without being stored. Where a key is there twice, the last one counts, as
//! for the vendor's scripts.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// What a value is, where it is not what is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Boolean,
    /// Negative, with a fraction, or beyond 64 bits.
    Number,
    Text,
    List,
    Object,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Null => "null",
            Kind::Boolean => "a boolean",
            Kind::Number => "a number",
            Kind::Text => "text",
            Kind::List => "a list",
            Kind::Object => "an object",
        })
    }
}

/// A type that something is made of from every JSON value.
pub(crate) trait Shape<'de>: Sized {
    /// From a value for which there is nothing better.
    fn other(kind: Kind) -> Self;

    /// From text.
    fn text(_: Cow<'de, str>) -> Self {
        Self::other(Kind::Text)
    }

    /// From a number without sign and fraction.
    fn number(_: u64) -> Self {
        Self::other(Kind::Number)
    }

    /// From a list.
    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::other(Kind::List))
    }

    /// From an object.
    fn object<A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::other(Kind::Object))
    }
}

/// Deserializes any [`Shape`].
pub(crate) struct As<S>(pub S);

impl<'de, S: Shape<'de>> Deserialize<'de> for As<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor(PhantomData)).map(As)
    }
}

struct ShapeVisitor<S>(PhantomData<S>);

impl<'de, S: Shape<'de>> Visitor<'de> for ShapeVisitor<S> {
    type Value = S;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<S, E> {
        Ok(S::other(Kind::Null))
    }

    fn visit_bool<E>(self, _: bool) -> Result<S, E> {
        Ok(S::other(Kind::Boolean))
    }

    fn visit_u64<E>(self, number: u64) -> Result<S, E> {
        Ok(S::number(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<S, E> {
        Ok(S::other(Kind::Number))
    }

    fn visit_f64<E>(self, _: f64) -> Result<S, E> {
        Ok(S::other(Kind::Number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<S, E> {
        Ok(S::text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<S, E> {
        Ok(S::text(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<S, E> {
        Ok(S::text(Cow::Owned(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<S, A::Error> {
        S::list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<S, A::Error> {
        S::object(object)
    }
}

/// Text or a whole number, or what is there instead.
#[derive(Debug, Default)]
pub(crate) enum Scalar<'de> {
    #[default]
    Missing,
    Number(u64),
    Text(Cow<'de, str>),
    Other(Kind),
}

impl<'de> Shape<'de> for Scalar<'de> {
    fn other(kind: Kind) -> Self {
        Scalar::Other(kind)
    }

    fn text(text: Cow<'de, str>) -> Self {
        Scalar::Text(text)
    }

    fn number(number: u64) -> Self {
        Scalar::Number(number)
    }
}

/// A list, or what is there instead.
#[derive(Debug, Default)]
pub(crate) enum List<T> {
    #[default]
    Missing,
    Is {
        /// The first entries, as many as the type allows in a list.
        kept: Vec<Entry<T>>,
        /// How many there are in the file.
        count: usize,
    },
    Other(Kind),
}

/// An entry of a list: an object, or what is there instead.
#[derive(Debug)]
pub(crate) enum Entry<T> {
    Is(T),
    Other(Kind),
}

/// A JSON object of which some keys are wanted.
pub(crate) trait Object<'de>: Default {
    /// How many of them are kept of one list.
    const MAX_IN_LIST: usize;

    /// Takes the value of `key`, or passes over it.
    fn take<A: MapAccess<'de>>(&mut self, key: &str, values: &mut A) -> Result<(), A::Error>;
}

/// A key, borrowed from the file where it has no escapes.
struct Key<'de>(Cow<'de, str>);

impl<'de> Shape<'de> for Key<'de> {
    fn other(_: Kind) -> Self {
        // Keys of JSON are text; the parser refuses others before they come here.
        Key(Cow::Borrowed(""))
    }

    fn text(text: Cow<'de, str>) -> Self {
        Key(text)
    }
}

impl<'de, T: Object<'de>> Shape<'de> for Entry<T> {
    fn other(kind: Kind) -> Self {
        Entry::Other(kind)
    }

    fn object<A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        let mut taken = T::default();
        while let Some(As(Key(key))) = object.next_key::<As<Key<'de>>>()? {
            taken.take(&key, &mut object)?;
        }
        Ok(Entry::Is(taken))
    }
}

impl<'de, T: Object<'de>> Shape<'de> for List<T> {
    fn other(kind: Kind) -> Self {
        List::Other(kind)
    }

    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut kept = Vec::new();
        while kept.len() < T::MAX_IN_LIST {
            let Some(As(entry)) = list.next_element::<As<Entry<T>>>()? else { break };
            kept.push(entry);
        }
        let mut count = kept.len();
        // Asked only of a list that was not read to its end: a parser may be asked for the end once.
        if count == T::MAX_IN_LIST {
            while list.next_element::<IgnoredAny>()?.is_some() {
                count += 1;
            }
        }
        Ok(List::Is { kept, count })
    }
}
