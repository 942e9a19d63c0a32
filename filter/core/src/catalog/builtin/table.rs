//! The generated table, unpacked once and read where it lies: nothing of it is parsed.
//!
//! `filter/core/catalog/table.py` writes it and says what stands where. Everything is looked up with checks, so that a
//! broken table knows nothing rather than something wrong.

use std::ops::Range;

use crate::packed::CATALOG;

const MAGIC: &[u8] = b"HXC1";
const HEAD: usize = 16;
/// Words below this are one byte of a name.
const ONE_BYTE_WORDS: u8 = 0x80;
const API_BYTES: usize = 22;
const CONDITION_BYTES: usize = 5;

/// The table's sections.
#[derive(Clone, Copy, Debug)]
pub(in crate::catalog) struct Table {
    root: usize,
    significant: u16,
    /// The first and the last text that is a custom verb of Google's, `:query`.
    verbs: (u16, u16),
    text_offsets: &'static [u8],
    texts: &'static str,
    text_index: &'static [u8],
    word_offsets: &'static [u8],
    words: &'static [u8],
    names: &'static [u8],
    nodes: &'static [u8],
    conditions: &'static [u8],
    lists: &'static [u8],
    operations: &'static [u8],
    apis: &'static [u8],
}

/// The number of a text in the table's dictionary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::catalog) struct TextNumber(u16);

/// The place of an action's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::catalog) struct NameAt(u32);

/// One API at its hosts.
#[derive(Clone, Copy, Debug)]
pub(in crate::catalog) struct Api {
    pub(super) number: u16,
    pub(super) service: TextNumber,
    pub(super) speaks: Speaks,
    /// The root of its routes; 0 without any.
    pub(super) routes: usize,
    operations: usize,
    operation_count: usize,
    pub(super) target_prefix: TextNumber,
    pub(super) version: TextNumber,
    pub(super) cbor_service: TextNumber,
    /// How many texts, from the first on, are keys of its operations alone.
    exclusive: u16,
    signing: usize,
}

/// How an API is spoken to, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::catalog) struct Speaks(u16);

/// One piece of a condition on a route.
#[derive(Clone, Copy, Debug)]
pub(super) enum Condition {
    QueryPresent(TextNumber),
    QueryValue(TextNumber, TextNumber),
    QueryAbsent(TextNumber),
    HeaderPresent(TextNumber),
    HeaderAbsent(TextNumber),
}

/// An action's name, put together from its words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    bytes: [u8; Name::LONGEST],
    length: usize,
}

// === impl Table ===

impl Table {
    /// The table that is built in.
    pub(in crate::catalog) fn builtin() -> Self {
        let bytes = CATALOG.bytes();
        let section = |number: usize| {
            let at = |number: usize| u32_at(bytes, HEAD + 4 * number);
            at(number).zip(at(number + 1)).and_then(|(from, to)| bytes.get(from..to)).unwrap_or_default()
        };
        let is_ours = bytes.starts_with(MAGIC);
        let table = Self {
            root: u32_at(bytes, 4).filter(|_| is_ours).unwrap_or_default(),
            significant: u32_at(bytes, 8).and_then(|count| u16::try_from(count).ok()).unwrap_or_default(),
            text_offsets: section(0),
            texts: std::str::from_utf8(section(1)).unwrap_or_default(),
            text_index: section(2),
            word_offsets: section(3),
            words: section(4),
            names: section(5),
            nodes: section(6),
            conditions: section(7),
            lists: section(8),
            operations: section(9),
            apis: section(10),
            verbs: (u16::MAX, 0),
        };
        Self { verbs: table.find_verbs(), ..table }
    }

    /// The generator numbers verbs one after the other. If it did not, what stands between them would be taken for
    /// verbs too, which refuses more and allows nothing.
    fn find_verbs(&self) -> (u16, u16) {
        let count = u16::try_from(self.text_offsets.len() / 3).unwrap_or(u16::MAX);
        let is_verb =
            |number: &u16| self.text_bytes(TextNumber(*number)).is_some_and(|text| text.starts_with(b":"));
        (0..count)
            .filter(is_verb)
            .fold((u16::MAX, 0), |(first, last), verb| (first.min(verb), last.max(verb)))
    }

    /// Whether these numbers, which stand in their order, have one of a custom verb among them.
    pub(super) fn has_verb(&self, numbers: &[u8]) -> bool {
        let (first, last) = self.verbs;
        let at = lower_bound(numbers, first);
        u16_at(numbers, at * 2).is_some_and(|number| number <= last)
    }

    /// Where `number` stands among these numbers, which stand in their order.
    #[inline]
    pub(super) fn place_among(&self, numbers: &[u8], number: TextNumber) -> Option<usize> {
        let at = lower_bound(numbers, number.0);
        (u16_at(numbers, at * 2)? == number.0).then_some(at)
    }

    /// The root of the hosts.
    pub(super) fn hosts(&self) -> usize {
        self.root
    }

    /// The content of the node at `offset` and everything behind it.
    #[inline]
    pub(super) fn node(&self, offset: usize) -> Option<&'static [u8]> {
        self.nodes.get(offset..)
    }

    /// The number of `text`, if the table has it.
    #[inline]
    pub(super) fn number(&self, text: &[u8]) -> Option<TextNumber> {
        let mask = (self.text_index.len() / 2).checked_sub(1)?;
        let mut slot = text_hash(text) & mask;
        // The index is never full, and a broken one is left after a round.
        for _ in 0..=mask {
            let number = u16_at(self.text_index, slot * 2)?.checked_sub(1)?;
            if self.text_bytes(TextNumber(number)) == Some(text) {
                return Some(TextNumber(number));
            }
            slot = (slot + 1) & mask;
        }
        None
    }

    /// Whether conditions are about this text, which otherwise means nothing in a query.
    pub(super) fn is_significant(&self, number: TextNumber) -> bool {
        number.0 < self.significant
    }

    #[inline]
    fn place_of(&self, number: TextNumber) -> Option<Range<usize>> {
        let at = usize::from(number.0) * 3;
        Some(u24_at(self.text_offsets, at)?..u24_at(self.text_offsets, at + 3)?)
    }

    /// The bytes of a text, without a look at where its letters begin.
    #[inline]
    fn text_bytes(&self, number: TextNumber) -> Option<&'static [u8]> {
        self.texts.as_bytes().get(self.place_of(number)?)
    }

    /// A text of the dictionary.
    #[inline]
    pub(super) fn text(&self, number: TextNumber) -> &'static str {
        self.place_of(number).and_then(|place| self.texts.get(place)).unwrap_or_default()
    }

    /// An action's name.
    pub(super) fn name(&self, at: NameAt) -> Option<Name> {
        let mut name = Name { bytes: [0; Name::LONGEST], length: 0 };
        for word in self.words_of(at)? {
            let to = name.length + word.len();
            name.bytes.get_mut(name.length..to)?.copy_from_slice(word);
            name.length = to;
        }
        Some(name)
    }

    fn words_of(&self, at: NameAt) -> Option<impl Iterator<Item = &'static [u8]> + use<'_>> {
        let mut rest = self.names.get(usize::try_from(at.0).ok()?..)?.iter().copied();
        let count = rest.next()?;
        let word = move |_| {
            let first = rest.next()?;
            let number = if first < ONE_BYTE_WORDS {
                usize::from(first)
            } else {
                usize::from(first & !ONE_BYTE_WORDS) << 8 | usize::from(rest.next()?)
            };
            let offset = |number: usize| u16_at(self.word_offsets, number * 2).map(usize::from);
            self.words.get(offset(number)?..offset(number + 1)?)
        };
        Some((0..count).map_while(word))
    }

    /// The API with this number.
    #[inline]
    pub(super) fn api(&self, number: u16) -> Option<Api> {
        let at = usize::from(number) * API_BYTES;
        let record = self.apis.get(at..at + API_BYTES)?;
        let text = |at: usize| u16_at(record, at).map(TextNumber);
        Some(Api {
            number,
            service: text(0)?,
            speaks: Speaks(u16_at(record, 2)?),
            routes: u24_at(record, 4)?,
            operations: u24_at(record, 7)?,
            operation_count: usize::from(u16_at(record, 10)?),
            target_prefix: text(12)?,
            version: text(14)?,
            cbor_service: text(16)?,
            exclusive: u16_at(record, 18)?,
            signing: usize::from(u16_at(record, 20)?),
        })
    }

    /// All APIs.
    #[cfg(feature = "lint")]
    pub(super) fn apis(&self) -> impl Iterator<Item = Api> + use<'_> {
        let count = u16::try_from(self.apis.len() / API_BYTES).unwrap_or_default();
        (0..count).filter_map(|number| self.api(number))
    }

    /// The operations of `api` that are called by name.
    #[cfg(feature = "lint")]
    pub(super) fn operations(&self, api: &Api) -> impl Iterator<Item = NameAt> + use<'_> {
        let places = api.operations..api.operations + api.operation_count;
        places.filter_map(|number| u24_at(self.operations, number * 3).and_then(name_at))
    }

    /// The numbers of all APIs of the service with this name.
    pub(in crate::catalog) fn apis_of(&self, service: &str) -> Vec<u16> {
        let count = u16::try_from(self.apis.len() / API_BYTES).unwrap_or_default();
        let is_its = |number: &u16| self.api(*number).is_some_and(|api| self.text(api.service) == service);
        (0..count).filter(is_its).collect()
    }

    /// The operation of `api` that is called by this name.
    pub(super) fn operation(&self, api: &Api, name: &[u8]) -> Option<NameAt> {
        let at = |number: usize| u24_at(self.operations, (api.operations + number) * 3).map(name_at);
        let (mut low, mut high) = (0, api.operation_count);
        while low < high {
            let middle = low + (high - low) / 2;
            let candidate = at(middle)??;
            match self.compare(candidate, name)? {
                std::cmp::Ordering::Equal => return Some(candidate),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// How the name at `at` and `other` are ordered, word by word.
    fn compare(&self, at: NameAt, other: &[u8]) -> Option<std::cmp::Ordering> {
        let mut rest = other;
        for word in self.words_of(at)? {
            let shared = word.len().min(rest.len());
            let (head, tail) = rest.split_at_checked(shared)?;
            let order = word.cmp(head);
            if order.is_ne() {
                return Some(order);
            }
            rest = tail;
        }
        Some(if rest.is_empty() { std::cmp::Ordering::Equal } else { std::cmp::Ordering::Less })
    }

    /// The conditions at `at`. A broken list ends early with none, which the caller sees by the count.
    pub(super) fn conditions(&self, at: usize) -> Option<impl Iterator<Item = Option<Condition>> + use<>> {
        let count = usize::from(*self.conditions.get(at)?);
        let records = self.conditions.get(at + 1..at + 1 + count * CONDITION_BYTES)?;
        Some(records.chunks_exact(CONDITION_BYTES).map(|record| {
            let key = TextNumber(u16_at(record, 1)?);
            match record.first()? {
                0 => Some(Condition::QueryPresent(key)),
                1 => Some(Condition::QueryValue(key, TextNumber(u16_at(record, 3)?))),
                2 => Some(Condition::QueryAbsent(key)),
                3 => Some(Condition::HeaderPresent(key)),
                4 => Some(Condition::HeaderAbsent(key)),
                _ => None,
            }
        }))
    }

    fn list(&self, at: usize) -> impl Iterator<Item = TextNumber> + use<> {
        let count = self.lists.get(at).map_or(0, |count| usize::from(*count));
        let records = self.lists.get(at + 1..at + 1 + count * 2).unwrap_or_default();
        records.chunks_exact(2).filter_map(|record| u16_at(record, 0).map(TextNumber))
    }

    /// The names under which requests to `api` are signed.
    pub(super) fn signing(&self, api: &Api) -> impl Iterator<Item = &'static str> + use<'_> {
        self.list(api.signing).map(|number| self.text(number))
    }
}

// === impl Api ===

impl Api {
    /// Whether an operation must name this query key or header to be reached with it.
    #[inline]
    pub(super) fn is_exclusive(&self, key: TextNumber) -> bool {
        (1..=self.exclusive).contains(&key.0)
    }

    /// Whether it has such keys.
    pub(super) fn has_exclusive(&self) -> bool {
        self.exclusive != 0
    }
}

// === impl TextNumber ===

impl TextNumber {
    /// The number of the empty text.
    pub(super) const EMPTY: Self = Self(0);
}

// === impl Name ===

impl Name {
    const LONGEST: usize = 128;

    pub(super) fn as_str(&self) -> &str {
        self.bytes.get(..self.length).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

// === impl Speaks ===

impl Speaks {
    // The generator has the same numbers (`filter/core/catalog/model.py`).
    pub(in crate::catalog) const REST: Self = Self(1);
    pub(in crate::catalog) const JSON: Self = Self(1 << 1);
    pub(in crate::catalog) const QUERY: Self = Self(1 << 2);
    pub(in crate::catalog) const CBOR: Self = Self(1 << 3);
    pub(in crate::catalog) const S3_PATH: Self = Self(1 << 4);
    pub(in crate::catalog) const S3_VIRTUAL: Self = Self(1 << 5);
    pub(in crate::catalog) const S3_LAMBDA: Self = Self(1 << 6);
    pub(in crate::catalog) const QUEUE_PATH: Self = Self(1 << 7);
    pub(in crate::catalog) const REST_XML: Self = Self(1 << 8);
    pub(in crate::catalog) const EC2: Self = Self(1 << 9);
    pub(in crate::catalog) const GOOGLE: Self = Self(1 << 10);
    pub(in crate::catalog) const MODEL: Self = Self(1 << 11);
    pub(in crate::catalog) const S3_EXPRESS: Self = Self(1 << 12);

    /// Whether any of the bits of `other` is set.
    pub(in crate::catalog) const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(in crate::catalog) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(in crate::catalog) const NOTHING: Self = Self(0);
}

impl NameAt {
    /// The place itself, as a number to remember it by.
    pub(super) fn place(self) -> usize {
        usize::try_from(self.0).unwrap_or_default()
    }
}

fn name_at(offset: usize) -> Option<NameAt> {
    u32::try_from(offset).ok().map(NameAt)
}

/// The generator has the same (`filter/core/catalog/sources.py`).
#[inline]
fn text_hash(text: &[u8]) -> usize {
    let mut hash = text.len() as u64;
    let mut mix = |word: u64| {
        hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 32;
    };
    let (words, rest) = text.as_chunks::<8>();
    words.iter().for_each(|word| mix(u64::from_le_bytes(*word)));
    if !rest.is_empty() {
        let mut word = [0; 8];
        word.iter_mut().zip(rest).for_each(|(byte, from)| *byte = *from);
        mix(u64::from_le_bytes(word));
    }
    // The index has far fewer slots than there are low bits.
    (hash & 0xffff_ffff) as usize
}

/// How many of these numbers, which stand in their order, are below `number`.
#[inline]
fn lower_bound(numbers: &[u8], number: u16) -> usize {
    let numbers = numbers.as_chunks::<2>().0;
    numbers.partition_point(|other| u16::from_le_bytes(*other) < number)
}

#[inline]
pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[inline]
pub(super) fn u24_at(bytes: &[u8], at: usize) -> Option<usize> {
    let [low, middle, high]: [u8; 3] = bytes.get(at..at + 3)?.try_into().ok()?;
    Some(usize::from(low) | usize::from(middle) << 8 | usize::from(high) << 16)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?)).ok()
}

/// The place of a name as a leaf of a trie has it.
pub(super) fn name_in_leaf(bytes: &[u8], at: usize) -> Option<NameAt> {
    name_at(u24_at(bytes, at)?)
}
