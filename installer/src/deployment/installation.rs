//! Which installation this is: several directories of deployments may share one repository, and
//! each removes only what is its own.

use std::path::Path;

use super::Error;
use crate::durable;

/// The id of the installation whose records are in `storage`; it gets one if it has none.
pub fn id(storage: &Path) -> Result<String, Error> {
    if let Some(id) = known_id(storage)? {
        return Ok(id);
    }
    let path = storage.join("installation");
    let id = uuid::Uuid::new_v4().to_string();
    durable::replace(&path, format!("{id}\n").as_bytes(), 0o600)
        .map_err(|source| Error::io("write", &path, source))?;
    Ok(id)
}

/// The id, if there is one yet.
pub fn known_id(storage: &Path) -> Result<Option<String>, Error> {
    let path = storage.join("installation");
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::io("read", &path, source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(known_id(dir.path()).unwrap(), None);
        let first = id(dir.path()).unwrap();
        assert_eq!(id(dir.path()).unwrap(), first);
    }
}
