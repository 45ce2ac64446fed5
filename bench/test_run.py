#!/usr/bin/python3
"""Runs generator and sink against each other and checks that they count the truth."""

import argparse
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import check_ids

PROGRAMS = argparse.Namespace()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Sink:
    def __init__(self, folder, *options, port=None):
        self.port = port or free_port()
        self.folder = folder
        self.stats_path = folder / "stats.json"
        self.process = subprocess.Popen(
            [PROGRAMS.sink, "--listen", f"127.0.0.1:{self.port}", "--stats", self.stats_path]
            + ["--ids", folder / "sink.ids", *options]
        )
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(10) != 0:
            raise AssertionError(f"the sink ended with {self.process.returncode}")
        return json.loads(self.stats_path.read_text())

    def kill(self):
        self.process.kill()
        self.process.wait()


def generate(folder, port, *options):
    """Starts the generator; finish() has its result."""
    return subprocess.Popen(
        [PROGRAMS.generator, "--connect", f"127.0.0.1:{port}", "--json", "--stall", "20"]
        + ["--ids", folder / "generator.ids", *options],
        stdout=subprocess.PIPE,
        text=True,
    )


def finish(process):
    output, _ = process.communicate(timeout=60)
    return json.loads(output)


class RigTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="rig-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def compare(self):
        return check_ids.compare(
            check_ids.read_ids(self.folder / "generator.ids"),
            check_ids.read_ids(self.folder / "sink.ids"),
        )

    def run_through(self, sink_options=(), generator_options=()):
        sink = Sink(self.folder, *sink_options)
        self.addCleanup(sink.kill)
        sent = finish(generate(self.folder, sink.port, *generator_options))
        return sent, sink.stop()

    def test_every_way_to_send_delivers_once(self):
        ways = [
            ["--pipelining", "on"],
            ["--pipelining", "off"],
            ["--pipelining", "on", "--chunking"],
            ["--pipelining", "off", "--chunking"],
            ["--messages-per-connection", "1"],
            ["--messages-per-connection", "7"],
            ["--recipients", "20", "--domains", "3", "--recipient-domain", "d{}.example"],
            ["--size", "300000"],
            ["--size", "300000", "--chunking"],
        ]
        for way in ways:
            with self.subTest(way=way):
                for old in self.folder.iterdir():
                    old.unlink()
                sent, got = self.run_through((), ["--messages", "300", "--sessions", "7", *way])
                self.assertEqual(sent["accepted"], 300)
                self.assertEqual(got["messages"], 300)
                self.assertEqual(got["bytes"], sent["bytes"])
                self.assertEqual(got["duplicates"] + got["without_id"], 0)
                compared = self.compare()
                self.assertEqual(compared["promised"], 300)
                self.assertEqual(compared["lost"] + compared["duplicates"], 0)

    def test_falls_back_where_the_sink_offers_less(self):
        for without in ("pipelining", "chunking", "size", "pipelining,chunking,size,8bitmime"):
            with self.subTest(without=without):
                sent, got = self.run_through(
                    ["--without", without], ["--messages", "50", "--chunking"]
                )
                self.assertEqual((sent["accepted"], got["messages"]), (50, 50))
                self.assertEqual(sent["connections_lost"], 0)

    def test_saves_the_bytes_that_were_sent(self):
        content = "From: a@example.org\r\n\r\n.dot\r\n..two\r\nbare\nlf and\rcr\r\n"
        sink = Sink(self.folder, "--save", str(self.folder / "saved"))
        self.addCleanup(sink.kill)
        stuffed = content.replace("\r\n.", "\r\n..")
        with socket.create_connection(("127.0.0.1", sink.port)) as peer:
            script = (
                "EHLO a\r\nMAIL FROM:<a@example.org> SIZE=9\r\nRCPT TO:<b@example.org>\r\n"
                f"RCPT TO:<\"c\\\"d\"@example.org>\r\nDATA\r\n{stuffed}.\r\n"
                "MAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\n"
                f"BDAT 5\r\n.\r\n..BDAT {len(content) + 3}\r\n.\r\n{content}BDAT 0 LAST\r\nQUIT\r\n"
            )
            for byte in script.encode():
                peer.send(bytes([byte]))
            answer = b"".join(iter(lambda: peer.recv(4096), b""))
        self.assertTrue(answer.endswith(b"221 2.0.0 bye\r\n"), answer)
        stats = sink.stop()
        self.assertEqual((stats["messages"], stats["without_id"]), (2, 2))
        saved = self.folder / "saved"
        self.assertEqual((saved / "000001.eml").read_bytes().decode(), content)
        chunked = (saved / "000002.eml").read_bytes().decode()
        self.assertEqual(chunked, ".\r\n.." + ".\r\n" + content)
        envelope = json.loads((saved / "000001.json").read_text())
        self.assertEqual(envelope["helo"], "a")
        self.assertEqual(envelope["mail"], "<a@example.org> SIZE=9")
        self.assertEqual(envelope["recipients"], ["<b@example.org>", '<"c\\"d"@example.org>'])

    def test_counts_refusals_as_the_sink_does(self):
        for way in ("on", "off"):
            with self.subTest(pipelining=way):
                for old in self.folder.iterdir():
                    old.unlink()
                sent, got = self.run_through(
                    ["--tempfail", "20", "--reject", "10"],
                    ["--messages", "2000", "--pipelining", way],
                )
                self.assertEqual(sent["refused_4xx"], got["tempfailed"])
                self.assertEqual(sent["refused_5xx"], got["rejected"])
                self.assertGreater(got["tempfailed"], 200)
                self.assertGreater(got["rejected"], 100)
                self.assertEqual(sent["accepted"], got["messages"])
                self.assertEqual(self.compare()["lost"], 0)

    def test_survives_drops_and_knows_what_it_does_not_know(self):
        sent, got = self.run_through(
            ["--drop", "10"], ["--messages", "1000", "--persist", "--sessions", "5"]
        )
        compared = self.compare()
        self.assertEqual(sent["accepted"], 1000)
        self.assertGreater(got["dropped"], 50)
        self.assertEqual(sent["connections_lost"], got["dropped"])
        self.assertEqual(compared["lost"], 0)
        self.assertEqual(compared["unpromised"], got["dropped_after_dot"])
        self.assertGreaterEqual(sent["lost_after_dot"], got["dropped_after_dot"])

    def test_persists_while_the_server_is_killed(self):
        sink = Sink(self.folder)
        process = generate(self.folder, sink.port, "--seconds", "2", "--persist", "--sessions", "9")
        for _ in range(4):
            time.sleep(0.3)
            sink.kill()
            time.sleep(0.05)
            sink = Sink(self.folder, port=sink.port)
        sent = finish(process)
        sink.stop()
        self.assertGreater(sent["accepted"], 100)
        self.assertGreaterEqual(sent["connections_lost"], 9)
        self.assertFalse(sent["stalled"])
        compared = self.compare()
        self.assertEqual(compared["promised"], sent["accepted"])
        self.assertEqual((compared["lost"], compared["duplicates"]), (0, 0))

    def test_keeps_the_rate_and_sees_the_delay(self):
        sent, got = self.run_through(
            ["--delay-ms", "50"], ["--seconds", "2", "--rate", "100", "--sessions", "20"]
        )
        self.assertAlmostEqual(got["messages"], 200, delta=4)
        self.assertGreaterEqual(sent["latency_us"]["p50"], 50000)
        self.assertGreaterEqual(sent["since_due_us"]["p50"], sent["latency_us"]["p50"])

    def test_together_waits_for_every_session(self):
        sent, got = self.run_through(
            ["--delay-ms", "300", "--delay-at", "connect"],
            ["--seconds", "0.2", "--together", "--sessions", "20"],
        )
        self.assertGreater(sent["accepted"], 100)  # the clock began after the greeting
        self.assertEqual((got["messages"], got["open"]), (sent["accepted"], 0))

    def test_open_loop_shows_a_server_that_falls_behind(self):
        sent, _ = self.run_through(
            ["--delay-ms", "100"], ["--seconds", "1", "--rate", "100", "--sessions", "1"]
        )
        self.assertLess(sent["latency_us"]["max"], 400000)
        self.assertGreater(sent["since_due_us"]["max"], 700000)

    def test_delays_in_every_phase(self):
        for phase in ("connect", "mail", "rcpt", "data", "dot"):
            for way in (["--pipelining", "on"], ["--chunking"], ["--pipelining", "off"]):
                with self.subTest(phase=phase, way=way):
                    began = time.monotonic()
                    sent, got = self.run_through(
                        ["--delay-ms", "80", "--delay-at", phase], ["--messages", "1", *way]
                        + ["--sessions", "1"]
                    )
                    self.assertEqual((sent["accepted"], got["messages"]), (1, 1))
                    self.assertGreaterEqual(time.monotonic() - began, 0.08)

    def test_ids_with_recipients(self):
        sent, got = self.run_through(
            ["--ids-with-recipients", "--reject", "30"],
            ["--ids-with-recipients", "--recipients", "3", "--messages", "200"],
        )
        compared = self.compare()
        self.assertEqual(compared["lost"] + compared["unpromised"] + compared["duplicates"], 0)
        self.assertEqual(compared["arrived"], got["recipients"])
        self.assertGreater(sent["recipients_refused"], 0)

    def test_sink_sees_duplicates(self):
        sink = Sink(self.folder)
        self.addCleanup(sink.kill)
        for _ in range(2):
            finish(generate(self.folder, sink.port, "--messages", "100", "--run", "same"))
        self.assertEqual(sink.stop()["duplicates"], 100)
        compared = self.compare()
        self.assertEqual((compared["duplicates"], compared["promised_twice"]), (100, 100))

    def test_refused_connections_are_told(self):
        process = generate(self.folder, free_port(), "--messages", "10", "--sessions", "3")
        sent = finish(process)
        self.assertEqual(process.returncode, 1)
        self.assertEqual((sent["connect_failures"], sent["accepted"]), (3, 0))

    def test_gives_up_on_a_silent_server(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            sent = finish(generate(self.folder, port, "--stall", "0.3", "--sessions", "2"))
        self.assertTrue(sent["stalled"])

    def test_wrong_command_lines_are_refused(self):
        refused = [
            [PROGRAMS.generator],
            [PROGRAMS.generator, "--connect", "localhost:25"],
            [PROGRAMS.generator, "--connect", "127.0.0.1:1", "--size", "10"],
            [PROGRAMS.generator, "--connect", "127.0.0.1:1", "--sessions", "0"],
            [PROGRAMS.generator, "--connect", "127.0.0.1:1", "--rate", "fast"],
            [PROGRAMS.generator, "--connect", "127.0.0.1:1", "--pipelining", "maybe"],
            [PROGRAMS.generator, "--connect", "127.0.0.1:1", "--idle"],
            [PROGRAMS.generator, "--connect", "127.0.0.1:1", "surplus"],
            [PROGRAMS.sink],
            [PROGRAMS.sink, "--listen", "127.0.0.1"],
            [PROGRAMS.sink, "--listen", "127.0.0.1:0", "--without", "vrfy"],
            [PROGRAMS.sink, "--listen", "127.0.0.1:0", "--drop", "101"],
            [PROGRAMS.sink, "--listen", "127.0.0.1:0", "--delay-at", "noon"],
        ]
        for command in refused:
            with self.subTest(command=command):
                done = subprocess.run(command, capture_output=True, timeout=10)
                self.assertEqual(done.returncode, 2)
                self.assertTrue(done.stderr)


class CheckIdsTest(unittest.TestCase):
    def test_counts(self):
        result = check_ids.compare(["a", "b", "c", "d"], ["b", "b", "b", "x", "c"], ["d"])
        self.assertEqual(result["lost_ids"], ["a"])
        self.assertEqual((result["duplicates"], result["unpromised"]), (2, 1))

    def test_a_torn_last_line_is_no_id(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("a\nb")
            file.flush()
            self.assertEqual(check_ids.read_ids(file.name), ["a"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--generator", type=os.path.abspath, required=True)
    parser.add_argument("--sink", type=os.path.abspath, required=True)
    PROGRAMS, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest])
