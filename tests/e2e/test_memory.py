"""What the process takes: for sessions that wait, and for a message that is larger than it is."""

import pathlib
import resource
import socket
import ssl
import time

from harness.process import make_certificate, wait_until
from make_messages import large

SESSIONS = 10000
SESSION_BYTES_MAX = 8 * 1024
TLS_SESSIONS = 500
TLS_SESSION_KIB_MAX = 40
LARGE_KIB_MAX = 2 * 1024


def memory(pid, name):
    """A line of smaps_rollup, in KiB."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise KeyError(name)


def peak_kib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


def forget_peak(pid):
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")


def test_an_idle_session(start_postrider, figure):
    """10,000 clients that have said EHLO and wait."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(SESSIONS, hard - 200)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = start_postrider(extra="limits { sessions 20000  sessions-per-client 20000 }\n")
    clients = []
    try:
        pid = server.engine()
        before = memory(pid, "Pss")
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", server.port), 30)
            client.sendall(b"EHLO client.test\r\n")
            clients.append(client)
        for client in clients:
            said = b""
            while not said.endswith(b"\r\n") or b"\r\n250 " not in said:
                said += client.recv(4096)
        time.sleep(1)
        each = (memory(pid, "Pss") - before) * 1024 / count
        figure(f"{each:.0f} bytes (PSS) for each of {count} idle sessions; at most {SESSION_BYTES_MAX}")
        assert each <= SESSION_BYTES_MAX
        assert server.is_answering()
    finally:
        for client in clients:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_an_idle_session_under_tls(folder, start_postrider, figure):
    certificate = make_certificate(folder)
    server = start_postrider(extra=f"tls {{ certificate {certificate}/certificate.pem  key {certificate}/key.pem }}\n")
    context = ssl.create_default_context(cafile=certificate / "certificate.pem")
    clients = []

    def connect():
        client = socket.create_connection(("127.0.0.1", server.port), 30)
        client.recv(1000)
        client.sendall(b"EHLO client.test\r\n")
        while b"\r\n250 " not in client.recv(4096):
            pass
        client.sendall(b"STARTTLS\r\n")
        client.recv(1000)
        secured = context.wrap_socket(client, server_hostname="mx.test")
        secured.sendall(b"EHLO client.test\r\n")
        while b"\r\n250 " not in secured.recv(4096):
            pass
        clients.append(secured)

    try:
        for _ in range(20): # what the first ones load is shared by all
            connect()
        pid = server.engine()
        before = memory(pid, "Pss")
        for _ in range(TLS_SESSIONS):
            connect()
        time.sleep(1)
        each = (memory(pid, "Pss") - before) / TLS_SESSIONS
        figure(f"{each:.1f} KiB (PSS) for each of {TLS_SESSIONS} idle sessions under TLS; "
               f"at most {TLS_SESSION_KIB_MAX}")
        assert each <= TLS_SESSION_KIB_MAX
    finally:
        for client in clients:
            client.close()


def test_a_message_of_50_megabytes(start_postrider, start_sink, figure):
    sink = start_sink(save=True)
    server = start_postrider(next_hop=sink.address)
    content = large(50)
    assert len(content) > 49_000_000
    def send(what, name):
        with server.smtp(120) as client:
            client.sendmail("anna@client.test", [f"{name}@recipient.test"], what)
    send(content[:1_000_000] + b"\r\n", "first")  # code and buffers that any message needs
    sink.wait_messages(1)
    server.wait_drained()
    pid = server.engine()
    forget_peak(pid)
    before = memory(pid, "Rss")
    send(content, "large")
    sink.wait_messages(2, 60)
    server.wait_drained()
    grown = peak_kib(pid) - before
    figure(f"{grown} KiB more (peak RSS) while {len(content)} bytes pass; at most {LARGE_KIB_MAX}")
    assert sink.messages()[-1][1].endswith(content)
    assert grown < LARGE_KIB_MAX
    wait_until(server.is_answering, 5, "it answers")
