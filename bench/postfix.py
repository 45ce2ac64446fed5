"""Postfix from Debian, extracted into build/peers and run from a folder of its own.

Tuned for throughput, with what makes it safe left alone: every message is synced before its 250
(Postfix has no switch for that), the queue is on the same file system as everybody's, and nothing
is skipped that a relay does. Turned off is what would measure something else: DNS, look-ups of
client names, TLS, limits per client (one client sends everything here), and the pause that lets
delivery catch up (in_flow_delay).

Needs root, as master(8) does. Postfix wants an unprivileged owner and a group for its drop folder:
`mail` and `news` of a base system serve, so that no user has to be made.
"""

import grp
import os
import pwd
import sys

import mailboxes
import servers

sys.path.append(str(servers.TOP / "scripts"))
import peers

MAIL_OWNER = "mail"
SETGID_GROUP = "news"

# service, type, private, unprivileged, chroot, wakeup, process limit, command
MASTER_CF = """\
127.0.0.1:{port} inet n - n - {smtpd_limit} smtpd
cleanup   unix        n - n - 0 cleanup
qmgr      unix        n - n 300 1 qmgr
rewrite   unix        - - n - - trivial-rewrite
bounce    unix        - - n - 0 bounce
defer     unix        - - n - 0 bounce
trace     unix        - - n - 0 bounce
verify    unix        - - n - 1 verify
flush     unix        n - n 1000? 0 flush
proxymap  unix        - - n - - proxymap
smtp      unix        - - n - - smtp
relay     unix        - - n - - smtp
showq     unix        n - n - - showq
error     unix        - - n - - error
retry     unix        - - n - - error
discard   unix        - - n - - discard
anvil     unix        - - n - 1 anvil
scache    unix        - - n - 1 scache
virtual   unix        - n n - - virtual
postlog   unix-dgram  n - n - 1 postlogd
"""

MAIN_CF = """\
compatibility_level = 3.7
myhostname = bench.example
config_directory = {configuration}
queue_directory = {queue}
data_directory = {data}
daemon_directory = {tree}/usr/lib/postfix/sbin
command_directory = {tree}/usr/sbin
shlib_directory = {tree}/usr/lib/postfix
meta_directory = {configuration}
mail_owner = {mail_owner}
setgid_group = {setgid_group}
import_environment = MAIL_CONFIG TZ LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME LD_LIBRARY_PATH={library_path}
maillog_file = {log}
maillog_file_prefixes = {folder}

inet_interfaces = loopback-only
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
local_transport = error:no local delivery
relayhost = [127.0.0.1]:{next_hop_port}
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions =
message_size_limit = 104857600

disable_dns_lookups = yes
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtpd_peername_lookup = no
smtpd_tls_security_level = none
smtp_tls_security_level = none
smtputf8_enable = no
fast_flush_domains =

in_flow_delay = 0
default_process_limit = 200
default_destination_concurrency_limit = 100
initial_destination_concurrency = 50
smtp_connection_cache_on_demand = yes
smtp_connection_reuse_count_limit = 0
qmgr_message_active_limit = 50000
qmgr_message_recipient_limit = 50000
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_client_message_rate_limit = 0
smtpd_client_recipient_rate_limit = 0
smtpd_client_event_limit_exceptions = 127.0.0.0/8
anvil_rate_time_unit = 60s
max_use = 100000
"""

# virtual(8): one file a message in Maildirs, synced as it always does.
MAILBOXES_CF = """\
virtual_mailbox_domains = {domains}
virtual_mailbox_base = {mailboxes}
virtual_mailbox_maps = texthash:{configuration}/mailboxes
virtual_mailbox_limit = 0
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_transport = virtual
"""

QUEUES = (
    "active bounce corrupt defer deferred flush hold incoming private maildrop public saved trace"
).split()


def check_possible():
    if os.geteuid() != 0:
        raise servers.ServerError("Postfix's master needs root")
    try:
        pwd.getpwnam(MAIL_OWNER), grp.getgrnam(SETGID_GROUP)
    except KeyError as missing:
        raise servers.ServerError(f"Postfix needs a user and a group that are not here: {missing}")


class Postfix(servers.Server):
    name = "postfix"

    def make_folders(self):
        owner = pwd.getpwnam(MAIL_OWNER).pw_uid
        drop_group = grp.getgrnam(SETGID_GROUP).gr_gid
        configuration, queue, data = (self.folder / name for name in ("conf", "queue", "data"))
        for folder in (configuration, queue, data, queue / "pid"):
            folder.mkdir(mode=0o755)
        os.chown(data, owner, -1)
        for name in QUEUES:
            (queue / name).mkdir(mode=0o700)
            os.chown(queue / name, owner, -1)
        os.chown(queue / "public", owner, drop_group)
        os.chown(queue / "maildrop", owner, drop_group)
        (queue / "public").chmod(0o710)
        (queue / "maildrop").chmod(0o730)
        return configuration, queue, data

    def start_command(self):
        check_possible()
        try:
            tree = peers.extract("postfix")
        except peers.Unavailable as reason:
            raise servers.ServerError(str(reason)) from None
        environment = peers.environment(tree)
        configuration, queue, data = self.make_folders()
        facts = {
            "configuration": configuration,
            "queue": queue,
            "data": data,
            "tree": tree,
            "folder": self.folder,
            "log": self.folder / "mail.log",
            "library_path": environment["LD_LIBRARY_PATH"],
            "mail_owner": MAIL_OWNER,
            "setgid_group": SETGID_GROUP,
            "port": self.port,
            "next_hop_port": self.next_hop_port,
            "smtpd_limit": max(200, self.sessions + 50),
        }
        main_cf = MAIN_CF.format(**facts)
        if self.mailboxes is not None:
            _, uid, gid = mailboxes.owner()
            main_cf += MAILBOXES_CF.format(
                domains=" ".join(mailboxes.domains()), mailboxes=self.mailboxes, uid=uid, gid=gid, **facts
            )
            rows = "".join(f"@{domain} {domain}/all/\n" for domain in mailboxes.domains())
            (configuration / "mailboxes").write_text(rows)
        (configuration / "main.cf").write_text(main_cf)
        (configuration / "master.cf").write_text(MASTER_CF.format(**facts))
        command = [tree / "usr/lib/postfix/sbin/master", "-c", configuration, "-d"]
        return command, environment
