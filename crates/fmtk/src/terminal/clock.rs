//! The one place that reads the clock: the timestamp of an image built now, the age of a login.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use image_name::Timestamp;

/// Seconds since 1970, UTC; 0 where the clock is before that.
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

/// The local time of this machine, as `date +%Y%m%d%H%M%S` prints it: `TZ` and `/etc/localtime` count.
pub fn now_local() -> anyhow::Result<Timestamp> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock of this machine is before 1970")?;
    let seconds = libc::time_t::try_from(now.as_secs()).context("the clock of this machine is too far ahead")?;
    let local = broken_down(seconds).context("the C library knows no local time for the clock of this machine")?;
    ensure!(local.tm_year >= 70, "the clock of this machine is before 1970");
    let field = |value: i32| u8::try_from(value).context("the C library gave a time that is none");
    // 61 of a leap second, which no clock of the C library counts on, would be no time of the calendar.
    let second = field(local.tm_sec.min(59))?;
    let year = u16::try_from(local.tm_year + 1900).context("the clock of this machine is too far ahead")?;
    let (month, day) = (field(local.tm_mon + 1)?, field(local.tm_mday)?);
    Ok(Timestamp::new(year, month, day, field(local.tm_hour)?, field(local.tm_min)?, second)?)
}

/// The C library is asked because it is what `date` asks, and costs a cold build nothing.
#[allow(unsafe_code)]
fn broken_down(seconds: libc::time_t) -> Option<libc::tm> {
    let mut broken = std::mem::MaybeUninit::<libc::tm>::uninit();
    // SAFETY: both pointers are valid for the call, and this program never changes its environment, which it reads.
    let filled = unsafe { libc::localtime_r(&seconds, broken.as_mut_ptr()) };
    if filled.is_null() {
        return None;
    }
    // SAFETY: localtime_r has filled it: it returned the pointer.
    Some(unsafe { broken.assume_init() })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const PRINTS: &str = "terminal::clock::tests::prints_the_local_time";

    /// Runs as the child of the test below too, in another zone.
    #[test]
    fn prints_the_local_time() {
        println!("now={}", now_local().unwrap());
    }

    #[test]
    fn local_time_is_that_of_the_zone() {
        // Zones in POSIX form need no zone files. East of Greenwich the offset is negative in them.
        for (zone, hours) in [("UTC0", 0), ("CST-8", 8), ("EST5", -5)] {
            let utc = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
            let before = utc();
            let child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", PRINTS, "--nocapture"])
                .env("TZ", zone)
                .output()
                .unwrap();
            let after = utc();
            let out = String::from_utf8(child.stdout).unwrap();
            let digits = out.lines().find_map(|line| line.split_once("now=")).unwrap().1;
            let shown = digits[..14].parse::<Timestamp>().unwrap().unix_seconds() as i64;
            assert!((before..=after).contains(&(shown - hours * 3600)), "{zone}: {digits}");
        }
    }
}
