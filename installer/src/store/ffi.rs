//! The two calls of libostree and GIO that have no safe binding.

use std::os::fd::OwnedFd;
use std::ptr;

use ostree::glib::translate::{ToGlibPtr, from_glib_full};
use ostree::{Repo, ffi, gio, glib};

/// The repository's shared lock: as long as it lives, no prune deletes an object.
pub(super) struct SharedLock<'a> {
    repo: &'a Repo,
}

impl<'a> SharedLock<'a> {
    /// Waits for the lock, as long as the repository's configuration says (30 s by default).
    pub(super) fn take(repo: &'a Repo) -> Result<Self, glib::Error> {
        let mut error = ptr::null_mut();
        // SAFETY: the binding leaves this call out because it lacks the lock type. `repo` is a
        // live, opened handle for the whole call, no cancellable is given (NULL is documented
        // as allowed), and `error` is a NULL-initialised location that libostree fills only
        // with an error that we then own.
        unsafe {
            ffi::ostree_repo_lock_push(
                repo.to_glib_none().0,
                ffi::OSTREE_REPO_LOCK_SHARED,
                ptr::null_mut(),
                &mut error,
            );
            if error.is_null() {
                Ok(Self { repo })
            } else {
                Err(from_glib_full(error))
            }
        }
    }
}

impl Drop for SharedLock<'_> {
    fn drop(&mut self) {
        let mut error: *mut glib::ffi::GError = ptr::null_mut();
        // SAFETY: as in `take`; this handle holds one shared lock, the one pushed there, since
        // the value exists only after a successful push. The kernel drops the lock with the
        // handle's descriptor in any case, so an error changes nothing and is freed unread.
        unsafe {
            ffi::ostree_repo_lock_pop(
                self.repo.to_glib_none().0,
                ffi::OSTREE_REPO_LOCK_SHARED,
                ptr::null_mut(),
                &mut error,
            );
            if !error.is_null() {
                drop::<glib::Error>(from_glib_full(error));
            }
        }
    }
}

/// A GIO stream over a file, which libostree then copies inside the kernel.
pub(super) fn stream(file: OwnedFd) -> gio::UnixInputStream {
    // SAFETY: `take_fd` asks that nobody else closes the descriptor. It is owned and moved here,
    // so the stream is its only holder.
    unsafe { gio::UnixInputStream::take_fd(file) }
}
