//! Chance from the operating system.

use iassistance_domain::Entropy;

/// Random bytes from the operating system's generator, fit for keys.
///
/// A generator that fails makes [`fill`](Entropy::fill) **panic**: whatever was about to use the bytes ends
/// there, and nothing is sealed, named or signed with bytes that are not random. On Linux the call fails
/// only where it is forbidden (a broken sandbox or seccomp profile), and then it does so from the first key
/// made at the start.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::panic, reason = "going on without randomness would give keys that can be guessed")]
    fn fill(&self, bytes: &mut [u8]) {
        if let Err(error) = getrandom::fill(bytes) {
            panic!("the operating system gives no random bytes: {error}; allow the getrandom system call");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fill_differs() {
        let (mut first, mut second) = ([0; 32], [0; 32]);
        SystemEntropy.fill(&mut first);
        SystemEntropy.fill(&mut second);
        assert_ne!(first, [0; 32]);
        assert_ne!(first, second);
    }
}
