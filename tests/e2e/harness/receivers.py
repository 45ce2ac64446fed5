"""Mail servers of others that take what postrider delivers: Postfix, Exim, OpenSMTPD, chasquid,
aiosmtpd, Dovecot and smtp-sink.

Unpacked from Debian's packages (scripts/peers.py). Postfix and Exim insist on root, and their
children give it up: their folders lie in /tmp and are open to read.
"""

import os
import pathlib
import pwd
import shutil
import tempfile

import peers

from .process import Program, answers, listens, wait_until

needs_root = "Postfix and Exim start as root only"


class Receiver:
    def __init__(self, host, port):
        self.host, self.port = host, port
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postrider-peer-"))
        self.folder.chmod(0o755)
        self.mail = self.folder / "mail"
        self.mail.mkdir()
        self.program = None

    def run(self, name, command, environment, is_up=answers):
        self.program = Program(self.folder, name, command, environment)
        self.program.start()
        self.program.wait_for(lambda: is_up(self.host, self.port), 15, f"{name} answers")
        return self

    def stop(self):
        if self.program:
            self.program.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def files(self):
        """The messages that are there, oldest first."""
        found = [path for path in self.mail.rglob("*")
                 if path.is_file() and "tmp" not in path.relative_to(self.mail).parts]
        return sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name))

    def wait_messages(self, count, timeout_s=30):
        wait_until(lambda: len(self.files()) >= count, timeout_s,
                   lambda: f"{count} messages at {type(self).__name__}, there are "
                           f"{len(self.files())}\n{self.log()}")
        return [path.read_bytes() for path in self.files()]

    def log(self):
        logs = [path for path in self.folder.glob("*.log")] + list(self.folder.glob("log/*"))
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in logs if path.is_file())


class Postfix(Receiver):
    """Keeps all mail of `domain` in one Maildir."""

    def __init__(self, host, port, domain, settings=""):
        super().__init__(host, port)
        self.domain, self.settings = domain, settings

    def start(self):
        root = peers.extract("postfix")
        config, queue = self.folder / "etc", self.folder / "queue"
        owner, group = pwd.getpwnam("news"), "operator" # any two that nobody else uses
        nobody = pwd.getpwnam("nobody")
        config.mkdir()
        for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming",
                     "maildrop", "pid", "private", "public", "saved", "trace"):
            (queue / name).mkdir(parents=True)
            if name != "pid":
                os.chown(queue / name, owner.pw_uid, -1)
        (self.folder / "data").mkdir()
        os.chown(self.folder / "data", owner.pw_uid, owner.pw_gid)
        os.chown(self.mail, nobody.pw_uid, nobody.pw_gid)
        (config / "main.cf").write_text(f"""
compatibility_level = 3.6
queue_directory = {queue}
data_directory = {self.folder}/data
daemon_directory = {root}/usr/lib/postfix/sbin
command_directory = {root}/usr/sbin
shlib_directory = {root}/usr/lib/postfix
meta_directory = {config}
import_environment = LD_LIBRARY_PATH MAIL_CONFIG TZ LANG=C
mail_owner = {owner.pw_name}
setgid_group = {group}
default_privs = daemon
maillog_file = {self.folder}/postfix.log
maillog_file_prefixes = /tmp
myhostname = mx.{self.domain}
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 192.0.2.1/32
smtpd_peername_lookup = no
smtpd_recipient_restrictions = reject_unauth_destination
message_size_limit = 60000000
mailbox_size_limit = 0
virtual_mailbox_limit = 0
virtual_mailbox_domains = {self.domain}
virtual_mailbox_maps = static:all/
virtual_mailbox_base = {self.mail}
virtual_uid_maps = static:{nobody.pw_uid}
virtual_gid_maps = static:{nobody.pw_gid}
alias_maps =
local_recipient_maps =
{self.settings}
""")
        (config / "master.cf").write_text(f"""
{self.host}:{self.port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
tlsmgr unix - - n 1000? 1 tlsmgr
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
""")
        environment = {**peers.environment(root), "MAIL_CONFIG": str(config)}
        return self.run("master", [root / "usr/lib/postfix/sbin/master", "-d", "-c", config], environment)


class Exim(Receiver):
    """Keeps all mail of `domain` in one Maildir."""

    def __init__(self, host, port, domain):
        super().__init__(host, port)
        self.domain = domain

    def start(self):
        root = peers.extract("exim4-daemon-light")
        nobody = pwd.getpwnam("nobody")
        for name in ("spool", "log"):
            (self.folder / name).mkdir()
            os.chown(self.folder / name, nobody.pw_uid, nobody.pw_gid)
        os.chown(self.mail, nobody.pw_uid, nobody.pw_gid)
        config = self.folder / "exim.conf"
        config.write_text(f"""
exim_path = {root}/usr/sbin/exim4
keep_environment = LD_LIBRARY_PATH
exim_user = nobody
exim_group = nogroup
primary_hostname = mx.{self.domain}
spool_directory = {self.folder}/spool
log_file_path = {self.folder}/log/%slog
pid_file_path = {self.folder}/exim.pid
local_interfaces = {self.host}
daemon_smtp_ports = {self.port}
tls_advertise_hosts =
host_lookup =
rfc1413_query_timeout = 0s
message_size_limit = 60M
acl_smtp_rcpt = check_rcpt
begin acl
check_rcpt:
  accept domains = {self.domain}
  deny message = relay not permitted
begin routers
all:
  driver = accept
  transport = maildir
begin transports
maildir:
  driver = appendfile
  directory = {self.mail}/all
  maildir_format
  user = nobody
  group = nogroup
  message_prefix =
  message_suffix =
begin retry
* * F,1h,1m
""")
        # The user that Debian's Exim was built for has to exist: a list of users with it is laid over
        # /etc/passwd in a mount name space that this Exim alone sees.
        users, groups = self.folder / "passwd", self.folder / "group"
        users.write_text(pathlib.Path("/etc/passwd").read_text() + f"Debian-exim:x:{nobody.pw_uid}:"
                         f"{nobody.pw_gid}::/nonexistent:/usr/sbin/nologin\n")
        groups.write_text(pathlib.Path("/etc/group").read_text() + f"Debian-exim:x:{nobody.pw_gid}:\n")
        script = (f"mount --bind {users} /etc/passwd && mount --bind {groups} /etc/group && "
                  f"LD_LIBRARY_PATH={peers.environment(root)['LD_LIBRARY_PATH']} "
                  f"exec {root}/usr/sbin/exim4 -C {config} -bdf -q1h")
        return self.run("exim", ["unshare", "--mount", "sh", "-c", script], None)


class Dovecot(Receiver):
    """LMTP into Maildirs, at an address and at a Unix socket. `users`: names with a quota in bytes, or
    None."""

    def __init__(self, host, port, users):
        super().__init__(host, port)
        self.users = users
        self.socket = self.folder / "lmtp"

    def start(self):
        root = peers.extract("dovecot-lmtpd")
        nobody = pwd.getpwnam("nobody")
        os.chown(self.mail, nobody.pw_uid, nobody.pw_gid)
        users = self.folder / "users"
        users.write_text("".join(
            f"{name}:{{PLAIN}}x:{nobody.pw_uid}:{nobody.pw_gid}::{self.mail}/{name}::"
            f"{f'userdb_quota_rule=*:bytes={quota}' if quota else ''}\n"
            for name, quota in self.users.items()))
        config = self.folder / "etc" / "dovecot"
        config.mkdir(parents=True)
        for name in ("run", "state"):
            (self.folder / name).mkdir()
        (config / "dovecot.conf").write_text(f"""
protocols = lmtp
base_dir = {self.folder}/run
state_dir = {self.folder}/state
log_path = {self.folder}/dovecot.log
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = daemon
first_valid_uid = 1
ssl = no
mail_plugins = quota
mail_location = maildir:~/Maildir
postmaster_address = postmaster@store.test
hostname = store.test
recipient_delimiter = +
auth_username_format = %n
plugin {{
  quota = count:User
  quota_vsizes = yes
}}
passdb {{
  driver = passwd-file
  args = {users}
}}
userdb {{
  driver = passwd-file
  args = {users}
}}
service lmtp {{
  inet_listener lmtp {{
    address = {self.host}
    port = {self.port}
  }}
  unix_listener {self.socket} {{
    mode = 0666
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
""")
        # Paths are built into Dovecot: its package is laid over this system in a mount name space of
        # its own.
        script = (f"mount -t overlay overlay -o lowerdir={root}/usr:/usr /usr && "
                  f"mount -t overlay overlay -o lowerdir={self.folder}/etc:/etc /etc && "
                  "exec dovecot -F")
        return self.run("dovecot", ["unshare", "--mount", "sh", "-c", script], None)

    def inbox(self, user):
        """The messages of a user, with the line ends of SMTP."""
        found = sorted((self.mail / user / "Maildir" / "new").glob("*"),
                       key=lambda path: path.stat().st_mtime_ns)
        return [path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for path in found]

    def wait_inbox(self, user, count=1, timeout_s=20):
        wait_until(lambda: len(self.inbox(user)) >= count, timeout_s,
                   lambda: f"{count} messages for {user}, there are {len(self.inbox(user))}\n"
                           f"{self.log()}")
        return self.inbox(user)


class OpenSmtpd(Receiver):
    """Keeps all mail of `domain` in one Maildir. Offers DSN, but no PIPELINING."""

    def __init__(self, host, port, domain):
        super().__init__(host, port)
        self.domain = domain

    def start(self):
        root = peers.extract("opensmtpd")
        os.chown(self.mail, pwd.getpwnam("nobody").pw_uid, -1)
        etc = self.folder / "etc"
        etc.mkdir()
        (etc / "smtpd.conf").write_text(f"""
table all {{ "@" = "nobody" }}
listen on {self.host} port {self.port}
action "keep" maildir "{self.mail}/all" virtual <all>
match from any for domain "{self.domain}" action "keep"
""")
        home = "/var/lib/opensmtpd/empty"
        for name, line in (("passwd", f"opensmtp{{0}}:x:{{1}}:{{1}}::{home}:/usr/sbin/nologin\n"),
                           ("group", "opensmtp{0}:x:{1}:\n")):
            (etc / name).write_text(pathlib.Path(f"/etc/{name}").read_text()
                                    + line.format("d", 951) + line.format("q", 952))
        # Its paths and users are built in: see Dovecot.
        script = (f"mount -t overlay overlay -o lowerdir={root}/usr:/usr /usr && "
                  f"mount -t overlay overlay -o lowerdir={etc}:/etc /etc && "
                  "mount -t tmpfs none /var/spool && mkdir -m 711 /var/spool/smtpd && "
                  "mount -t tmpfs none /run && mount -t tmpfs none /var/lib && "
                  f"mkdir -p {home} && chmod 755 /var/lib/opensmtpd {home} && "
                  f"LD_LIBRARY_PATH={peers.environment(root)['LD_LIBRARY_PATH']} "
                  "exec smtpd -d -f /etc/smtpd.conf")
        return self.run("smtpd", ["unshare", "--mount", "sh", "-c", script], None)


class Chasquid(Receiver):
    """Keeps mail of `user` at `domain`, a file each. Offers SMTPUTF8, and TLS with the certificate
    whose files are fullchain.pem and privkey.pem of `certificates`."""

    def __init__(self, host, port, domain, user, certificates):
        super().__init__(host, port)
        self.domain, self.user, self.certificates = domain, user, certificates

    def start(self):
        root = peers.extract("chasquid")
        config = self.folder / "config"
        shutil.copytree(self.certificates, config / "certs" / f"mx.{self.domain}")
        (config / "domains" / self.domain).mkdir(parents=True)
        script = self.folder / "keep"
        script.write_text(f"#!/bin/sh\nexec cat >{self.mail}/$(date +%s%N).$$\n")
        script.chmod(0o755)
        (config / "domains" / self.domain / "aliases").write_text(f"{self.user}: | {script}\n")
        (config / "chasquid.conf").write_text(f"""
hostname: "mx.{self.domain}"
smtp_address: "{self.host}:{self.port}"
submission_address: "{self.host}:0"
submission_over_tls_address: "{self.host}:0"
data_dir: "{self.folder}/data"
mail_log_path: "<stderr>"
""")
        program = next(root.glob("usr/**/bin/chasquid"))
        return self.run("chasquid", [program, "-config_dir", config, "-logtime=false"], None)


AIOSMTPD = """
import pathlib, sys, time
from aiosmtpd.controller import Controller
folder = pathlib.Path(sys.argv[3])
class Keep:
    async def handle_DATA(self, server, session, envelope):
        said = [envelope.mail_from, *envelope.rcpt_tos, *map(str, envelope.mail_options)]
        path = folder / str(time.time_ns())
        path.write_bytes("\\n".join(said).encode() + b"\\n\\n" + envelope.original_content)
        return "250 2.0.0 kept"
Controller(Keep(), hostname=sys.argv[1], port=int(sys.argv[2]), enable_SMTPUTF8=sys.argv[4] == "utf8",
           decode_data=False, data_size_limit=50_000_000).start()
while True:
    time.sleep(100)
"""


class Aiosmtpd(Receiver):
    """Keeps each message behind what MAIL and RCPT said. Offers SMTPUTF8 when told so."""

    def __init__(self, host, port, utf8):
        super().__init__(host, port)
        self.utf8 = utf8

    def start(self):
        root = peers.extract("python3-aiosmtpd")
        environment = {**os.environ, "PYTHONPATH": str(root / "usr/lib/python3/dist-packages")}
        return self.run("aiosmtpd", ["/usr/bin/python3", "-c", AIOSMTPD, self.host, self.port,
                                     self.mail, "utf8" if self.utf8 else "ascii"], environment)


class SmtpSink(Receiver):
    """smtp-sink of Postfix with options that make it fail in many ways."""

    def __init__(self, host, port, *options):
        super().__init__(host, port)
        self.options = options

    def start(self):
        root = peers.extract("postfix")
        command = [root / "usr/sbin/smtp-sink", "-d", f"{self.mail}/%M."]
        if os.geteuid() == 0:
            os.chown(self.mail, pwd.getpwnam("nobody").pw_uid, -1)
            command += ["-u", "nobody"]
        # Told to, it greets nobody.
        return self.run("smtp-sink", [*command, *self.options, f"{self.host}:{self.port}", "100"],
                        peers.environment(root), listens)


def smtp_source():
    """The command of Postfix's load generator and its environment."""
    root = peers.extract("postfix")
    return root / "usr/sbin/smtp-source", peers.environment(root)
