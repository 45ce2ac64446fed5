"""The server as a service: whom it becomes, reloading, signals, the service manager, the control socket."""

import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import tempfile
import threading
import time

import pytest

from harness.process import Trouble, answers, children, free_port, listens, wait_until
from harness.server import BINARY, Postrider
from harness.traffic import settle
from make_messages import MESSAGES

PLAIN = MESSAGES["plain"]
AS_ROOT = os.getuid() == 0
USER = "mail"
LOAD = ["--sessions", "20", "--messages", "10000000", "--persist", "--rate", "300", "--size", "3000"]

needs_root = pytest.mark.skipif(not AS_ROOT, reason="only root can become somebody else")


class Service(Postrider):
    """A server that becomes another user when it can, and whose configuration changes."""

    def __init__(self, folder, next_hop, **options):
        super().__init__(folder, next_hop=next_hop, **options)
        self.user = USER
        self.ports = [self.port]
        self.spool = self.folder / "spool"
        self.control = self.folder / "run" / "control"
        self.certificate = None
        self.more = []

    def write_config(self):
        to = f"  to smtp:{self.next_hop[0]}:{self.next_hop[1]}" if self.next_hop else ""
        lines = [f"hostname {self.name}", f"spool {self.spool}", f"control {self.control}",
                 f"user {self.user}", "disk { segment 16M }"]
        lines += [f"listen smtp {{ bind 127.0.0.1:{port} }}" for port in self.ports]
        lines.append(f"relay {{ from {self.relay_from}{to} }}")
        if self.certificate:
            lines.append(f"tls {{ certificate {self.certificate}/certificate.pem  key {self.certificate}/key.pem }}")
        if not any(line.startswith("log ") for line in self.more):
            lines.append("log { level info }")
        self.config.write_text("\n".join(lines + self.more) + "\n")

    def reload(self, check=True):
        self.write_config()
        return self.command("reload", check=check)

    def generations(self):
        """How many are alive."""
        status = json.loads(self.command("status", "--json").stdout.splitlines()[0])
        return status["engine"]["generations"]

    def status_of_engine(self):
        text = pathlib.Path(f"/proc/{self.engine()}/status").read_text()
        return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


@pytest.fixture
def folder():
    """Unlike the folders of other tests, others may pass through it."""
    made = pathlib.Path(tempfile.mkdtemp(prefix="postrider-service-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def sink(start_sink):
    return start_sink(save=False)


@pytest.fixture
def service(folder, ends, sink):
    if not BINARY.exists():
        pytest.skip("not built yet")
    made = Service(folder, sink.address)
    ends.append(made)
    return made


def make_certificate(folder, name):
    folder.mkdir()
    done = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-keyout", folder / "key.pem", "-out", folder / "certificate.pem", "-days", "2",
         "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"openssl makes no certificate here: {done.stderr}")
    (folder / "key.pem").chmod(0o600)
    return folder


def served_certificate(port):
    """The one that a new session is shown, as DER."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with smtplib.SMTP("127.0.0.1", port, local_hostname="client.test") as client:
        client.starttls(context=context)
        return client.sock.getpeercert(binary_form=True)


def der(folder):
    return ssl.PEM_cert_to_DER_cert((folder / "certificate.pem").read_text())


# Whom it becomes


@needs_root
def test_the_engine_gives_up_root_for_good(service):
    service.certificate = make_certificate(service.folder / "tls", "mx.test")
    service.start()
    is_now = service.status_of_engine()
    number = pwd.getpwnam(USER)
    assert is_now["Uid"].split() == [str(number.pw_uid)] * 4
    assert is_now["Gid"].split() == [str(number.pw_gid)] * 4
    assert is_now["Groups"].split() == []
    assert is_now["NoNewPrivs"].strip() == "1"
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(is_now[name], 16) == 0, name
    # The folders are its own, the key is not: the supervisor read it.
    for path in (service.spool, service.control.parent, service.control):
        assert path.stat().st_uid == number.pw_uid, path
    assert service.spool.stat().st_mode & 0o777 == 0o700
    assert service.control.stat().st_mode & 0o777 == 0o660
    assert served_certificate(service.port) == der(service.certificate)
    service.send(PLAIN)


@needs_root
def test_a_new_engine_needs_nothing_from_the_files(service):
    """It starts with the bytes that were checked, whatever has become of the files since."""
    service.certificate = make_certificate(service.folder / "tls", "mx.test")
    service.start()
    before = service.engine()
    (service.certificate / "key.pem").unlink()
    service.config.write_text("half of a new conf")
    service.kill_engine()
    wait_until(lambda: children(service.supervisor()) and service.engine() != before and service.is_answering(),
               15, "another engine answers")
    assert served_certificate(service.port) == der(service.certificate)


def refused_start(service, *said):
    service.write_config()
    done = subprocess.run([BINARY, "serve", "--config", service.config], capture_output=True, text=True, timeout=20)
    assert done.returncode != 0
    for word in said:
        assert str(word) in done.stderr, done.stderr
    return done.returncode


@needs_root
def test_an_unknown_user_is_named(service):
    service.user = "nobody_of_this_name"
    assert refused_start(service, "nobody_of_this_name", "no such user") == 78
    assert not service.spool.exists()


@needs_root
def test_a_spool_of_somebody_else_is_named(service):
    service.spool.mkdir(mode=0o700)
    assert refused_start(service, service.spool, "belongs to", "chown") == 77


def test_a_port_in_use_is_named(service):
    with socket.socket() as other:
        other.bind(("127.0.0.1", service.port))
        other.listen()
        assert refused_start(service, f"127.0.0.1:{service.port}", "another server has this port") == 69


def test_a_living_server_is_named(service):
    service.start()
    service.ports = [free_port()]
    assert refused_start(service, service.control, "another postrider runs") == 69
    assert service.is_answering()


def test_a_missing_certificate_is_named(service):
    service.certificate = service.folder / "tls"
    assert refused_start(service, "certificate.pem", "No such file") == 78


# Reloading


def test_a_bad_file_changes_nothing(service):
    service.start()
    good = service.config.read_text()
    service.more = ["hostnam x.test", "limits { errors none }"]
    done = service.reload(check=False)
    assert done.returncode == 78
    assert "did you mean 'hostname'" in done.stderr and "^" in done.stderr, done.stderr
    assert "expected a number" in done.stderr, "every error at once"
    assert service.is_answering() and service.generations() == 1
    checked = service.command("config", "check", check=False)
    assert checked.stderr.splitlines()[:3] == done.stderr.splitlines()[:3]
    service.config.write_text(good)
    service.send(PLAIN)


def test_what_has_changed_is_said(service):
    service.start()
    service.more = ["limits { errors 7 }", f"log {{ level debug }}"]
    done = service.reload()
    assert "limits errors has changed" in done.stderr
    assert re.search("log level has changed; warning: .*start", done.stderr)
    assert "hostname" not in done.stderr


def test_changed_files_are_named(service):
    """And an unreadable one changes nothing."""
    users = service.folder / "users"
    users.write_text("anna\n")
    users.chmod(0o644)
    service.more = [f"domain local.test {{ users file:{users}  deliver discard }}"]
    service.start()
    users.write_text("anna\nbruno\n")
    assert f"{users} has changed" in service.reload().stderr
    users.write_text("anna\n:::::::\n")
    done = service.reload(check=False)
    assert done.returncode == 78 and f"{users}:2:" in done.stderr, done.stderr
    users.unlink()
    done = service.reload(check=False)
    assert done.returncode == 78 and str(users) in done.stderr, done.stderr
    assert service.is_answering()


def test_listeners_come_and_go(service):
    service.start()
    first, second = service.port, free_port()
    with smtplib.SMTP("127.0.0.1", first, local_hostname="client.test") as client:
        service.ports = [first, second]
        service.reload()
        assert answers("127.0.0.1", first) and answers("127.0.0.1", second)
        service.ports = [second]
        service.reload()
        wait_until(lambda: not listens("127.0.0.1", first), 5, "the first port is closed")
        assert answers("127.0.0.1", second)
        client.sendmail("anna@client.test", ["r@recipient.test"], PLAIN) # the session stays


def test_a_port_that_cannot_be_had_changes_nothing(service):
    service.start()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        service.ports = [service.port, other.getsockname()[1]]
        done = service.reload(check=False)
        assert done.returncode == 78 and "another server has this port" in done.stderr
    assert service.is_answering() and service.generations() == 1


def test_new_sessions_see_the_new_certificate(service):
    service.certificate = one = make_certificate(service.folder / "one", "one.test")
    service.start()
    assert served_certificate(service.port) == der(one)
    with smtplib.SMTP("127.0.0.1", service.port, local_hostname="client.test") as old:
        old.ehlo()
        service.certificate = two = make_certificate(service.folder / "two", "two.test")
        service.reload()
        wait_until(lambda: served_certificate(service.port) == der(two), 5, "the new one is served")
        context = ssl.create_default_context(cafile=one / "certificate.pem")
        context.check_hostname = False
        assert old.starttls(context=context)[0] == 220 # the certificate of its beginning
        old.sendmail("anna@client.test", ["r@recipient.test"], PLAIN)


def may_relay(client):
    client.mail("anna@client.test")
    code = client.rcpt("r@recipient.test")[0]
    client.rset()
    return code == 250


def test_relay_from_takes_effect_for_new_sessions(service):
    service.relay_from = "192.0.2.0/24"
    service.start()
    with service.smtp() as old:
        old.ehlo()
        assert not may_relay(old)
        service.relay_from = "127.0.0.0/8"
        service.reload()
        def new_may():
            with service.smtp() as new:
                new.ehlo()
                return may_relay(new)
        wait_until(new_may, 5, "a new session may relay")
        assert not may_relay(old)


def test_waiting_mail_goes_the_new_way(service, sink):
    """Where mail goes is decided when it is due, also for what waits since before the reload."""
    service.next_hop = ("127.0.0.1", free_port())
    service.start()
    service.send(PLAIN)
    wait_until(lambda: "message-deferred" in service.log(), 10, "nobody takes it")
    service.next_hop = sink.address
    assert "relay to has changed" in service.reload().stderr
    service.retry_all()
    service.wait_drained(20)


def test_reload_under_load(service, sink, start_generator):
    """Open sessions go on, nothing is lost, nobody is cut off."""
    service.start()
    generator = start_generator(service.port, *LOAD)
    generator.wait_acknowledged(50)
    sessions = [service.smtp() for _ in range(5)]
    other = free_port()
    for number in range(3):
        service.ports = [service.port, other] if number % 2 == 0 else [service.port]
        service.more = [f"limits {{ errors {10 + number} }}", f"queue {{ retry-first {number + 1}m }}"]
        if number == 1:
            os.kill(service.supervisor(), signal.SIGHUP)
        service.reload()
        before = sum(generator.acknowledged().values())
        generator.wait_acknowledged(before + 100)
    for client in sessions:
        client.sendmail("anna@client.test", ["r@recipient.test"], PLAIN)
        client.quit()
    generator.stop()
    saw = json.loads(generator.program.said().strip().splitlines()[-1])
    ledger = settle(generator, sink, server=service)
    ledger.check(service)
    # Not one session was ended by us but with QUIT.
    ended = re.findall(r"session-closed .*why=(\S+.*)", service.log())
    assert not [why for why in ended if "stopping" in why], ended[:5]
    assert saw["refused_4xx"] == 0 and saw["lost_before_dot"] == 0, saw


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident_kib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])


def test_thirty_reloads_leak_nothing(service, figure):
    service.certificate = make_certificate(service.folder / "tls", "mx.test")
    service.start()
    held = [] # an idle session of each generation of the first ones
    most = 0
    def reload(times):
        nonlocal most
        for number in range(times):
            service.more = [f"limits {{ errors {10 + number} }}"]
            service.reload()
            most = max(most, service.generations())
            if len(held) < 8:
                held.append(service.smtp())
    reload(10)
    # Those of the oldest were told to go, politely; the others stay.
    assert held[0].noop()[0] == 421 and held[-1].noop()[0] == 250
    for client in held:
        client.close()
    engine, supervisor = service.engine(), service.supervisor()
    wait_until(lambda: service.generations() <= 2, 10, "old generations are gone")
    before = [(descriptors(pid), resident_kib(pid)) for pid in (engine, supervisor)]
    reload(30)
    wait_until(lambda: service.generations() <= 2, 10, "old generations are gone")
    after = [(descriptors(pid), resident_kib(pid)) for pid in (engine, supervisor)]
    figure(f"30 reloads: engine {before[0]} -> {after[0]}, supervisor {before[1]} -> {after[1]} "
           f"(descriptors, KiB), at most {most} generations")
    assert 3 <= most <= 4
    for (fds, rss), (fds_now, rss_now) in zip(before, after):
        assert fds_now <= fds + 2 and rss_now <= rss + 1500
    assert service.engine() == engine, "no engine was started again"
    service.send(PLAIN)


def test_the_log_is_opened_anew(service):
    log = service.folder / "log"
    service.more = [f"log {{ level info  file {log} }}"]
    service.start()
    service.send(PLAIN)
    wait_until(lambda: "message-accepted" in log.read_text(), 5, "it is logged")
    if AS_ROOT:
        assert log.stat().st_uid == pwd.getpwnam(USER).pw_uid and log.stat().st_mode & 0o777 == 0o640
    old = log.rename(service.folder / "log.1")
    os.kill(service.supervisor(), signal.SIGHUP)
    wait_until(log.exists, 5, "the log is made anew")
    length = old.stat().st_size
    service.send(PLAIN)
    wait_until(lambda: "message-accepted" in log.read_text(), 5, "it is logged there")
    assert "message-accepted" not in old.read_text()[length:]


# Ending


def test_sigterm_under_load(service, sink, start_generator):
    service.start()
    generator = start_generator(service.port, *LOAD)
    generator.wait_acknowledged(100)
    began = time.monotonic()
    os.kill(service.supervisor(), signal.SIGTERM)
    assert service.program.process.wait(40) == 0
    assert time.monotonic() - began < 35
    assert not service.control.exists()
    service.start()
    generator.wait_acknowledged(sum(generator.acknowledged().values()) + 50)
    generator.stop()
    settle(generator, sink, server=service).check(service)


def test_a_second_sigterm_ends_at_once(service):
    service.start()
    with service.smtp() as client:
        client.ehlo()
        client.mail("anna@client.test")
        client.rcpt("r@recipient.test")
        client.docmd("DATA") # a message under way would be waited for
        os.kill(service.supervisor(), signal.SIGTERM)
        time.sleep(0.3)
        assert service.program.alive()
        os.kill(service.supervisor(), signal.SIGTERM)
        assert service.program.process.wait(3) == 0


# The service manager


class Manager:
    """The socket of a service manager."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(10)
        self.heard = []

    def wait(self, line, timeout_s=10):
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            self.heard.append(self.socket.recv(4096).decode().splitlines())
            if line in self.heard[-1]:
                return self.heard[-1]
        raise Trouble(f"{line} was not heard, but {self.heard}")

    def stop(self):
        self.socket.close()


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_the_service_manager_is_told(service, ends, kind):
    path = service.folder / "notify"
    name = str(path) if kind == "path" else f"postrider-test-{os.getpid()}"
    manager = Manager(name if kind == "path" else "\0" + name)
    ends.append(manager)
    service.environment = {**os.environ, "NOTIFY_SOCKET": name if kind == "path" else "@" + name,
                           "WATCHDOG_USEC": "1000000"}
    service.start()
    assert any(line.startswith("STATUS=") for line in manager.wait("READY=1"))
    for _ in range(3):
        manager.wait("WATCHDOG=1")
    before = time.monotonic_ns() // 1000
    os.kill(service.supervisor(), signal.SIGHUP)
    stamp = next(line for line in manager.wait("RELOADING=1") if line.startswith("MONOTONIC_USEC="))
    assert before <= int(stamp.partition("=")[2]) <= time.monotonic_ns() // 1000
    manager.wait("READY=1")
    os.kill(service.supervisor(), signal.SIGTERM)
    manager.wait("STOPPING=1")
    service.program.process.wait(40)


# The control socket


def as_user(name, service, *words):
    """What a command says when somebody else gives it."""
    return subprocess.run(["setpriv", f"--reuid={name}", "--regid=nogroup", "--clear-groups", BINARY, *words,
                           "--config", service.config], capture_output=True, text=True, timeout=20)


@needs_root
def test_others_are_refused(service):
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    if subprocess.run(["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "test", "-x", BINARY]).returncode:
        pytest.skip(f"{BINARY} cannot be run by others")
    service.start()
    refused = as_user("nobody", service, "queue", "list")
    assert refused.returncode == 77 and "Permission denied" in refused.stderr
    # Were the socket open to all, each peer would still be looked at.
    service.control.chmod(0o666)
    for words in (("queue", "list"), ("queue", "retry", "--all"), ("reload",)):
        refused = as_user("nobody", service, *words)
        assert refused.returncode == 77 and "not permitted" in refused.stderr, refused
    assert as_user("nobody", service, "status").returncode == 0
    assert as_user(USER, service, "queue", "count").returncode == 0


@needs_root
def test_members_of_the_group_are_operators(service):
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    service.more = ["control-group adm"]
    service.start()
    asked = subprocess.run(["setpriv", "--reuid=nobody", "--regid=nogroup", "--groups=adm", BINARY, "queue", "count",
                            "--config", service.config], capture_output=True, text=True, timeout=20)
    assert asked.returncode == 0, asked.stderr
