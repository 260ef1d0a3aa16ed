//! Things that several scenarios share and the first of them makes.

use std::cell::OnceCell;

use anyhow::anyhow;

/// Made when it is first asked for; a failure is told to all who ask, and not tried again.
#[derive(Debug)]
pub struct Lazy<T>(OnceCell<Result<T, String>>);

impl<T> Default for Lazy<T> {
    fn default() -> Self {
        Self(OnceCell::new())
    }
}

impl<T> Lazy<T> {
    /// The thing, made by `make` unless it was made before.
    pub fn get(&self, make: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<&T> {
        self.0
            .get_or_init(|| make().map_err(|error| format!("{error:#}")))
            .as_ref()
            .map_err(|text| anyhow!(text.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_and_fails_for_all() {
        let good = Lazy::default();
        assert_eq!(*good.get(|| Ok(1)).unwrap(), 1);
        assert_eq!(*good.get(|| Ok(2)).unwrap(), 1);
        let bad: Lazy<u8> = Lazy::default();
        assert_eq!(bad.get(|| Err(anyhow!("broken"))).unwrap_err().to_string(), "broken");
        assert_eq!(bad.get(|| Ok(1)).unwrap_err().to_string(), "broken");
    }
}
