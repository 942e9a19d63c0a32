//! Long work in slices. Envoy gives a filter no thread of its own: whoever compiles a large policy in one go keeps all
//! requests of that worker waiting. Such work is a future here, and gives way where it may be interrupted.
//!
//! No executor belongs to it: [`finish`] runs the work in one go, [`Slices::run`] until its time is up.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// Says when a slice of work is long enough.
#[derive(Clone)]
pub struct Pace {
    is_over: Option<Rc<dyn Fn() -> bool>>,
    /// Units of work since the slice was last asked about.
    spent: Cell<u32>,
}

/// So many units of work, of some 100 ns each, lie between two questions for the time: asking takes time too.
const UNITS: u32 = 1000;

/// Work that is done in slices.
pub struct Slices<T> {
    work: Pin<Box<dyn Future<Output = T>>>,
}

// === impl Pace ===

impl Pace {
    /// Gives way wherever `is_over` says that the slice has taken long enough.
    pub fn new(is_over: impl Fn() -> bool + 'static) -> Self {
        Self { is_over: Some(Rc::new(is_over)), spent: Cell::new(0) }
    }

    /// Never gives way.
    pub fn unhurried() -> Self {
        Self { is_over: None, spent: Cell::new(0) }
    }

    /// Ends the slice here if it has taken long enough. Between two calls of it lies less than a millisecond of work.
    pub async fn give_way(&self) {
        if self.is_over.as_ref().is_some_and(|is_over| is_over()) {
            let mut has_given_way = false;
            poll_fn(|_| {
                if std::mem::replace(&mut has_given_way, true) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
    }

    /// Takes account of a piece of work of so many units, of some 100 ns each, and gives way where enough has come
    /// together. For loops whose rounds are short.
    pub(crate) async fn spend(&self, units: usize) {
        if self.is_over.is_none() {
            return;
        }
        let spent = self.spent.get().saturating_add(u32::try_from(units).unwrap_or(u32::MAX));
        if spent < UNITS {
            return self.spent.set(spent);
        }
        self.spent.set(0);
        self.give_way().await;
    }
}

impl std::fmt::Debug for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pace").finish_non_exhaustive()
    }
}

// === impl Slices ===

impl<T> Slices<T> {
    /// Takes `work`, and does nothing of it yet.
    pub fn of(work: impl Future<Output = T> + 'static) -> Self {
        Self { work: Box::pin(work) }
    }

    /// Does the next slice; the result, if it was the last one. Not to be called again then.
    pub fn run(&mut self) -> Option<T> {
        match self.work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }
    }

    /// Does all that is left in one go.
    pub fn finish(mut self) -> T {
        loop {
            if let Some(result) = self.run() {
                return result;
            }
        }
    }
}

impl<T> std::fmt::Debug for Slices<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slices").finish_non_exhaustive()
    }
}

/// Does all of `work` in one go.
pub fn finish<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        if let Poll::Ready(result) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return result;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    async fn count(pace: &Pace, to: u32) -> u32 {
        let mut counted = 0;
        while counted < to {
            pace.give_way().await;
            counted += 1;
        }
        counted
    }

    #[test]
    fn work_gives_way_when_its_slice_is_over_and_only_then() {
        let asked = Rc::new(Cell::new(0));
        let pace = Pace::new({
            let asked = Rc::clone(&asked);
            move || {
                asked.set(asked.get() + 1);
                asked.get() % 3 == 0
            }
        });
        let mut work = Slices::of(async move { count(&pace, 7).await });
        let slices: Vec<Option<u32>> = std::iter::from_fn(|| Some(work.run())).take(3).collect();
        assert_eq!(slices, [None, None, Some(7)]);
    }

    #[test]
    fn work_can_be_done_in_one_go() {
        assert_eq!(finish(count(&Pace::unhurried(), 5)), 5);
        assert_eq!(finish(count(&Pace::new(|| true), 5)), 5);
    }
}
