//! Layers on top of each other, in memory (image-spec layer.md, "Applying Changesets").
//!
//! libostree's own union is never used: it was seen to write outside the checkout through a
//! lower layer's link, and to lose files beside their whiteouts (2022.7).

use super::Error;
use super::error::BadEntry;
use super::layer::LayerTree;
use super::name::{DEPTH_LIMIT, OPAQUE, WHITEOUT};
use super::tree::{Dir, Meta, Node, Object, Tree};
use super::walk::Last;
use crate::image::Digest;

/// Puts `layers`, lowest first, on top of each other. Whiteouts act on lower layers only and are
/// not in the result.
pub(super) fn merge(layers: Vec<(Digest, LayerTree)>) -> Result<Tree, Error> {
    let mut tree = Tree::empty();
    for (digest, layer) in layers {
        apply(&mut tree, &digest, layer)?;
    }
    Ok(tree)
}

fn apply(tree: &mut Tree, digest: &Digest, mut layer: LayerTree) -> Result<(), Error> {
    // A link's file is sought before this layer's whiteouts act: `mv` of a file shows as both.
    let targets: Vec<Option<Object>> = layer
        .links
        .values()
        .map(|target| find_file(tree, target))
        .collect();
    let upper = std::mem::replace(&mut layer.tree.root, Dir::new(Meta::dir()));
    let mut through = Vec::new();
    overlay(&mut tree.root, upper, "", &layer, &mut through);
    while let Some((path, upper)) = through.pop() {
        follow(tree, digest, &layer, (path, upper), &mut through)?;
    }
    for ((path, target), found) in layer.links.iter().zip(targets) {
        link(tree, digest, (path, target), found)?;
    }
    Ok(())
}

/// A folder of the upper layer whose place a lower layer's link has, with its path.
type Through = (String, Dir);

/// Applies the folder `upper`, which is at `path` in its layer, to `lower`.
fn overlay(lower: &mut Dir, upper: Dir, path: &str, layer: &LayerTree, through: &mut Vec<Through>) {
    if !layer.implied.contains(path) {
        lower.meta = upper.meta;
    }
    if upper.entries.contains_key(OPAQUE) {
        lower.entries.clear();
    }
    for name in upper
        .entries
        .keys()
        .filter_map(|name| name.strip_prefix(WHITEOUT))
    {
        lower.entries.remove(name);
    }
    for (name, node) in upper.entries {
        if name.starts_with(WHITEOUT) {
            continue;
        }
        let Node::Dir(dir) = node else {
            lower.entries.insert(name, node);
            continue;
        };
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}/{name}")
        };
        let is_link =
            matches!(lower.entries.get(&name), Some(Node::Object(o)) if o.target.is_some());
        if is_link && layer.implied.contains(&path) {
            through.push((path, dir));
            continue;
        }
        let fresh = !matches!(lower.entries.get(&name), Some(Node::Dir(_)));
        let below = lower.subdir(&name);
        if fresh {
            below.meta = dir.meta.clone();
        }
        overlay(below, dir, &path, layer, through);
    }
}

/// A layer that names `bin/x` without an entry for `bin` means the folder that `bin` leads to, as
/// unpacking would find it, but inside the image. A link that leads to no folder gives way.
fn follow(
    tree: &mut Tree,
    digest: &Digest,
    layer: &LayerTree,
    (path, upper): Through,
    through: &mut Vec<Through>,
) -> Result<(), Error> {
    if let Some((dir, real)) = tree.dir_mut(&path) {
        if real.len() > DEPTH_LIMIT {
            return Err(Error::TooDeep {
                layer: digest.clone(),
                path: real.join("/"),
            });
        }
        overlay(dir, upper, &path, layer, through);
        return Ok(());
    }
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
    let obstacle = || Error::Obstacle {
        path: path.clone(),
        obstacle: folder.to_owned(),
    };
    let (folder, _) = tree.dir_mut(folder).ok_or_else(obstacle)?;
    overlay(folder.subdir(name), upper, &path, layer, through);
    Ok(())
}

fn link(
    tree: &mut Tree,
    digest: &Digest,
    (path, target): (&str, &str),
    found: Option<Object>,
) -> Result<(), Error> {
    let refused = |problem| Error::Entry {
        layer: digest.clone(),
        entry: path.to_owned(),
        problem,
    };
    let object = match found.or_else(|| find_file(tree, target)) {
        Some(object) => object,
        None if tree.find(target, Last::Keep).is_some() => {
            return Err(refused(BadEntry::TargetIsDir(target.to_owned())));
        }
        None => return Err(refused(BadEntry::NoTarget(target.to_owned()))),
    };
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let parent = tree.dir_mut(folder);
    let (parent, _) = parent.ok_or_else(|| refused(BadEntry::NoTarget(target.to_owned())))?;
    parent.entries.insert(name.to_owned(), Node::Object(object));
    Ok(())
}

fn find_file(tree: &Tree, path: &str) -> Option<Object> {
    match tree.find(path, Last::Keep)? {
        Node::Object(object) => Some(object.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests;
    use super::*;

    /// A layer; folders ending in `/` are described, all others implied.
    fn layer(paths: &[&str], links: &[(&str, &str)]) -> (Digest, LayerTree) {
        let tree = tests::tree(paths);
        let described = |path: &String| paths.contains(&format!("{path}/").as_str());
        let dirs = tree
            .iter()
            .filter(|(_, node)| matches!(node, Node::Dir(_)))
            .map(|(p, _)| p);
        let implied = dirs
            .filter(|path| !described(path))
            .chain([String::new()])
            .collect();
        let links = links
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect();
        (
            Digest::of(b"layer"),
            LayerTree {
                tree,
                implied,
                links,
            },
        )
    }

    fn paths(tree: &Tree) -> Vec<String> {
        let leaf = |node: &Node| !matches!(node, Node::Dir(dir) if !dir.entries.is_empty());
        tree.iter()
            .filter(|(_, node)| leaf(node))
            .map(|(path, _)| path)
            .collect()
    }

    fn merged(layers: &[&[&str]]) -> Vec<String> {
        paths(&merge(layers.iter().map(|paths| layer(paths, &[])).collect()).unwrap())
    }

    #[test]
    fn whiteouts_act_on_lower_layers_only_and_vanish() {
        assert_eq!(merged(&[&["d/x", "d/y"], &["d/.wh.x"]]), ["d/y"]);
        assert_eq!(
            merged(&[&["d/x", "d/y"], &["d/.wh.x", "d/x"]]),
            ["d/x", "d/y"]
        );
        assert_eq!(merged(&[&["d/.wh.x", "d/x"]]), ["d/x"]);
        assert_eq!(merged(&[&["d/x", "e"], &[".wh.d"]]), ["e"]);
        assert_eq!(merged(&[&["d/x"], &[".wh.d", "d/y"]]), ["d/y"]);
        assert_eq!(merged(&[&["d/x"], &["d/.wh.none"]]), ["d/x"]);
        assert_eq!(
            merged(&[&["d"], &["n/.wh.x", "n/m/.wh..wh..opq"]]),
            ["d", "n/m"]
        );
    }

    #[test]
    fn opaque_whiteouts_keep_what_their_own_layer_brings() {
        assert_eq!(
            merged(&[&["d/x", "d/s/y"], &["d/.wh..wh..opq", "d/a", "d/z"]]),
            ["d/a", "d/z"]
        );
        assert_eq!(merged(&[&["d/x"], &["d/.wh..wh..opq"], &["d/y"]]), ["d/y"]);
        assert_eq!(merged(&[&["x"], &[".wh..wh..opq", "y"]]), ["y"]);
    }

    #[test]
    fn files_folders_and_links_replace_each_other() {
        assert_eq!(merged(&[&["a"], &["a/b"]]), ["a/b"]);
        assert_eq!(merged(&[&["a/b"], &["a"]]), ["a"]);
        assert_eq!(merged(&[&["a/b"], &["a -> c"]]), ["a"]);
        assert_eq!(
            merged(&[&["a -> usr", "usr/x"], &["a/", "a/y"]]),
            ["a/y", "usr/x"]
        );
    }

    #[test]
    fn implied_folders_follow_links_inside_the_image() {
        assert_eq!(
            merged(&[&["bin -> usr/bin", "usr/bin/sh"], &["bin/x", "bin/.wh.sh"]]),
            ["bin", "usr/bin/x"]
        );
        assert_eq!(
            merged(&[&["esc -> /tmp", "tmp/"], &["esc/p"]]),
            ["esc", "tmp/p"]
        );
        assert_eq!(merged(&[&["esc -> ../../tmp"], &["esc/p/q"]]), ["esc/p/q"]);
        assert_eq!(merged(&[&["l -> l"], &["l/p"]]), ["l/p"]);
        let chain = [&["a -> b", "b/c -> /d", "d/"][..], &["a/c/x"]];
        assert_eq!(merged(&chain), ["a", "b/c", "d/x"]);
    }

    #[test]
    fn implied_folders_leave_owner_and_mode_of_lower_ones() {
        let mut lower = layer(&["etc/", "etc/a"], &[]);
        if let Some(Node::Dir(etc)) = lower.1.tree.root.entries.get_mut("etc") {
            etc.meta.mode = 0o040700;
        }
        for (upper, mode) in [(&["etc/b"][..], 0o040700), (&["etc/", "etc/b"], 0o040755)] {
            let lower = (lower.0.clone(), layer_copy(&lower.1));
            let tree = merge(vec![lower, layer(upper, &[])]).unwrap();
            let Some(Node::Dir(etc)) = tree.lookup("etc") else {
                panic!()
            };
            assert_eq!(etc.meta.mode, mode);
            assert_eq!(etc.entries.len(), 2);
        }
    }

    fn layer_copy(layer: &LayerTree) -> LayerTree {
        LayerTree {
            tree: layer.tree.clone(),
            implied: layer.implied.clone(),
            links: layer.links.clone(),
        }
    }

    #[test]
    fn hard_links_reach_into_lower_layers() {
        let base = || layer(&["usr/f", "d/g", "bin -> usr"], &[]);
        let links = [("n/l", "usr/f"), ("m", "d/g"), ("o", "bin/f")];
        let tree = merge(vec![base(), layer(&["n/", "d/.wh.g"], &links)]).unwrap();
        assert_eq!(paths(&tree), ["bin", "d", "m", "n/l", "o", "usr/f"]);
        for (name, target) in [("x", "none"), ("x", "d")] {
            let refused = merge(vec![base(), layer(&[], &[(name, target)])]).unwrap_err();
            let text = refused.to_string();
            assert!(text.starts_with("entry 'x' of layer 'sha256:"), "{text}");
            assert!(text.contains(target), "{text}");
        }
    }

    /// For any two layers: nothing of the upper is lost, no whiteout shows, and merging a layer
    /// onto itself changes nothing.
    #[test]
    fn whatever_is_merged_keeps_the_rules() {
        let names = [
            "a",
            "b",
            "a/b",
            "a/c",
            "b/a/",
            "a/.wh.b",
            ".wh.a",
            "b/.wh..wh..opq",
            "c -> a",
            "c/",
        ];
        let pick = |bits: usize| -> Vec<&str> {
            (0..names.len())
                .filter(|n| bits >> n & 1 == 1)
                .map(|n| names[n])
                .collect()
        };
        for seed in 0..4000_usize {
            let (low, up) = (pick(seed * 7919 % 1024), pick(seed * 104_729 / 64 % 1024));
            let own = merge(vec![layer(&up, &[])]).unwrap();
            let both = merge(vec![layer(&low, &[]), layer(&up, &[])]).unwrap();
            for (path, node) in &own {
                assert!(!path.contains(".wh."), "{low:?} {up:?}");
                let there = both.find(&path, Last::Keep);
                let same = matches!((node, there), (Node::Dir(_), Some(Node::Dir(_))))
                    || there == Some(node);
                assert!(same, "{path} of {low:?} {up:?}");
            }
            let again = merge(vec![layer(&up, &[]), layer(&up, &[])]).unwrap();
            assert_eq!(again, own, "{up:?}");
        }
    }
}
