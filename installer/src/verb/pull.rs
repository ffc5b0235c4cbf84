//! `sysc pull`: an image into the repository, each layer once.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;

use super::session::{Session, require_root};
use crate::cli::{Pull, Source};
use crate::image::{self, Access, Credentials, Image, Reference, Resolved};
use crate::report::Report;
use crate::store::Store;

/// Layers that are fetched and unpacked at the same time.
const AT_ONCE: usize = 2;

pub(super) fn run(options: &Pull, session: &Session) -> anyhow::Result<ExitCode> {
    require_root("pull")?;
    let wanted = Wanted::find(&options.from)?;
    let access = session.change_store()?;
    let image = wanted.fetch(&access.store, session.report)?;
    session
        .report
        .say(format_args!("{}@{}", image.name, image.digest));
    Ok(ExitCode::SUCCESS)
}

/// An image that the user asked for.
pub(super) struct Wanted<'a> {
    from: &'a Source,
    reference: Reference,
    access: Access,
    /// A layout or archive is looked into at once: only it knows its image's name.
    opened: Option<Resolved>,
}

impl<'a> Wanted<'a> {
    /// Understands what is asked for. No registry is asked yet.
    pub fn find(from: &'a Source) -> anyhow::Result<Self> {
        let reference = Reference::parse(&from.image)?;
        let credentials = match from.login.src_creds.as_deref() {
            None => None,
            Some(text) => Some(
                Credentials::parse(text)
                    .context("--src-creds wants a user and a password, as USER:PASSWORD")?,
            ),
        };
        let access = Access::from_environment(credentials);
        let opened = match reference.name() {
            Some(_) => None,
            None => Some(image::resolve(&reference, &access)?),
        };
        Ok(Self {
            from,
            reference,
            access,
            opened,
        })
    }

    /// As the user wrote it.
    pub fn text(&self) -> &str {
        &self.from.image
    }

    /// What a container of it is called unless the user says otherwise.
    pub fn default_container_name(&self) -> String {
        let opened = self
            .opened
            .as_ref()
            .map(|resolved| resolved.image.default_container_name());
        self.reference
            .default_container_name()
            .or(opened)
            .unwrap_or_default()
    }

    /// The image as the store has it, if it has it whole. Of a layout or archive, the image that
    /// is in there now.
    pub fn stored(&self, store: &Store) -> anyhow::Result<Option<Image>> {
        let name = match &self.opened {
            Some(resolved) => Some(resolved.image.name.clone()),
            None => self.reference.name(),
        };
        let Some(stored) = name.map(|name| store.image(&name)).transpose()?.flatten() else {
            return Ok(None);
        };
        let image = stored.image;
        let current = |resolved: &Resolved| resolved.image.digest == image.digest;
        let wanted = self.opened.as_ref().is_none_or(current);
        for layer in &image.layers {
            if !wanted || !store.has_layer(layer)? {
                return Ok(None);
            }
        }
        Ok(Some(image))
    }

    /// The image from the store, or else pulled.
    pub fn bring(&self, store: &Store, report: &Report) -> anyhow::Result<Image> {
        match self.stored(store)? {
            Some(image) => Ok(image),
            None => self.fetch(store, report),
        }
    }

    /// Asks the source; layers that are in the store are not fetched again.
    pub fn fetch(&self, store: &Store, report: &Report) -> anyhow::Result<Image> {
        let context = || format!("cannot pull '{}'", self.from.image);
        let asked;
        let resolved = match &self.opened {
            Some(opened) => opened,
            None => {
                asked = image::resolve(&self.reference, &self.access).with_context(context)?;
                &asked
            }
        };
        import_layers(resolved, store, report).with_context(context)?;
        store.record_image(&resolved.image).with_context(context)?;
        Ok(resolved.image.clone())
    }
}

/// Imports the missing layers, two at once. The first failure stops the others after the layer
/// that they are at; finished layers stay, so that the next pull goes on from there.
fn import_layers(resolved: &Resolved, store: &Store, report: &Report) -> anyhow::Result<()> {
    let progress = report.pull();
    let next = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    let failed = |error| {
        let mut failure = failure
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        failure.get_or_insert(error);
        next.store(usize::MAX / 2, Ordering::SeqCst);
    };
    let work = || {
        while let index = next.fetch_add(1, Ordering::SeqCst)
            && index < resolved.image.layers.len()
        {
            if let Err(error) = import_layer(resolved, index, store, &progress) {
                failed(error);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(resolved.image.layers.len()) {
            scope.spawn(work);
        }
    });
    match failure
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
    {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

fn import_layer(
    resolved: &Resolved,
    index: usize,
    store: &Store,
    progress: &crate::report::PullProgress,
) -> anyhow::Result<()> {
    let layer = &resolved.image.layers[index];
    if store.has_layer(layer)? {
        progress.present(&layer.digest);
        return Ok(());
    }
    let shown = progress.layer(layer);
    let mut stream = resolved.open_layer(index, shown.counter())?;
    let imported = store.import_layer(layer, &mut stream)?;
    if imported.skipped > 0 {
        progress.note(&format!(
            "warning: layer {}: {} devices and FIFOs are left out; OSTree cannot hold them",
            layer.digest.short(),
            imported.skipped
        ));
    }
    shown.done();
    Ok(())
}
