//! Where a path leads inside a tree, as in a chroot: `/` and `..` end at the tree's own root.

use super::tree::{Node, Object, Tree};

/// Links followed for one path, at most; the kernel's own limit.
const LINK_LIMIT: usize = 40;

/// Whether a path's last component is followed when it is a link.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    Follow,
    Keep,
}

/// How far a path leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Walk {
    /// To a node, whose path without links is this.
    There(Vec<String>),
    /// As far as a folder, below which these components are missing.
    Missing(Vec<String>, Vec<String>),
    /// To something that is no folder, and yet more components follow.
    Blocked(Vec<String>),
    /// Round in circles.
    Circle,
}

impl Tree {
    /// Follows `path` and the links on it.
    pub(super) fn walk(&self, path: &str, last: Last) -> Walk {
        let mut at: Vec<String> = Vec::new();
        let mut dirs = vec![&self.root];
        // Components still to go, the next one at the end.
        let mut todo: Vec<String> = components(path);
        let mut links = 0;
        while let Some(name) = todo.pop() {
            if name == ".." {
                at.pop();
                dirs.truncate(dirs.len().saturating_sub(1).max(1));
                continue;
            }
            let here = dirs.last().copied().unwrap_or(&self.root);
            match here.entries.get(&name) {
                None => {
                    todo.push(name);
                    return Walk::missing(at, todo);
                }
                Some(Node::Dir(dir)) => {
                    at.push(name);
                    dirs.push(dir);
                }
                Some(Node::Object(Object {
                    target: Some(target),
                    ..
                })) if !todo.is_empty() || last == Last::Follow => {
                    links += 1;
                    if links > LINK_LIMIT {
                        return Walk::Circle;
                    }
                    if target.starts_with('/') {
                        at.clear();
                        dirs.truncate(1);
                    }
                    todo.extend(components(target));
                }
                Some(Node::Object(_) | Node::EmptyFile) => {
                    at.push(name);
                    let through = !todo.is_empty();
                    return if through {
                        Walk::Blocked(at)
                    } else {
                        Walk::There(at)
                    };
                }
            }
        }
        Walk::There(at)
    }
}

impl Walk {
    /// A `..` behind a missing folder leads nowhere; a link to it is as good as broken.
    fn missing(at: Vec<String>, mut todo: Vec<String>) -> Self {
        todo.reverse();
        if todo.iter().any(|name| name == "..") {
            Self::Blocked(at)
        } else {
            Self::Missing(at, todo)
        }
    }
}

fn components(path: &str) -> Vec<String> {
    let parts = path.split('/').filter(|part| !matches!(*part, "" | "."));
    parts.rev().map(str::to_owned).collect()
}
