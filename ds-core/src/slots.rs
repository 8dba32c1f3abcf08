//! A fixed table of live things, reached by tokens that cannot be mistaken for later ones.
//!
//! Owns the things. Invariants:
//! - A `Token` reaches what it was made for, or nothing: each slot counts its generations.
//! - No more than `capacity` things live at once; a full table is an answer, never a wait.
//! - After each slot has been used once, nothing allocates.

#![forbid(unsafe_code)]

/// Names one thing in a [`Slots`] table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Token {
    index: u32,
    generation: u32,
}

impl Token {
    /// The token as one number, as the kernel's `user_data` or a foreign id.
    pub(crate) fn to_u64(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The token of [`Token::to_u64`]; any other number is a token that reaches nothing.
    pub(crate) fn from_u64(number: u64) -> Token {
        Token {
            index: number as u32,
            generation: (number >> 32) as u32,
        }
    }
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// The table.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    slots: Vec<Slot<T>>,
    /// Free slots, last freed first: the memory most likely to be in the cache.
    free: Vec<u32>,
    capacity: usize,
}

impl<T> Slots<T> {
    /// A table for `capacity` things.
    pub(crate) fn new(capacity: usize) -> Slots<T> {
        Slots::with_initial(capacity, capacity)
    }

    /// The same, with room made at once for `initial` of them; more room is made when it is needed.
    pub(crate) fn with_initial(capacity: usize, initial: usize) -> Slots<T> {
        assert!(
            u32::try_from(capacity).is_ok(),
            "slots are counted in 32 bits"
        );
        Slots {
            slots: Vec::with_capacity(initial),
            free: Vec::with_capacity(initial),
            capacity,
        }
    }

    /// How many things live.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Puts `value` in; gives it back if the table is full. Inlined, and with one place to put it, so that
    /// what is made for the table is moved once at most.
    #[inline]
    pub(crate) fn insert(&mut self, value: T) -> Result<Token, T> {
        let Some(index) = self.vacancy() else {
            return Err(value);
        };
        let slot = &mut self.slots[index as usize];
        slot.value = Some(value);
        Ok(Token {
            index,
            generation: slot.generation,
        })
    }

    /// A slot with nothing in it, which is no longer listed as free.
    fn vacancy(&mut self) -> Option<u32> {
        if let Some(index) = self.free.pop() {
            return Some(index);
        }
        if self.slots.len() == self.capacity {
            return None;
        }
        // Generation 0 is never used, so that a zeroed id reaches nothing.
        self.slots.push(Slot {
            generation: 1,
            value: None,
        });
        Some(self.slots.len() as u32 - 1)
    }

    /// What `token` names, if it still lives.
    pub(crate) fn get(&self, token: Token) -> Option<&T> {
        let slot = self.slots.get(token.index as usize)?;
        if slot.generation == token.generation {
            slot.value.as_ref()
        } else {
            None
        }
    }

    /// The same, to change it.
    pub(crate) fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        let slot = self.slots.get_mut(token.index as usize)?;
        if slot.generation == token.generation {
            slot.value.as_mut()
        } else {
            None
        }
    }

    /// Drops it where it is; its token reaches nothing from now on.
    pub(crate) fn free(&mut self, token: Token) {
        if let Some(slot) = self.slots.get_mut(token.index as usize)
            && slot.generation == token.generation
            && slot.value.is_some()
        {
            slot.value = None;
            slot.generation = slot.generation.checked_add(1).unwrap_or(1);
            self.free.push(token.index);
        }
    }

    /// Takes it out; its token reaches nothing from now on.
    pub(crate) fn remove(&mut self, token: Token) -> Option<T> {
        let slot = self.slots.get_mut(token.index as usize)?;
        if slot.generation != token.generation {
            return None;
        }
        let value = slot.value.take()?;
        // After 2^32 - 1 uses of one slot a stale token could match again; a token does not live
        // that long.
        slot.generation = slot.generation.checked_add(1).unwrap_or(1);
        self.free.push(token.index);
        Some(value)
    }

    /// Everything that lives, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|slot| slot.value.as_ref())
    }

    /// The same, to change it, with its tokens.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (Token, &mut T)> {
        self.slots
            .iter_mut()
            .enumerate()
            .filter_map(|(index, slot)| {
                let token = Token {
                    index: index as u32,
                    generation: slot.generation,
                };
                slot.value.as_mut().map(|value| (token, value))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reaches_its_own_value_or_nothing() {
        let mut slots = Slots::new(2);
        let first = slots.insert("first").unwrap();
        assert_eq!(slots.get(first), Some(&"first"));
        assert_eq!(slots.remove(first), Some("first"));
        let second = slots.insert("second").unwrap();
        assert_eq!(second.index, first.index, "the slot is used again");
        assert_eq!(slots.get(first), None, "and the old token is stale");
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get_mut(second), Some(&mut "second"));
        assert_eq!(slots.get(Token::from_u64(0)), None);
        assert_eq!(slots.get(Token::from_u64(u64::MAX)), None);
        assert_eq!(Token::from_u64(second.to_u64()), second);
    }

    #[test]
    fn a_full_table_gives_the_value_back() {
        let mut slots = Slots::new(2);
        let tokens: Vec<_> = (0..2).map(|n| slots.insert(n).unwrap()).collect();
        assert_eq!(slots.insert(9), Err(9));
        assert_eq!(slots.len(), 2);
        slots.remove(tokens[0]);
        assert_eq!(
            slots.iter_mut().map(|(t, v)| (t, *v)).collect::<Vec<_>>(),
            [(tokens[1], 1)]
        );
        assert!(slots.insert(9).is_ok());
    }
}
