//! Reading what is left in the pipes, when nobody is there any more to write into them.

use std::io;

/// The pipes of the ranks, and the room for what is in them.
pub trait Pipes {
    /// Those that have not ended, by number.
    fn open(&self) -> Vec<usize>;

    /// Whether there is room for more of this one. That changes at any time, because others make the room.
    fn has_room(&self, pipe: usize) -> bool;

    /// Reads once where something can be read at once; false where nothing can.
    fn read(&mut self, pipe: usize) -> io::Result<bool>;

    /// Sees to those who make room, which may make some.
    fn tick(&mut self);

    /// Sleeps until there may be room; false when it took too long.
    fn sleep(&mut self) -> io::Result<bool>;
}

/// Reads until all pipes have ended or are empty: then somebody outside holds their other ends.
///
/// # Errors
///
/// If the system does not let us wait.
pub fn drain(pipes: &mut impl Pipes) -> io::Result<()> {
    loop {
        let open = pipes.open();
        // What was passed over is remembered: that it has room after the round does not make it empty.
        let (ready, full): (Vec<usize>, Vec<usize>) = open.into_iter().partition(|pipe| pipes.has_room(*pipe));
        let mut has_read = false;
        for pipe in ready {
            has_read |= pipes.read(pipe)?;
        }
        pipes.tick();
        if !has_read && full.is_empty() {
            return Ok(());
        }
        let may_read = has_read || full.iter().any(|pipe| pipes.has_room(*pipe));
        if !may_read && !pipes.sleep()? {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pipes with so many reads in them each, and room for one read until somebody makes more.
    struct Fake {
        left: Vec<usize>,
        room: bool,
        /// Room is made by a tick, else while we sleep.
        by_tick: bool,
        sleeps: usize,
    }

    impl Pipes for Fake {
        fn open(&self) -> Vec<usize> {
            (0..self.left.len()).collect()
        }

        fn has_room(&self, _: usize) -> bool {
            self.room
        }

        fn read(&mut self, pipe: usize) -> io::Result<bool> {
            if self.left[pipe] == 0 {
                return Ok(false);
            }
            // Ranks share the room, so it may be gone since it was asked for; the pipe is not empty for that.
            if std::mem::take(&mut self.room) {
                self.left[pipe] -= 1;
            }
            Ok(true)
        }

        fn tick(&mut self) {
            self.room |= self.by_tick;
        }

        fn sleep(&mut self) -> io::Result<bool> {
            self.room = true;
            self.sleeps += 1;
            Ok(self.sleeps < 100)
        }
    }

    #[test]
    fn room_that_is_made_between_two_looks_loses_nothing() {
        for (by_tick, room) in [(true, true), (true, false), (false, true), (false, false)] {
            let mut pipes = Fake { left: vec![3, 0, 5], room, by_tick, sleeps: 0 };
            drain(&mut pipes).unwrap();
            assert_eq!(pipes.left, [0, 0, 0], "{by_tick} {room}");
            // Room that a tick has made is not waited for: nobody would tell of it again.
            assert!(!by_tick || pipes.sleeps == 0, "{by_tick} {room}: {} sleeps", pipes.sleeps);
        }
    }

    #[test]
    fn what_never_gets_room_is_given_up() {
        struct Stuck;
        impl Pipes for Stuck {
            fn open(&self) -> Vec<usize> {
                vec![0]
            }
            fn has_room(&self, _: usize) -> bool {
                false
            }
            fn read(&mut self, _: usize) -> io::Result<bool> {
                Ok(true)
            }
            fn tick(&mut self) {}
            fn sleep(&mut self) -> io::Result<bool> {
                Ok(false)
            }
        }
        drain(&mut Stuck).unwrap();
    }
}
