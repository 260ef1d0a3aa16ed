//! SWR's long-term key: hex of HMAC-SHA256 with the SK as key over the AK.

use hmac::{Hmac, KeyInit, Mac};
use registry::Secret;
use sha2::Sha256;

/// The password for `REGION@AK`.
pub fn key(ak: &str, sk: &Secret) -> Secret {
    // HMAC takes keys of any length; the type only says that other functions may not.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(sk.reveal().as_bytes()) else { return Secret::new("") };
    mac.update(ak.as_bytes());
    Secret::new(mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_hmac_sha256_with_the_secret_key_as_key() {
        // RFC 4231, test case 2; and what `openssl dgst -sha256 -hmac SK` prints for a key and a text of SWR's kind.
        for (ak, sk, expected) in [
            (
                "what do ya want for nothing?",
                "Jefe",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            ("AK", "SK", "32d633d480c6d326ddd8f439f4fbfc7c9a4e0fa3fc0565ccd56e027700d41b14"),
            (
                "0123456789ABCDEFGHIJ",
                "abcdefghijklmnopqrstuvwxyz0123456789ABCD",
                "346af3006f5558db091a9b1e047ba15c1520f4b84ba6b8a5b8390e48c6ad23a0",
            ),
        ] {
            assert_eq!(key(ak, &Secret::new(sk)).reveal(), expected);
        }
    }
}
