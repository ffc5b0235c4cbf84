//! What stands below the help of each verb and in its manual page: a sentence, and the lines that
//! do what it says. A test takes each line through the parser.

pub const RUNTIME: &str = "\
Examples:
  A container from a root file system, from nothing to its end:
    mkdir -p web/rootfs && tar -C web/rootfs -xf web.tar
    sysc-runtime spec --bundle web
    sysc-runtime run --bundle web web
  In the background, looked after and ended by hand:
    sysc-runtime run --detach --bundle web web
    sysc-runtime exec web ps
    sysc-runtime kill web TERM
    sysc-runtime delete web
  In runc's place:
    podman --runtime /usr/bin/sysc-runtime run --rm alpine true
    ctr run --runc-binary /usr/bin/sysc-runtime IMAGE web";

pub const RUN: &str = "\
Examples:
  The bundle in this directory, until its program ends; the status is the program's:
    sysc-runtime run web
  In the background, with the number of the first process in a file:
    sysc-runtime run --detach --bundle /srv/web --pid-file /run/web.pid web
  With the sockets 3 and 4 of the caller:
    sysc-runtime run --preserve-fds 2 web";

pub const EXEC: &str = "\
Examples:
  A shell in the container, on this terminal:
    sysc-runtime exec --tty web sh
  As another user, elsewhere, with a variable of its own:
    sysc-runtime exec --user 33:33 --cwd /srv --env LANG=C web ls -l
  A health check; the status is the program's:
    sysc-runtime exec web wget -q -O /dev/null http://127.0.0.1/
  In the background, as an engine asks for it:
    sysc-runtime exec --detach --process process.json --pid-file x.pid web";

pub const CREATE: &str = "\
Examples:
  Set up now, started later:
    sysc-runtime create --bundle /srv/web web
    sysc-runtime start web
  With a terminal, whose other end goes to a socket of the caller:
    sysc-runtime create --bundle /srv/web --console-socket tty.sock web";

pub const START: &str = "\
Examples:
  The program of a container that 'create' has set up:
    sysc-runtime start web";

pub const STATE: &str = "\
Examples:
  Everything that is known:
    sysc-runtime state web
  One word:
    sysc-runtime state web | jq -r .status";

pub const KILL: &str = "\
Examples:
  Ask the first process to end:
    sysc-runtime kill web
  By another name, and by number:
    sysc-runtime kill web HUP
    sysc-runtime kill web 9
  Every process, also those that the first one has left behind:
    sysc-runtime kill --all web KILL";

pub const HALT: &str = "\
Examples:
  Before SIGTERM, as a unit's ExecStop= has it:
    sysc-runtime halt web
  Before another signal:
    sysc-runtime halt web SIGINT";

pub const DELETE: &str = "\
Examples:
  After its program has ended:
    sysc-runtime delete web
  Whatever it does, and also if there is none:
    sysc-runtime delete --force web";

pub const PS: &str = "\
Examples:
  As the host's 'ps -ef' shows them:
    sysc-runtime ps web
  Other columns; PID must be among them:
    sysc-runtime ps web -o pid,rss,args
  Numbers for a program:
    sysc-runtime ps --format json web";

pub const PAUSE: &str = "\
Examples:
  Hold all processes while their files are copied:
    sysc-runtime pause web
    cp -a /srv/web/data /backup
    sysc-runtime resume web";

pub const RESUME: &str = "\
Examples:
  Let a paused container go on:
    sysc-runtime resume web";

pub const UPDATE: &str = "\
Examples:
  At most half a processor, and 256 MiB:
    sysc-runtime update --cpu-period 100000 --cpu-quota 50000 web
    sysc-runtime update --memory 256M web
  No limit any more:
    sysc-runtime update --pids-limit -1 web
  As linux.resources, from standard input:
    echo '{\"pids\": {\"limit\": 100}}' | sysc-runtime update --resources - web";

pub const EVENTS: &str = "\
Examples:
  Figures once:
    sysc-runtime events --stats web
  Every second, until the container ends; a kill for want of memory as soon as it is seen:
    sysc-runtime events --interval 1s web
  How much memory it uses, in bytes:
    sysc-runtime events --stats web | jq .data.memory.usage.usage";

pub const LIST: &str = "\
Examples:
  A table for people:
    sysc-runtime list
  Names, for a loop:
    sysc-runtime list --quiet
  Everything, for a program:
    sysc-runtime list --format json";

pub const SPEC: &str = "\
Examples:
  A config.json in this directory, to be edited:
    sysc-runtime spec
  For a user without privileges, in another directory:
    sysc-runtime spec --rootless --bundle /home/me/web";

pub const FEATURES: &str = "\
Examples:
  Whether containers can have their mounts' owners mapped:
    sysc-runtime features | jq .linux.mountExtensions.idmap.enabled";
