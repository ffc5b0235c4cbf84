//! Who an ordinary image runs as: `User` of its configuration, looked up in the image's own
//! `/etc/passwd` and `/etc/group`, by the rules that podman and runc follow.

use super::Error;

/// Numeric identity of the container's process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    pub uid: u32,
    pub gid: u32,
    pub additional_gids: Vec<u32>,
    /// From passwd; `/` where the user is not there.
    pub home: String,
}

/// One line of passwd: `name:password:uid:gid:comment:home:shell`.
struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// One line of group: `name:password:gid:member,member`.
struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

/// Looks up `user` (nothing, `uid`, `uid:gid`, `name`, `name:group` or mixed). A name must be in
/// the image; a number need not. Additional groups are those that list the user, unless the
/// image names a group itself.
pub(super) fn look_up(user: &str, passwd: &str, group: &str) -> Result<Identity, Error> {
    let refuse = |problem: String| Error::ImageUser {
        user: user.to_owned(),
        problem,
    };
    let (who, in_group) = match user.split_once(':') {
        Some((who, in_group)) => (who, Some(in_group).filter(|group| !group.is_empty())),
        None => (user, None),
    };
    let who = if who.is_empty() { "0" } else { who };
    let number = who.parse::<u32>().ok();
    let account =
        accounts(passwd).find(|account| account.name == who || number == Some(account.uid));
    let mut identity = match (&account, number) {
        (Some(found), _) => Identity {
            uid: found.uid,
            gid: found.gid,
            home: found.home.to_owned(),
            ..Identity::default()
        },
        (None, Some(uid)) => Identity {
            uid,
            ..Identity::default()
        },
        (None, None) => {
            return Err(refuse(format!(
                "'{who}' is not in /etc/passwd of the image"
            )));
        }
    };
    if identity.home.is_empty() {
        identity.home = "/".to_owned();
    }
    match (in_group, account) {
        (Some(wanted), _) => {
            let found = groups(group)
                .find(|group| group.name == wanted)
                .map(|group| group.gid);
            let gid = found.or_else(|| wanted.parse().ok());
            identity.gid = gid.ok_or_else(|| {
                refuse(format!(
                    "group '{wanted}' is not in /etc/group of the image"
                ))
            })?;
        }
        (None, Some(account)) => {
            let member = |group: &Group<'_>| group.members.split(',').any(|m| m == account.name);
            identity.additional_gids = groups(group).filter(member).map(|g| g.gid).collect();
        }
        (None, None) => {}
    }
    Ok(identity)
}

/// Lines that are not of the form are passed over.
fn accounts(passwd: &str) -> impl Iterator<Item = Account<'_>> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Account {
            name,
            uid,
            gid,
            home: fields.nth(1).unwrap_or_default(),
        })
    })
}

fn groups(group: &str) -> impl Iterator<Item = Group<'_>> {
    group.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let gid = fields.nth(1)?.parse().ok()?;
        Some(Group {
            name,
            gid,
            members: fields.next().unwrap_or_default(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
        web:x:33:34:,,,:/srv/web:/bin/false\n\
        # a comment\n\
        broken:x:notanumber:1::/:/bin/sh\n\
        bare:x:44:45\n";
    const GROUP: &str = "root:x:0:\nadm:x:4:web,root\nwww:x:34:\nlog:x:50:other,web\n";

    #[test]
    fn users_are_looked_up_as_podman_does() {
        // User; uid, gid, additional groups, home.
        let cases: [(&str, u32, u32, &[u32], &str); 12] = [
            ("", 0, 0, &[4], "/root"),
            ("0", 0, 0, &[4], "/root"),
            ("root", 0, 0, &[4], "/root"),
            ("web", 33, 34, &[4, 50], "/srv/web"),
            ("33", 33, 34, &[4, 50], "/srv/web"),
            ("33:7", 33, 7, &[], "/srv/web"),
            ("web:log", 33, 50, &[], "/srv/web"),
            ("web:50", 33, 50, &[], "/srv/web"),
            ("web:", 33, 34, &[4, 50], "/srv/web"),
            ("1000", 1000, 0, &[], "/"),
            ("1000:1001", 1000, 1001, &[], "/"),
            ("bare", 44, 45, &[], "/"),
        ];
        for (user, uid, gid, additional, home) in cases {
            let right = Identity {
                uid,
                gid,
                additional_gids: additional.to_vec(),
                home: home.to_owned(),
            };
            assert_eq!(look_up(user, PASSWD, GROUP).unwrap(), right, "{user}");
        }
        let nothing = look_up("", "", "").unwrap();
        assert_eq!(
            nothing,
            Identity {
                home: "/".to_owned(),
                ..Identity::default()
            }
        );
    }

    #[test]
    fn a_name_that_is_not_in_the_image_is_an_error() {
        let cases = [
            ("nobody", "'nobody' is not in /etc/passwd"),
            ("broken", "'broken' is not in /etc/passwd"),
            ("web:nogroup", "group 'nogroup' is not in /etc/group"),
            ("4294967296", "'4294967296' is not in /etc/passwd"),
            ("-1", "'-1' is not in /etc/passwd"),
        ];
        for (user, named) in cases {
            let message = look_up(user, PASSWD, GROUP).expect_err(user).to_string();
            assert!(message.contains(named), "{user}: {message}");
        }
    }
}
