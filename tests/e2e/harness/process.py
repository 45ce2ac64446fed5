"""Programs as children of the test: started in a folder, waited for, ended with all their children."""

import os
import pathlib
import signal
import socket
import subprocess
import time

TOP = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("POSTRIDER_BUILD", TOP / "build"))


class Trouble(Exception):
    """A program of the test's surroundings did not do what the test needs."""


def free_port(host="127.0.0.1"):
    """A port that nobody listens on now, and that the kernel gives to nobody else for a while."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, 0))
        return probe.getsockname()[1]


def wait_until(condition, timeout_s, what, every_s=0.05):
    """Polls until the condition is true and returns what it gave; Trouble after the time."""
    end = time.monotonic() + timeout_s
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() >= end:
            raise Trouble(f"after {timeout_s} s still not: {what() if callable(what) else what}")
        time.sleep(every_s)


def answers(host, port, greeting=b"220"):
    """Whether a server greets there."""
    try:
        with socket.create_connection((host, port), timeout=2) as connection:
            connection.settimeout(2)
            return connection.recv(len(greeting)) == greeting
    except OSError:
        return False


def listens(host, port):
    """Whether somebody takes connections there, whatever it says then."""
    try:
        with socket.create_connection((host, port), timeout=2):
            return True
    except OSError:
        return False


def children(pid):
    """The direct children of a process."""
    found = []
    try:
        for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (thread / "children").read_text().split()]
    except OSError:
        pass
    return found


def family(pid):
    """A process and everything below it."""
    members = [pid]
    for member in members:
        members += children(member)
    return members


def is_running(pid):
    """Whether one of its threads is: the first may be gone while another still ends a system call."""
    try:
        for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
            if (thread / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
                return True
    except OSError:
        pass
    return False


class Program:
    """One child process (and whatever it starts), its output in a file of the test's folder."""

    def __init__(self, folder, name, command, environment=None):
        self.name = name
        self.command = [str(word) for word in command]
        self.environment = environment
        self.folder = pathlib.Path(folder)
        self.output = self.folder / f"{name}.log"
        self.process = None

    def start(self):
        with open(self.output, "ab") as output:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                cwd=self.folder, env=self.environment, start_new_session=True)
        return self

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def said(self, last=4000):
        return self.output.read_text(errors="replace")[-last:] if self.output.exists() else ""

    def wait_for(self, condition, timeout_s, what):
        """As wait_until, but a program that ended is named at once, with its last words."""
        def check():
            if not self.alive():
                raise Trouble(f"{self.name} ended with {self.process.returncode}: {self.said()}")
            return condition()
        try:
            return wait_until(check, timeout_s, what)
        except Trouble as trouble:
            raise Trouble(f"{trouble}\n{self.said()}") from None

    def stop(self, timeout_s=10):
        """Politely, then not. Returns the exit status."""
        if self.process is None:
            return None
        members = family(self.pid) if self.alive() else []
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                pass
        self.kill(members)
        return self.process.returncode

    def kill(self, members=None):
        """SIGKILL to the program and all its children, all stopped first so that none can react."""
        members = family(self.pid) if members is None else members
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for member in members:
                try:
                    if str(self.folder) in os.readlink(f"/proc/{member}/cwd") or member == self.pid:
                        os.kill(member, number)
                except OSError:
                    pass
        self.process.wait()
        # A killed grandchild holds its sockets and files until the kernel is through with it.
        try:
            wait_until(lambda: not any(map(is_running, members)), 10, "all are gone", 0.005)
        except Trouble:
            pass


def make_certificate(folder, names=("mx.test", "localhost"), addresses=()):
    """certificate.pem and key.pem, made by itself, for the names. RSA, which all know."""
    subjects = ",".join([f"DNS:{name}" for name in names] + [f"IP:{ip}" for ip in addresses])
    done = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "90",
         "-keyout", folder / "key.pem", "-out", folder / "certificate.pem", "-subj",
         f"/CN={names[0]}", "-addext", f"subjectAltName={subjects}"], capture_output=True, text=True)
    if done.returncode != 0:
        raise Trouble(f"openssl makes no certificate here: {done.stderr}")
    return folder
