"""The servers that are measured: each is started in a folder of its own, with what it listens on
and where its mail goes, and stopped with every process it has left.

A new server is a class with start_command(); run.py knows nothing else about it.
"""

import os
import pwd
import pathlib
import signal
import socket
import subprocess
import sys
import time

import accounting
import mailboxes

TOP = pathlib.Path(__file__).resolve().parent.parent
START_SECONDS = 20
STOP_SECONDS = 20


class ServerError(Exception):
    """A server cannot be used here; the text says why."""


def free_ports(count):
    """Ports that nothing listens on. All are held at once, so that none comes twice."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


class Server:
    name = ""

    def __init__(self, folder, next_hop_port, sessions, build):
        self.folder = folder
        (self.port,) = free_ports(1)
        self.next_hop_port = next_hop_port
        self.sessions = sessions
        self.build = build
        self.mailboxes = None  # a path: where mail for mailboxes.domains() goes
        self.process = None

    def start_command(self):
        """Writes the configuration; returns (command, environment)."""
        raise NotImplementedError

    def start(self):
        command, environment = self.start_command()
        with open(self.folder / "server.out", "wb") as output:
            self.process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.greets():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise ServerError(f"{self.name} did not start:\n{self.last_words()}")
            time.sleep(0.05)

    def greets(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as peer:
                return peer.recv(1024).startswith(b"220")
        except OSError:
            return False

    def last_words(self):
        said = []
        for path in sorted(self.folder.glob("*.out")) + sorted(self.folder.glob("*.log")):
            said += path.read_text(errors="replace").splitlines()[-15:]
        return "\n".join(said)

    def stop(self):
        """Asks it to end, then makes every process of it end, and reaps them all."""
        if self.process is None:
            return
        self.signal_all([self.process.pid], signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            print(f"bench: {self.name} did not end when asked, killing it", file=sys.stderr)
            self.signal_all([self.process.pid], signal.SIGKILL)
            self.process.wait()
        self.end_session()
        self.process = None

    def session_members(self):
        """What is left of the session the server was started in; a pid is in it or it is not ours."""
        members = []
        for pid in accounting.descendants(os.getpid()):
            try:
                if int(accounting.read_stat(pid)[3]) == self.process.pid:
                    members.append(pid)
            except (OSError, IndexError):
                pass
        return members

    def end_session(self):
        deadline = time.monotonic() + STOP_SECONDS
        wanted = signal.SIGTERM
        while left := self.session_members():
            self.signal_all(left, wanted)
            if time.monotonic() > deadline:
                wanted = signal.SIGKILL
            for pid in left:
                self.reap(pid)
            time.sleep(0.02)

    @staticmethod
    def signal_all(pids, number):
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    @staticmethod
    def reap(pid):
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:  # it has a parent that lives
            pass


class Postrider(Server):
    name = "postrider"

    def configuration(self):
        return (
            "hostname bench.example\n"
            f"spool {self.folder / 'spool'}\n"
            f"listen smtp {{ bind 127.0.0.1:{self.port} }}\n"
            f"user {pwd.getpwuid(os.geteuid()).pw_name}\n"
            f"relay {{ from 127.0.0.0/8  to smtp:127.0.0.1:{self.next_hop_port} }}\n"
            f"control {self.folder / 'control'}\n"
            # All load comes from one address.
            "limits { sessions 100000 sessions-per-client 100000 }\n" + self.local_delivery()
        )

    def local_delivery(self):
        if self.mailboxes is None:
            return ""
        users = self.folder / "users"
        users.write_text("user0\n")  # whom the generator writes to
        users.chmod(0o644)
        target = f"users file:{users}  deliver maildir:{self.mailboxes}/{{domain}}/{{user}}"
        blocks = [f"domain {domain} {{ {target} }}\n" for domain in mailboxes.domains()]
        return f"agent {{ user {mailboxes.owner()[0]} }}\n" + "".join(blocks)

    def start_command(self):
        program = self.build / "postrider"
        if not program.exists():
            raise ServerError(f"{program} is missing: make builds it")
        (self.folder / "spool").mkdir(exist_ok=True)
        path = self.folder / "postrider.conf"
        path.write_text(self.configuration())
        return [program, "serve", "--config", path], None


def all_servers():
    import postfix  # it needs the classes above

    return {server.name: server for server in (Postrider, postfix.Postfix)}
