//! Serial numbers of generations: one counter for all containers of a host, never set back.

use std::path::Path;

use super::Error;
use crate::durable;

/// Takes the next serial number from the counter in `storage`. A number that is taken and then
/// not used is lost, which does no harm.
pub fn next(storage: &Path) -> Result<u64, Error> {
    let path = storage.join("serial");
    let serial = upcoming(storage)?;
    durable::replace(&path, format!("{serial}\n").as_bytes(), 0o600)
        .map_err(|source| Error::io("write", &path, source))?;
    Ok(serial)
}

/// The number that [`next`] would take.
pub fn upcoming(storage: &Path) -> Result<u64, Error> {
    let path = storage.join("serial");
    let last = match std::fs::read_to_string(&path) {
        Ok(text) => text.trim().parse::<u64>().map_err(|source| {
            Error::io(
                "understand",
                &path,
                std::io::Error::new(std::io::ErrorKind::InvalidData, source),
            )
        })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(source) => return Err(Error::io("read", &path, source)),
    };
    Ok(last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_never_used_twice() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(
            (1..=3)
                .map(|_| next(dir.path()).unwrap())
                .collect::<Vec<_>>(),
            [1, 2, 3]
        );
        assert_eq!(upcoming(dir.path()).unwrap(), 4);
        std::fs::write(dir.path().join("serial"), "x").unwrap();
        assert!(next(dir.path()).is_err());
    }
}
