#!/usr/bin/python3
"""Measures postrider with a large queue: memory, restart, and the accept rate beside it.

    bench/scale.py [--messages 1000000] [--size 1024] [--seconds 5] [--json FILE]

The next hop is down, so everything stays. Printed are: the accept rate into an empty queue and into
the full one (in one run, as a ratio), the memory (RSS and PSS of the engine) with the full queue,
and after a kill -9 of everything: the time until it greets, until every recipient is scheduled,
and the memory then. Memory also of idle sessions: --idle 10000.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import servers

GATES = {"rss_mb": 250, "greets_s": 1.0, "scheduled_s": 3.0, "rate_ratio": 0.9}


def children(pid):
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def memory_mb(pid):
    """RSS and PSS."""
    rss = pss = 0
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        words = line.split()
        if words[0] == "Rss:":
            rss = int(words[1]) / 1024
        elif words[0] == "Pss:":
            pss = int(words[1]) / 1024
    return rss, pss


class Trial:
    def __init__(self, options, folder):
        self.options = options
        self.server = servers.Postrider(folder, 9, 50, options.build)  # port 9: nobody listens

    def start(self):
        """Seconds until it greets."""
        command, environment = self.server.start_command()
        began = time.monotonic()
        with open(self.server.folder / "server.out", "ab") as output:
            self.server.process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True)
        while not self.server.greets():
            if self.server.process.poll() is not None or time.monotonic() - began > 60:
                sys.exit(f"scale: postrider did not start:\n{self.server.last_words()}")
            time.sleep(0.005)
        return began, time.monotonic() - began

    def engine(self):
        return children(self.server.process.pid)[0]

    def ask(self, *words):
        done = subprocess.run(
            [self.options.build / "postrider", *words, "--json", "--config",
             self.server.folder / "postrider.conf"], capture_output=True, text=True, timeout=60)
        return json.loads(done.stdout.splitlines()[0]) if done.returncode == 0 else None

    def scheduled(self):
        """Messages in the queue, once recovery is over."""
        status = self.ask("status")
        if status is None or not status["engine"]["spool"]["recovered"]:
            return 0
        return status["queue"]["messages"]

    def generate(self, *amount, sessions=50):
        done = subprocess.run(
            [self.options.build / "bench" / "postrider-generator", "--connect",
             f"127.0.0.1:{self.server.port}", "--sessions", str(sessions), "--size",
             str(self.options.size), "--json", "--together", *map(str, amount)],
            stdout=subprocess.PIPE, text=True)
        return json.loads(done.stdout)

    def kill(self):
        engine = self.engine()
        for pid in (self.server.process.pid, engine):
            os.kill(pid, signal.SIGKILL)
        self.server.process.wait()
        while pathlib.Path(f"/proc/{engine}").exists():
            time.sleep(0.01)


def measure_queue(options, folder):
    trial = Trial(options, folder)
    trial.start()
    result = {"messages": options.messages}
    say("accepting into an empty queue")
    result["rate_empty"] = rate(trial.generate("--seconds", options.seconds))
    say(f"filling the queue with {options.messages} messages")
    count = trial.scheduled()
    result["rate_filling"] = rate(trial.generate("--messages", max(1, options.messages - count)))
    say("accepting beside the full queue")
    result["rate_full"] = rate(trial.generate("--seconds", options.seconds))
    result["rate_ratio"] = result["rate_full"] / result["rate_empty"]
    time.sleep(2)
    result["messages"] = trial.scheduled()
    result["rss_mb"], result["pss_mb"] = memory_mb(trial.engine())
    trial.kill()
    say("starting again after kill -9")
    began, result["greets_s"] = trial.start()
    while trial.scheduled() < result["messages"]:
        if time.monotonic() - began > 120:
            sys.exit(f"scale: {trial.scheduled()} of {result['messages']} came back")
        time.sleep(0.02)
    result["scheduled_s"] = time.monotonic() - began
    time.sleep(20)
    result["restart_rss_mb"], result["restart_pss_mb"] = memory_mb(trial.engine())
    trial.kill()
    return result


def measure_idle(options, folder):
    trial = Trial(options, folder)
    trial.start()
    before = memory_mb(trial.engine())[1]
    process = subprocess.Popen(
        [options.build / "bench" / "postrider-generator", "--connect",
         f"127.0.0.1:{trial.server.port}", "--sessions", str(options.idle), "--idle", "--seconds",
         "15"], stdout=subprocess.DEVNULL)
    time.sleep(10)
    open_now = trial.ask("status")["engine"]["receive"]["sessions_open"]
    after = memory_mb(trial.engine())[1]
    process.wait()
    trial.kill()
    return {"idle_sessions": open_now, "kib_a_session": (after - before) * 1024 / max(1, open_now)}


def rate(result):
    for key in ("rate", "messages_per_second", "rate_s"):
        if key in result:
            return result[key]
    return result["messages"] / result["seconds"]


def say(text):
    print(f"scale: {text}", file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--messages", type=int, default=1000000)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--idle", type=int, default=0, help="measure so many idle sessions instead")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--build", type=pathlib.Path, default=servers.TOP / "build")
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="scale", dir=options.build))
    try:
        result = (measure_idle if options.idle else measure_queue)(options, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for key, value in result.items():
        print(f"{key:16} {value:,.2f}" if isinstance(value, float) else f"{key:16} {value:,}")
    if options.json:
        options.json.write_text(json.dumps(result))


main()
