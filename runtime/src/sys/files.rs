//! Attributes of files.

use std::ffi::{CStr, CString};

use nix::errno::Errno;

/// Sets an extended attribute to a text, which the kernel gets with its NUL.
pub fn set_attribute(path: &str, name: &CStr, value: &str) -> nix::Result<()> {
    let path = CString::new(path).map_err(|_| Errno::EINVAL)?;
    let value = CString::new(value).map_err(|_| Errno::EINVAL)?;
    let bytes = value.as_bytes_with_nul();
    // SAFETY: both names are terminated, the value is read up to its own length, and all outlive
    // the call.
    let result = unsafe {
        libc::setxattr(
            path.as_ptr(),
            name.as_ptr(),
            bytes.as_ptr().cast(),
            bytes.len(),
            0,
        )
    };
    Errno::result(result).map(drop)
}
