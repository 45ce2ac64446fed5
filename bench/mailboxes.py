"""Mailboxes as the place where mail arrives: counts and compares what a server has put there.

A folder for each domain, in it Maildirs whose owner is everybody's: the servers deliver as `mail`
when they may. Looked at seldom, since that costs time that the servers could use.
"""

import os
import pathlib
import pwd
import re
import time

DOMAINS = 100
DOMAIN = "d{}.mailboxes.example"  # as the generator fills it in
OWNER = "mail"
LOOK_SECONDS = 0.25


def owner():
    """(name, uid, gid) as which mail is stored: OWNER when we are root, else we ourselves."""
    found = pwd.getpwnam(OWNER) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    return found.pw_name, found.pw_uid, found.pw_gid


def domains():
    return [DOMAIN.format(number) for number in range(DOMAINS)]


class Mailboxes:
    """What run.py asks of a sink."""

    process = None

    def __init__(self, folder):
        self.folder = folder
        self.path = folder / "mailboxes"
        self.path.mkdir(mode=0o755)
        _, uid, gid = owner()
        for domain in domains():
            (self.path / domain).mkdir(mode=0o755)
            os.chown(self.path / domain, uid, gid)
        os.chown(self.path, uid, gid)
        self.last_look = 0.0
        self.known = {"messages": 0, "duplicates": 0, "last_ns": 0}

    def new_files(self):
        for domain in os.scandir(self.path):
            for user in os.scandir(domain):
                try:
                    yield from os.scandir(f"{user.path}/new")
                except FileNotFoundError:
                    pass

    def stats(self):
        """No duplicates here: those are told by the ids at the end."""
        if time.monotonic() - self.last_look >= LOOK_SECONDS:
            self.known["messages"] = sum(1 for _ in self.new_files())
            self.last_look = time.monotonic()
        return self.known

    def finish(self):
        """Reads everything: the ids into a file, and when the last one came, as monotonic time."""
        last = 0
        with open(self.ids, "w", encoding="ascii") as ids:
            for entry in self.new_files():
                last = max(last, entry.stat().st_ctime_ns)
                text = pathlib.Path(entry.path).read_bytes()[:4096]
                ids.write(re.search(rb"\nX-Bench-Id: (\S+)", text)[1].decode() + "\n")
        self.known["last_ns"] = last - time.time_ns() + time.monotonic_ns()
        return self.known

    @property
    def ids(self):
        return self.folder / "mailboxes.ids"

    def stop(self):
        pass
