//! What the host's side opens for us, since our user namespace might not reach it, or not say whose
//! it is.

use std::os::fd::OwnedFd;

use super::{Child, Error, failed};
use crate::ladder::ChildEnd;
use crate::plan::{Plan, Root};

/// Whoever opens for us.
pub struct Sources<'a>(Option<&'a ChildEnd>);

impl<'a> Sources<'a> {
    /// Asks for one, if the plan needs any.
    pub fn ask(plan: &Plan, child: &'a Child) -> Result<Sources<'a>, Error> {
        if plan.from_host() > 0 {
            child.ladder.ask_sources().map_err(|_| Error::Orphaned)?;
        }
        Ok(Sources(child.sources.as_ref()))
    }

    /// The root's directory; `None` where we open it ourselves.
    pub fn root(&self, root: &Root) -> Result<Option<OwnedFd>, Error> {
        let shown = root.path.display();
        let opened = root.from_host.then(|| self.next()).transpose();
        opened.map_err(|why| failed(format!("open '{shown}'"), why))
    }

    /// The next in the order of the plan: a detached tree for a bind.
    pub(super) fn next(&self) -> Result<OwnedFd, String> {
        let gone = || "the process that opens sources is gone".to_owned();
        let next = self.0.ok_or_else(gone)?.next_source();
        next.map_err(|_| gone())?
    }
}
