"""Clients that are too many, too often or too early."""

import os
import resource
import smtplib
import socket
import time

import pytest

from harness.server import Postrider

STRANGERS = "192.0.2.0/24"  # who may relay is somebody else: the tests' own clients are strangers


@pytest.fixture
def start(folder, ends):
    def begin(limits):
        server = Postrider(folder, extra=f"limits {{ {limits} }}\n")
        server.relay_from = STRANGERS
        ends.append(server)
        return server.start()
    return begin


def connect(server, said=b""):
    client = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    if said:
        client.sendall(said)
    return client


def hear(client):
    try:
        return client.recv(1000)
    except ConnectionResetError:
        return b""


def ticks(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_out_of_descriptors_it_waits_and_goes_on(start):
    server = start("idle-commands 1000")
    engine = server.engine()
    used = max(int(name) for name in os.listdir(f"/proc/{engine}/fd")) + 1
    resource.prlimit(engine, resource.RLIMIT_NOFILE, (used + 10, used + 10))
    clients = [connect(server) for _ in range(60)]
    time.sleep(1)
    greeted = 0
    for client in clients:
        client.settimeout(0.01)
        try:
            greeted += hear(client).startswith(b"220 ")
        except TimeoutError:
            pass
    assert 1 <= greeted <= 12
    before = ticks(engine)
    time.sleep(2)
    assert ticks(engine) - before <= 10, "it does not run round in circles"
    assert server.log().count(" accept-paused ") <= os.cpu_count() + 1
    assert " accept-paused " in server.log()
    # Who has been waiting is served as others go.
    last = clients.pop()
    for client in clients:
        client.close()
    last.settimeout(10)
    assert hear(last).startswith(b"220 ")
    with smtplib.SMTP("127.0.0.1", server.port, timeout=10) as client:
        assert client.noop()[0] == 250


def test_who_speaks_before_the_greeting_is_turned_away(start):
    server = start("greeting-delay 1s")
    early = connect(server, b"EHLO bot.test\r\n")
    assert hear(early).startswith(b"554 5.5.1 ")
    assert hear(early) == b""
    began = time.monotonic()
    silent = connect(server)
    assert hear(silent).startswith(b"220 ")
    assert time.monotonic() - began > 0.9
    assert server.log().count(" session-refused ") == 1


def test_a_client_may_come_so_often(start):
    server = start("sessions-per-minute 100")
    answers = [hear(connect(server))[:3] for _ in range(200 * (os.cpu_count() or 1))]
    # Each worker has its share of the limit, and not each the same share of the clients.
    assert 40 <= answers.count(b"220") <= 110
    assert b"421" in answers
    assert "too many connections from your address in a minute" in server.log()


def test_a_client_has_so_many_messages(start):
    server = start("messages-per-minute 8 }\ndomain ours.test { deliver discard")
    with smtplib.SMTP("127.0.0.1", server.port, timeout=10) as client:
        for sent in range(9):
            try:
                client.sendmail("a@b.test", ["c@ours.test"], b"Subject: x\r\n\r\nx\r\n")
            except (smtplib.SMTPSenderRefused, smtplib.SMTPResponseException) as refused:
                assert refused.smtp_code == 450 and refused.smtp_error.startswith(b"4.7.0 ")
                break
    # Each worker has its share of the limit.
    assert 1 <= sent <= 8
    assert "too many messages from your address in a minute" in server.log()
