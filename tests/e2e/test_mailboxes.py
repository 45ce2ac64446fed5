"""Delivery into mailboxes and commands by the real program: as whom, what local users try, and kills."""

import os
import pathlib
import pwd
import random
import re
import shutil
import subprocess
import tempfile
import time

import pytest

from conftest import FULL
from harness.process import Trouble, children, wait_until

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")
MAIL_USER = pwd.getpwnam("nobody")
ANN, BOB = 61001, 61002 # uids of the users file; nobody need have an account
TEXT = b"Subject: a test\r\n\r\nhello\r\n.dot\r\n"
STORED = b"Subject: a test\n\nhello\n.dot\n"


class Town:
    """A domain with mailboxes under a folder that other users may enter."""

    def __init__(self, start_postrider, deliver=None, users="", more="", **options):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postrider-town-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.mail = self.folder / "mail"
        self.mail.mkdir()
        self.mail.chmod(0o755)
        if os.geteuid() == 0 and str(ANN) not in users: # a base is root's, or the one user's
            os.chown(self.mail, MAIL_USER.pw_uid, MAIL_USER.pw_gid)
        self.users = self.folder / "users"
        self.users.write_text(users or "ann\nbob\ncarl\n")
        self.users.chmod(0o600)
        self.start_postrider = start_postrider
        self.options = options
        self.extra = (
            "domain box.test {\n"
            f"  users file:{self.users}\n"
            f"  deliver {deliver or f'maildir:{self.mail}/{{user}}'}\n"
            "}\n"
            "agent {\n"
            f"  user {MAIL_USER.pw_name}\n"
            f"  {more}\n"
            "}\n"
            "queue { retry-first 1s  retry-max 2s }\n")
        self.server = None

    def start(self):
        self.server = self.start_postrider(extra=self.extra, **self.options)
        return self

    def stop(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def send(self, *users, content=TEXT, sender="sender@client.test"):
        self.server.send(content, sender=sender, recipients=[f"{user}@box.test" for user in users])

    def files(self, user, folder="new"):
        path = self.mail / user / folder
        return sorted(path.iterdir()) if path.is_dir() else []

    def wait_files(self, user, count, timeout_s=10):
        wait_until(lambda: len(self.files(user)) >= count, timeout_s,
                   lambda: f"{count} files of {user}; {self.server.log()[-3000:]}")
        return self.files(user)

    def wait_deferred(self, user, code, timeout_s=10):
        wait_until(lambda: re.search(rf"message-deferred .* to={user}@box.test .*reply=\"{code}", self.server.log()),
                   timeout_s, lambda: f"{user} is deferred with {code}; {self.server.log()[-3000:]}")

    def agent(self):
        """The child of the supervisor with one thread that is there longest."""
        engine = self.server.engine()
        return wait_until(lambda: [pid for pid in children(self.server.supervisor()) if pid != engine], 10,
                          "an agent runs")[0]


@pytest.fixture
def town(start_postrider, ends):
    def start(*arguments, **options):
        made = Town(start_postrider, *arguments, **options)
        ends.insert(0, made)
        return made
    return start


def owner_of(path):
    return os.stat(path).st_uid


def test_a_message_becomes_a_file(town):
    town = town().start()
    town.send("ann", "bob")
    for user in ("ann", "bob"):
        (file,) = town.wait_files(user, 1)
        content = file.read_bytes()
        assert content.startswith(b"Return-Path: <sender@client.test>\nDelivered-To: %s@box.test\nReceived: "
                                  % user.encode())
        assert content.endswith(STORED) and b"\r" not in content
        assert file.stat().st_mode & 0o777 == 0o600 and not town.files(user, "tmp")
        assert f",S={len(content)}" in file.name
        if os.geteuid() == 0:
            assert owner_of(file) == owner_of(file.parent) == MAIL_USER.pw_uid
    large = b"Subject: large\r\n\r\n" + b"x" * 70 * 1000 * 70 + b"\r\n"
    town.send("ann", content=large.replace(b"x" * 70, b"x" * 68 + b"\r\n"))
    file = max(town.wait_files("ann", 2), key=lambda path: path.stat().st_size)
    assert file.read_bytes().count(b"x" * 68 + b"\n") == 70 * 1000


def test_a_loop_ends_in_a_bounce(town):
    town = town().start()
    town.send("ann", content=b"Delivered-To: ANN@box.test\r\n\r\nagain\r\n", sender="bob@box.test")
    (bounce,) = town.wait_files("bob", 1)
    assert b"5.4.6" in bounce.read_bytes() and not town.files("ann")


@as_root
def test_each_user_is_itself(town):
    town = town(users=f"ann:x:{ANN}:{ANN}:/nowhere\nbob:x:{BOB}:{BOB}:/nowhere\ncarl\n").start()
    for user, uid in (("ann", ANN), ("bob", BOB), ("carl", MAIL_USER.pw_uid)):
        (town.mail / user).mkdir(mode=0o700)
        os.chown(town.mail / user, uid, -1)
    town.send("ann", "bob", "carl")
    for user, uid in (("ann", ANN), ("bob", BOB), ("carl", MAIL_USER.pw_uid)):
        (file,) = town.wait_files(user, 1)
        assert owner_of(file) == uid
    hands = children(town.agent())
    assert len(hands) == 3
    for hand in hands:
        status = pathlib.Path(f"/proc/{hand}/status").read_text()
        uids = set(re.search(r"Uid:\s(.*)", status)[1].split())
        assert len(uids) == 1 and int(uids.pop()) in (ANN, BOB, MAIL_USER.pw_uid)
        assert re.search(r"Groups:\s*\n", status) and re.search(r"CapEff:\s0+\n", status)
        opened = {os.readlink(f"/proc/{hand}/fd/{fd}") for fd in os.listdir(f"/proc/{hand}/fd")}
        assert all(name == "/dev/null" or name.startswith(("socket:", "anon_inode:")) for name in opened), opened


@as_root
@pytest.mark.parametrize("user, why", [("root", "mailboxes are never written to as root"),
                                       ("nobody-at-all", "there is no such user")])
def test_nobody_delivers_as_root(town, user, why):
    made = town()
    made.extra = made.extra.replace(f"user {MAIL_USER.pw_name}", f"user {user}")
    with pytest.raises(Trouble, match=f"agent user {user}: {why}"):
        made.start()


# What a user tries, who may do what he likes in his own folder: nothing comes to be anywhere else.

def plant_symlink(path, outside):
    path.symlink_to(outside)


def plant_fifo(path, outside):
    os.mkfifo(path)


def plant_file(path, outside):
    path.write_text("")


def plant_open_folder(path, outside):
    path.mkdir()
    path.chmod(0o777)


@as_root
@pytest.mark.parametrize("where", ["", "new", "tmp", "cur"])
@pytest.mark.parametrize("plant", [plant_symlink, plant_fifo, plant_file, plant_open_folder])
def test_nothing_leaves_the_mailbox(town, plant, where):
    town = town(users=f"ann:x:{ANN}:{ANN}:/nowhere\n").start()
    outside = town.folder / "outside"
    for path in (outside, outside / "new", outside / "tmp", outside / "cur"):
        path.mkdir(mode=0o700)
        os.chown(path, ANN, ANN)
    mailbox = town.mail / "ann"
    if where:
        mailbox.mkdir(mode=0o700)
        os.chown(mailbox, ANN, ANN)
    trap = mailbox / where if where else mailbox
    plant(trap, outside)
    os.chown(trap, ANN, ANN, follow_symlinks=False)
    town.send("ann")
    town.wait_deferred("ann", "450 4.2.0")
    assert not any(files for _, _, files in os.walk(outside))
    # Once it is put right the mail is there.
    trap.rmdir() if trap.is_dir() and not trap.is_symlink() else trap.unlink()
    if not where:
        mailbox.mkdir(mode=0o700)
        os.chown(mailbox, ANN, ANN)
    assert len(town.wait_files("ann", 1)) == 1


@as_root
def test_the_mailbox_of_another_user_is_left_alone(town):
    town = town(users=f"ann:x:{ANN}:{ANN}:/nowhere\n").start()
    mailbox = town.mail / "ann"
    for path in (mailbox, mailbox / "new", mailbox / "tmp", mailbox / "cur"):
        path.mkdir()
        path.chmod(0o755)
        os.chown(path, BOB, BOB)
    town.send("ann")
    town.wait_deferred("ann", "450 4.2.0")
    assert not any(files for _, _, files in os.walk(mailbox))


@as_root
def test_a_hard_link_gives_nobody_anything(town):
    """A user may link what is his; a link to what is not, planted where mail is written, is never opened."""
    town = town(users=f"ann:x:{ANN}:{ANN}:/nowhere\n").start()
    secret = town.folder / "secret"
    secret.write_text("precious\n")
    secret.chmod(0o600)
    mailbox = town.mail / "ann"
    for path in (mailbox, mailbox / "new", mailbox / "tmp", mailbox / "cur"):
        path.mkdir(mode=0o700)
        os.chown(path, ANN, ANN)
    for folder in ("tmp", "new"):
        os.link(secret, mailbox / folder / "1.link")
    town.send("ann")
    town.wait_files("ann", 2)
    assert secret.read_text() == "precious\n" and owner_of(secret) == 0


RACE = """
import os, sys
mailbox, outside = sys.argv[1:]
while True:
    for name in ("new", "tmp"):
        try:
            os.rename(f"{mailbox}/{name}", f"{mailbox}/{name}.real")
            os.symlink(f"{outside}/{name}", f"{mailbox}/{name}")
            os.unlink(f"{mailbox}/{name}")
            os.rename(f"{mailbox}/{name}.real", f"{mailbox}/{name}")
        except OSError:
            for step in (lambda: os.unlink(f"{mailbox}/{name}"), lambda: os.rmdir(f"{mailbox}/{name}"),
                         lambda: os.rename(f"{mailbox}/{name}.real", f"{mailbox}/{name}")):
                try:
                    step()
                except OSError:
                    pass
"""


@as_root
def test_a_race_of_renames_gains_nothing(town):
    town = town(users=f"ann:x:{ANN}:{ANN}:/nowhere\n").start()
    outside, mailbox = town.folder / "outside", town.mail / "ann"
    for top in (outside, mailbox):
        for path in (top, top / "new", top / "tmp", top / "cur"):
            path.mkdir(mode=0o700)
            os.chown(path, ANN, ANN)
    racer = subprocess.Popen(["/usr/bin/python3", "-c", RACE, mailbox, outside], user=ANN, group=ANN,
                             extra_groups=[])
    try:
        for number in range(100):
            town.send("ann", content=b"Number: %d\r\n\r\n" % number)
    finally:
        time.sleep(1)
        racer.kill()
        racer.wait()
    for name in ("new", "tmp"): # wherever the race has stopped
        real, path = mailbox / f"{name}.real", mailbox / name
        if path.is_symlink():
            path.unlink()
        if real.exists():
            if path.exists():
                for file in path.iterdir():
                    file.rename(real / file.name)
                path.rmdir()
            real.rename(path)
    assert not any(files for _, _, files in os.walk(outside))
    town.wait_files("ann", 100, timeout_s=30)
    numbers = sorted(int(re.search(rb"Number: (\d+)", file.read_bytes())[1]) for file in town.files("ann"))
    assert numbers == list(range(100))


def test_a_full_mailbox_waits(town):
    town = town(users="ann::::\n" if os.geteuid() else f"ann:x:{ANN}:{ANN}:/nowhere:1000\n").start()
    if os.geteuid() == 0:
        (town.mail / "ann").mkdir(mode=0o700)
        os.chown(town.mail / "ann", ANN, ANN)
    else:
        pytest.skip("the quota is in a row with a uid")
    town.send("ann", content=b"Subject: one\r\n\r\n" + b"x" * 600 + b"\r\n")
    town.wait_files("ann", 1)
    town.send("ann", content=b"Subject: two\r\n\r\n" + b"x" * 600 + b"\r\n")
    town.wait_deferred("ann", "452 4.2.2")
    town.files("ann")[0].unlink()
    (file,) = town.wait_files("ann", 1)
    assert b"Subject: two" in file.read_bytes()


@as_root
def test_a_full_file_system_waits(town):
    town = town()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=755", "none", town.mail], check=False,
                          capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no tmpfs here: {done.stderr.strip()}")
    try:
        os.chown(town.mail, MAIL_USER.pw_uid, MAIL_USER.pw_gid)
        town.start()
        filler = town.mail / "filler"
        filler.write_bytes(b"x" * 32768)
        town.send("ann", content=b"Subject: x\r\n\r\n" + b"x\r\n" * 20000)
        town.wait_deferred("ann", "452 4.3.1")
        assert not town.files("ann") and not town.files("ann", "tmp")
        filler.unlink()
        subprocess.run(["mount", "-o", "remount,size=1m", town.mail], check=True)
        assert len(town.wait_files("ann", 1)) == 1
    finally:
        town.server.stop()
        subprocess.run(["umount", "-l", town.mail], check=False)


# Commands

def script(town, text):
    path = town.folder / "command"
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def piped(town, text, arguments="{user} {domain} {sender}", **options):
    made = town(deliver="discard", **options)
    command = script(made, text)
    made.extra = made.extra.replace("deliver discard", f'deliver "pipe:{command} {arguments}"')
    return made.start()


def test_a_command_gets_the_message(town):
    made = piped(town, 'out=$(dirname "$0")/mail/$1; { echo "$#|$1|$2|$3|$SENDER|$RECIPIENT|$HOME|$USER|$(id -u)"; cat; } > $out\n')
    made.send("ann", sender="s+x=y@client.test")
    out = made.mail / "ann"
    wait_until(lambda: out.exists() and out.read_bytes().endswith(STORED), 10, "the command ran")
    first, rest = out.read_bytes().split(b"\n", 1)
    uid = MAIL_USER.pw_uid if os.geteuid() == 0 else os.geteuid()
    assert first == f"3|ann|box.test|s+x=y@client.test|s+x=y@client.test|ann@box.test|/|ann|{uid}".encode()
    assert rest.startswith(b"Return-Path: <s+x=y@client.test>\n")


def test_what_a_command_says_is_told(town):
    made = piped(town, 'echo "who is $1?"; exit 67\n')
    made.send("ann")
    wait_until(lambda: re.search(r'message-failed .*to=ann@box.test .*550 5.1.1 user unknown: who is ann\?',
                                 made.server.log()), 10, lambda: made.server.log()[-2000:])


def test_a_command_that_never_ends_is_ended(town):
    made = piped(town, "trap '' TERM\nwhile :; do sleep 0.2; done\n", more="command-time 1s")
    made.send("ann")
    made.wait_deferred("ann", "451 4.3.0 the command took too long", timeout_s=20)


def test_a_command_that_forks_away_leaves_nothing(town):
    made = piped(town, "setsid sh -c 'exec -a postrider-stray sleep 1000' >/dev/null 2>&1 &\n"
                       "sleep 1000 &\nexit 0\n")
    made.send("ann")
    wait_until(lambda: "message-delivered" in made.server.log(), 10, lambda: made.server.log()[-2000:])
    hands = children(made.agent())
    assert hands and not any(children(hand) for hand in hands)


def test_a_slow_command_holds_up_nobody(town):
    made = piped(town, 'case $1 in ann) sleep 1000;; esac; cat > "$(dirname "$0")/mail/$1"\n')
    made.send("ann")
    for user in ("bob", "carl"):
        made.send(user)
        wait_until(lambda user=user: (made.mail / user).exists(), 5, f"{user} has mail")


def test_discarded_mail_is_gone(town):
    made = town(deliver="discard").start()
    made.send("ann")
    wait_until(lambda: re.search("message-discarded .*to=ann@box.test", made.server.log())
               and made.server.queue_length() == 0, 10, lambda: made.server.log()[-2000:])


def test_a_reload_brings_new_users_and_loses_nothing(town):
    made = town(users="ann\n").start()
    first = made.agent()
    for number in range(20):
        made.send("ann", content=b"Number: %d\r\n\r\n" % number)
        if number == 10:
            made.users.write_text("ann\ndora\n")
            made.server.command("reload")
    made.wait_files("ann", 20)
    wait_until(lambda: made.agent() != first, 20, "the agent has begun again")
    made.send("dora")
    assert len(made.wait_files("dora", 1)) == 1 and len(made.files("ann")) == 20


# Kills: what was acknowledged is in the mailbox, once.

def numbered(town, user):
    found = []
    for folder in ("new", "cur"):
        for file in town.files(user, folder):
            found.append(int(re.search(rb"\nNumber: (\d+)\n", file.read_bytes())[1]))
    return sorted(found)


@pytest.mark.parametrize("what", ["agent", "hands", "engine", "everything"])
def test_kill_9_under_load(town, what):
    draw = random.Random(what)
    made = town().start()
    kills = 40 if FULL else 8
    acknowledged = []
    number = 0
    for _ in range(kills):
        end = time.monotonic() + draw.random() * 0.6
        while time.monotonic() < end:
            try:
                with made.server.smtp(5) as client:
                    for _ in range(10):
                        number += 1
                        refused = client.sendmail("s@client.test", ["ann@box.test", "bob@box.test"],
                                                  b"Number: %d\r\n\r\nx\r\n" % number)
                        assert not refused
                        acknowledged.append(number)
            except OSError:
                pass
            # A reader takes what is new, as readers do.
            for file in made.files("ann")[:5]:
                (made.mail / "ann" / "cur").mkdir(exist_ok=True)
                file.rename(made.mail / "ann" / "cur" / f"{file.name}:2,S")
        if what == "agent":
            os.kill(made.agent(), 9)
        elif what == "hands":
            for hand in children(made.agent()):
                os.kill(hand, 9)
        elif what == "engine":
            made.server.kill_engine()
            made.server.wait_answering()
        else:
            made.server.kill()
            made.server.start()

    def lost(user):
        return sorted(set(acknowledged) - set(numbered(made, user)))
    # An engine that has just started lists nothing yet: the mailboxes tell.
    wait_until(lambda: not lost("ann") and not lost("bob"), 60, lambda: f"{lost('ann')} {lost('bob')} have come")
    wait_until(lambda: made.server.queue_length() == 0, 60, lambda: made.server.log()[-3000:])
    for user in ("ann", "bob"):
        found = numbered(made, user)
        assert len(found) == len(set(found)), "doubles"
