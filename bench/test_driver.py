#!/usr/bin/python3
"""The driver itself: that it accounts for every process, and that it notices loss and duplicates.

The server under test is a stand-in put where build/postrider would be: one that passes every byte
on, one that takes mail and delivers nothing, one that delivers everything twice.
"""

import argparse
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import accounting

PROGRAMS = argparse.Namespace()

STAND_IN = """#!/usr/bin/python3
import os, re, select, socket, sys, threading
text = open(sys.argv[3]).read()
port = int(re.search(r"bind 127.0.0.1:(\\d+)", text)[1])
next_hop = int(re.search(r"to smtp:127.0.0.1:(\\d+)", text)[1])
KIND = "{kind}"
if KIND == "black hole":
    os.execv("{sink}", ["{sink}", "--listen", f"127.0.0.1:{{port}}", "--stats", sys.argv[3] + ".stats"])

def again(bytes_sent):
    with socket.create_connection(("127.0.0.1", next_hop)) as hop:
        hop.sendall(bytes_sent)
        while hop.recv(65536):
            pass

def serve(client):
    kept = b""
    with client, socket.create_connection(("127.0.0.1", next_hop)) as hop:
        while True:
            for ready in select.select([client, hop], [], [])[0]:
                data = ready.recv(65536)
                if not data:
                    if KIND == "echo" and kept.endswith(b"QUIT\\r\\n"):
                        again(kept)
                    return
                (hop if ready is client else client).sendall(data)
                kept += data if ready is client else b""

listening = socket.create_server(("127.0.0.1", port), backlog=100)
while True:
    threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()
"""


def burn(seconds):
    """A command that uses so much CPU time and ends."""
    script = f"import time\nwhile time.process_time() < {seconds}: pass"
    return f"{sys.executable} -S -c '{script}'"


class AccountingTest(unittest.TestCase):
    def test_counts_children_that_live_that_died_and_that_were_orphaned(self):
        accounting.become_subreaper()
        began = resource.getrusage(resource.RUSAGE_CHILDREN)
        # A child reaped by the shell, an orphan of a subshell that has ended, and one that lives on.
        shell = subprocess.Popen(
            ["sh", "-c", f"{burn(0.3)}; ({burn(0.3)} &); {burn(0.3)} & sleep 1.5; read _"],
            stdin=subprocess.PIPE,
        )
        deadline = time.monotonic() + 20
        while accounting.tree_seconds(os.getpid()) < 0.85 and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        seen = accounting.tree_seconds(os.getpid())
        shell.communicate(b"\n")
        while accounting.descendants(os.getpid()):
            os.wait()
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        truth = ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime
        self.assertGreater(truth, 0.9)
        self.assertAlmostEqual(seen, truth, delta=0.05)

    def test_leaves_out_what_it_is_told_to(self):
        child = subprocess.Popen(["sleep", "30"])
        try:
            self.assertEqual(accounting.descendants(os.getpid()), [child.pid])
            self.assertEqual(accounting.descendants(os.getpid(), {child.pid}), [])
        finally:
            child.kill()
            child.wait()


class DriverTest(unittest.TestCase):
    def setUp(self):
        self.build = pathlib.Path(tempfile.mkdtemp(prefix="driver-", dir=PROGRAMS.sink.parent))
        self.addCleanup(shutil.rmtree, self.build)
        (self.build / "bench").mkdir()
        for program in (PROGRAMS.generator, PROGRAMS.sink):
            (self.build / "bench" / program.name).symlink_to(program)

    def drive(self, kind, scenario, *options):
        program = self.build / "postrider"
        program.write_text(STAND_IN.format(kind=kind, sink=PROGRAMS.sink))
        program.chmod(0o755)
        result = self.build / "result.json"
        done = subprocess.run(
            [HERE / "run.py", "--build", self.build, "--peers", "postrider", "--json", result]
            + ["--scenarios", scenario, "--runs", "1", "--messages", "200", "--patience", "1"]
            + list(options),
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertTrue(result.exists(), done.stderr)
        self.assertEqual(list((self.build / "bench-work").iterdir()), [])
        return done, json.loads(result.read_text())["scenarios"][scenario]["postrider"]

    def test_a_server_that_delivers_is_faultless(self):
        done, result = self.drive("relay", "relay-4k-50")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((result["messages"], result["lost"], result["duplicates"]), (200, 0, 0))
        self.assertGreater(result["rate"], 0)
        self.assertGreater(result["server_cpu"], 0)
        self.assertIn("relay-4k-50", done.stdout)

    def test_loss_is_seen(self):
        done, result = self.drive("black hole", "relay-4k-50")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(result["lost"], 400)  # those of the warm-up too

    def test_duplicates_are_seen(self):
        done, result = self.drive("echo", "relay-4k-50-one")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(result["lost"], 0)
        self.assertGreater(result["duplicates"], 0)

    def test_accepting_needs_no_next_hop(self):
        done, result = self.drive("black hole", "accept-50")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(result["messages"], 200)

    def test_a_server_that_is_not_there_is_one_sentence(self):
        done = subprocess.run(
            [HERE / "run.py", "--build", self.build, "--peers", "postrider", "--scenarios"]
            + ["accept-1", "--runs", "1"],
            capture_output=True,
            text=True,
        )
        self.assertEqual(done.returncode, 1)
        self.assertNotIn("Traceback", done.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--generator", type=lambda p: pathlib.Path(p).resolve(), required=True)
    parser.add_argument("--sink", type=lambda p: pathlib.Path(p).resolve(), required=True)
    PROGRAMS, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest])
