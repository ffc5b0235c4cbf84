//! The states of a container, and the moves between them.
//!
//! ```text
//!            begin                commit              settle
//!  Absent ────────▶ Switching{–,n} ────▶ Committed{–,n} ────▶ Settled{n}
//!                        │ abandon
//!  Absent ◀──────────────┘
//!                                                       stage n
//!  Settled{c} ─────────────────────────────────────────────────▶ Staged{c,n}
//!  Settled{c}, Staged{c,n}                              unstage
//!     │ begin                                Staged{c,n} ──────▶ Settled{c}
//!     ▼            commit               settle
//!  Switching{c,n} ───────▶ Committed{c,n} ───▶ Settled{n}
//!     │ abandon                │ reject, once
//!     ▼                        ▼
//!  Settled{c}              Switching{n,c} ───▶ … ───▶ Settled{c}
//!
//!  Settled{c}, Staged{c,n} ─ drop ─▶ Leaving ─ forget ─▶ Absent
//! ```
//!
//! A state is not stored. It is what the link, the journal and the ledger say together, so that
//! after a cut at any instant there is one, and one way on from it.

use super::{Error, Journal};

/// Where a container stands. Numbers are serials of generations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There is no such container.
    Absent,
    /// A generation is current, and nothing is under way.
    Settled {
        /// The current generation.
        current: u64,
    },
    /// Besides, another one waits for the next switch.
    Staged {
        /// The current generation.
        current: u64,
        /// The one that waits.
        next: u64,
    },
    /// A switch was begun and has not happened: what was current still is.
    Switching {
        /// The current generation.
        from: Option<u64>,
        /// The one that is to be.
        to: u64,
    },
    /// The link names the new generation; the host follows.
    Committed {
        /// The former generation.
        from: Option<u64>,
        /// The current one.
        to: u64,
    },
    /// Nothing is current any more; traces are on the host.
    Leaving,
}

/// A step from one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// A generation is built and waits.
    Stage(u64),
    /// The waiting generation is given up.
    Unstage,
    /// A switch to this generation is written down.
    Begin(u64),
    /// A switch that was begun is given up.
    Abandon,
    /// The link is renamed.
    Commit,
    /// The switch is over.
    Settle,
    /// The new generation does not do: back to the former one.
    Reject,
    /// The link is removed.
    Drop,
    /// The last trace is gone.
    Forget,
}

impl State {
    /// What `current` (the generation that the link names), the journal and whether there is a
    /// ledger say together.
    pub fn observe(current: Option<u64>, journal: Option<&Journal>, ledger: bool) -> Self {
        let intent = journal.and_then(|journal| journal.intent.as_ref());
        let staged = journal.and_then(|journal| journal.staged);
        match (current, intent) {
            (Some(current), Some(intent)) if intent.to == current => Self::Committed {
                from: intent.from,
                to: current,
            },
            (Some(current), Some(intent)) => Self::Switching {
                from: Some(current),
                to: intent.to,
            },
            (Some(current), None) => match staged {
                Some(next) if next != current => Self::Staged { current, next },
                _ => Self::Settled { current },
            },
            (None, Some(intent)) if intent.from.is_none() && !ledger => Self::Switching {
                from: None,
                to: intent.to,
            },
            (None, None) if journal.is_none() && !ledger => Self::Absent,
            (None, _) => Self::Leaving,
        }
    }

    /// The state after `step`, or an error that names both.
    pub fn after(self, step: Move) -> Result<Self, Error> {
        let after = match (self, step) {
            (Self::Absent, Move::Begin(to)) => Some(Self::Switching { from: None, to }),
            (Self::Settled { current } | Self::Staged { current, .. }, Move::Begin(to))
                if to != current =>
            {
                let from = Some(current);
                Some(Self::Switching { from, to })
            }
            (Self::Settled { current } | Self::Staged { current, .. }, Move::Stage(next))
                if next != current =>
            {
                Some(Self::Staged { current, next })
            }
            (Self::Staged { current, .. }, Move::Unstage) => Some(Self::Settled { current }),
            (Self::Switching { from, to }, Move::Commit) => Some(Self::Committed { from, to }),
            (Self::Switching { from, .. }, Move::Abandon) => {
                Some(from.map_or(Self::Absent, |current| Self::Settled { current }))
            }
            (Self::Committed { to: current, .. }, Move::Settle) => Some(Self::Settled { current }),
            (
                Self::Committed {
                    from: Some(to),
                    to: from,
                },
                Move::Reject,
            ) => {
                let from = Some(from);
                Some(Self::Switching { from, to })
            }
            (Self::Settled { .. } | Self::Staged { .. }, Move::Drop) => Some(Self::Leaving),
            (Self::Committed { .. } | Self::Leaving, Move::Drop) => Some(Self::Leaving),
            (Self::Leaving, Move::Forget) => Some(Self::Absent),
            _ => None,
        };
        after.ok_or(Error::WrongMove { from: self, step })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_and_wrong_moves() {
        use Move::*;
        let (settled, staged) = (
            State::Settled { current: 1 },
            State::Staged {
                current: 1,
                next: 2,
            },
        );
        let to_two = State::Switching {
            from: Some(1),
            to: 2,
        };
        let at_two = State::Committed {
            from: Some(1),
            to: 2,
        };
        let back = State::Switching {
            from: Some(2),
            to: 1,
        };
        let table = [
            (
                State::Absent,
                Begin(1),
                Some(State::Switching { from: None, to: 1 }),
            ),
            (State::Absent, Commit, None),
            (State::Absent, Drop, None),
            (settled, Begin(2), Some(to_two)),
            (settled, Begin(1), None),
            (settled, Settle, None),
            (settled, Stage(2), Some(staged)),
            (staged, Begin(2), Some(to_two)),
            (staged, Unstage, Some(settled)),
            (staged, Drop, Some(State::Leaving)),
            (to_two, Commit, Some(at_two)),
            (to_two, Abandon, Some(settled)),
            (to_two, Settle, None),
            (to_two, Begin(3), None),
            (at_two, Settle, Some(State::Settled { current: 2 })),
            (at_two, Reject, Some(back)),
            (at_two, Abandon, None),
            (State::Committed { from: None, to: 1 }, Reject, None),
            (State::Leaving, Begin(1), None),
            (State::Leaving, Forget, Some(State::Absent)),
        ];
        for (from, step, expected) in table {
            assert_eq!(from.after(step).ok(), expected, "{from:?} {step:?}");
        }
    }
}
