"""The program itself under ThreadSanitizer and under AddressSanitizer with its leak check: load, an
operator who asks all the time, a next hop that goes and comes back, a clean end."""

import json
import os
import subprocess
import threading

import pytest

from harness import traffic
from harness.process import TOP, Trouble, wait_until
from harness.server import Postrider, wait_engine_changed

VARIANTS = {
    "tsan": {"TSAN_OPTIONS": "halt_on_error=0:exitcode=66:second_deadlock_stack=1"},
    "asan": {"ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1",
             "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"},
}
LOADS = [  # name, sessions, options: 400 KB goes through content files, 64 KB stays in the segments
    ("small", 8, ["--rate", 150, "--messages-per-connection", 7]),
    ("middle", 4, ["--rate", 60, "--size", 65536, "--recipients", 3]),
    ("large", 3, ["--rate", 30, "--size", 409600, "--chunking"]),
]
EXTRA = ("queue { retry-first 1s  retry-max 2s }\ndisk { segment 16M }\nlog { level debug }\n"
         "workers 2\n")


class Operator(threading.Thread):
    """Asks for everything that can be asked, until stopped; keeps what went wrong."""

    def __init__(self, server):
        super().__init__()
        self.server, self.is_over, self.wrong, self.asked = server, threading.Event(), [], 0

    def run(self):
        while not self.is_over.is_set():
            for words in (["status"], ["queue", "list"], ["queue", "count"],
                          ["queue", "list", "--json"], ["queue", "retry", "--all"],
                          ["status", "--json"]):
                done = self.server.command(*words, check=False, timeout_s=60)
                self.asked += 1
                if done.returncode != 0:
                    self.wrong.append((words, done.returncode, done.stderr[-2000:]))

    def stop(self):
        self.is_over.set()
        self.join()


def build(variant):
    done = subprocess.run([TOP / "scripts" / "build", variant, "postrider"], capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return TOP / f"build-{variant}" / "postrider"


def environment(variant, folder):
    """What a sanitizer has to say goes to a file of its own for each process."""
    options = {name: f"{value}:log_path={folder}/complaint" if name != "UBSAN_OPTIONS" else value
               for name, value in VARIANTS[variant].items()}
    return {**os.environ, **options}


def complaints(server, folder):
    said = [path.read_text(errors="replace")[:6000] for path in sorted(folder.glob("complaint.*"))]
    said += [line for line in server.log().splitlines()
             if "runtime error" in line or "check failed" in line]
    return "\n".join(said)


def make(variant, folder, ends, sink):
    server = Postrider(folder, next_hop=sink.address, extra=EXTRA, binary=build(variant),
                       environment=environment(variant, folder))
    ends.append(server)
    return server.start(60)


def load(start_generator, server):
    return [start_generator(server.port, "--sessions", sessions, "--seconds", 600, "--persist",
                            *options, name=name)
            for name, sessions, options in LOADS]


def wait_more(generators, count):
    """Until each has `count` more acknowledged."""
    before = [sum(generator.acknowledged().values()) for generator in generators]
    for generator, already in zip(generators, before):
        generator.wait_acknowledged(already + count, 60)


def waiting(server):
    """Messages that are not held: a notification that was refused is."""
    rows = server.command("queue", "list", "--json").stdout.splitlines()
    return sum(json.loads(row)["state"] != "held" for row in rows)


@pytest.mark.full
@pytest.mark.parametrize("variant", VARIANTS)
def test_nothing_races_and_nothing_leaks(variant, folder, ends, start_sink, start_generator):
    sink = start_sink("--tempfail", 2, "--reject", 2, "--drop", 2)
    server = make(variant, folder, ends, sink)
    operator = Operator(server)
    operator.start()
    try:
        generators = load(start_generator, server)
        wait_more(generators, 100)
        sink.program.kill()
        wait_more(generators, 100)
        sink.start()
        for generator in generators:
            generator.stop()
        wait_until(lambda: waiting(server) == 0, 120, "nothing waits but what is held", 0.5)
    except Trouble as trouble:
        pytest.fail(f"{trouble}\n{complaints(server, folder)}")
    finally:
        operator.stop()
    missing = sum(len(traffic.Ledger(generator.acknowledged(), sink.received()).missing)
                  for generator in generators)
    assert missing <= server.log().count(" message-bounced "), "what did not arrive was bounced"
    # An end with sessions open, a delivery refused, and a client at the control socket.
    idle = start_generator(server.port, "--sessions", 5, "--idle", "--seconds", 600, name="idle")
    sink.stop()
    server.send(b"Subject: waits\r\n\r\nwaits\r\n")
    status = server.program.stop(60)
    idle.stop()
    assert not complaints(server, folder), complaints(server, folder)
    assert status == 0 and " child-died " not in server.log()
    assert not operator.wrong, operator.wrong[:3]
    assert operator.asked > 10


@pytest.mark.full
@pytest.mark.parametrize("variant", VARIANTS)
def test_recovery_neither_races_nor_leaks(variant, folder, ends, start_sink, start_generator):
    """The engine is killed under load, then everything, then a start with mail from all its lives."""
    sink = start_sink()
    server = make(variant, folder, ends, sink)
    generators = load(start_generator, server)
    wait_more(generators, 30)
    sink.stop()
    for _ in range(2):
        wait_more(generators, 20)
        wait_engine_changed(server, server.kill_engine(), 60)
    server.kill()
    server.start(60)
    wait_more(generators, 20)
    sink.start()
    for generator in generators:
        generator.stop()
    for generator in generators:
        assert not traffic.settle(generator, sink, 120).missing
    server.wait_drained(60)
    status = server.program.stop(60)
    assert not complaints(server, folder), complaints(server, folder)
    assert status == 0
