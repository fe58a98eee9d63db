//! Small words that every room uses: which database, and what setting a value may meet.
//!
//! They stand at the bottom: types of values and the log's payload name databases too, and must
//! not import the keyspace for that.

use quorate_resp::{Reply, parse_int};

/// Number of a database, `0..16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Db(pub u8);

impl Db {
    /// How many there are.
    pub const COUNT: u8 = 16;

    /// All of them.
    pub fn all() -> impl Iterator<Item = Db> {
        (0..Self::COUNT).map(Db)
    }

    /// The database that an argument names, if there is such a one.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let number = u8::try_from(parse_int(text)?).ok()?;
        (number < Self::COUNT).then_some(Self(number))
    }

    /// Position in a list of 16, whatever the number.
    pub(crate) fn number(self) -> usize {
        usize::from(self.0 % Self::COUNT)
    }
}

/// What happens to a key's deadline when its value is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// It stays (KEEPTTL, APPEND, INCR …).
    Keep,
    /// It goes (plain SET).
    Clear,
    /// It becomes this, Unix milliseconds.
    At(u64),
}

/// The key holds another kind of value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongType;

impl From<WrongType> for Reply<'static> {
    #[cold]
    fn from(_: WrongType) -> Self {
        Reply::WRONG_TYPE
    }
}
