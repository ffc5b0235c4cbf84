//! The contract between an image and its host: the files that the image carries in `/exports`.
//!
//! In: the image's file tree, its OCI configuration and the host's and user's values. Out: the
//! rendered OCI `config.json`, the unit, the tmpfiles lines and the host files. Pure but for
//! [`read`], which takes files out of the tree: nothing here looks at the host or writes to it.
