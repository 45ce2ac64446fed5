#!/usr/bin/python3
"""Measures postrider with a large queue: memory, restart, and the accept rate beside it.

    bench/scale.py [--messages 1000000] [--size 1024] [--seconds 5] [--rounds 3] [--json FILE]

The next hop is down, so everything stays. The queue is filled and the memory of the engine told
(RSS, PSS, and the peak of RSS); then, after a kill -9 of everything, the time until it greets, until
every recipient is scheduled, and the memory then; then the accept rate beside the full queue and of
an empty server, in turns, as the median of the ratios, and the CPU time a message that goes with
them. Memory of idle sessions instead: --idle 9000. Exits with 1 when a gate is missed.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import servers

GATES_MOST = {"rss_mb": 250, "restart_rss_mb": 250, "greets_s": 1.0, "scheduled_s": 3.0}
GATES_LEAST = {"rate_ratio": 0.9}


def children(pid):
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def memory_mb(pid):
    """RSS, PSS and the highest RSS so far, in 10^6 bytes."""
    found = {}
    for name in ("smaps_rollup", "status"):
        for line in pathlib.Path(f"/proc/{pid}/{name}").read_text().splitlines():
            words = line.split()
            if words[0] in ("Rss:", "Pss:", "VmHWM:"):
                found[words[0]] = int(words[1]) * 1024 / 1e6
    return found["Rss:"], found["Pss:"], found["VmHWM:"]


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Trial:
    running = []

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
        Trial.running.append(self)
        while not self.server.greets():
            if self.server.process.poll() is not None or time.monotonic() - began > 60:
                sys.exit(f"scale: postrider did not start:\n{self.server.last_words()}")
            time.sleep(0.005)
        return began, time.monotonic() - began

    def engine(self):
        """The child that has the most threads: the agent and its like have one."""
        return max(children(self.server.process.pid),
                   key=lambda pid: len(os.listdir(f"/proc/{pid}/task")))

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
        Trial.running.remove(self)
        engine = self.engine()
        for pid in (self.server.process.pid, engine):
            os.kill(pid, signal.SIGKILL)
        self.server.process.wait()
        while pathlib.Path(f"/proc/{engine}").exists():
            time.sleep(0.01)

    def accept(self):
        """Messages a second, and CPU time of the engine for each in microseconds."""
        before = cpu_s(self.engine())
        told = self.generate("--seconds", self.options.seconds)
        return told["rate"], (cpu_s(self.engine()) - before) * 1e6 / told["accepted"]


def measure_queue(options, folder):
    result = {}
    (folder / "full").mkdir()
    trial = Trial(options, folder / "full")
    trial.start()
    say(f"filling the queue with {options.messages} messages")
    result["rate_filling"] = trial.generate("--messages", options.messages)["rate"]
    time.sleep(2)
    result["messages"] = trial.scheduled()
    result["rss_mb"], result["pss_mb"], result["peak_mb"] = memory_mb(trial.engine())
    trial.kill()
    say("starting again after kill -9")
    began, result["greets_s"] = trial.start()
    while trial.scheduled() < result["messages"]:
        if time.monotonic() - began > 120:
            sys.exit(f"scale: {trial.scheduled()} of {result['messages']} came back")
        time.sleep(0.02)
    result["scheduled_s"] = time.monotonic() - began
    time.sleep(5)
    names = ("restart_rss_mb", "restart_pss_mb", "restart_peak_mb")
    result.update(zip(names, memory_mb(trial.engine())))
    measure_rates(options, folder, trial, result)
    trial.kill()
    return result


def measure_rates(options, folder, full, result):
    pairs = []
    for number in range(options.rounds):
        say(f"accepting into an empty queue and beside the full one, round {number + 1}")
        where = folder / f"empty{number}"
        where.mkdir()
        empty = Trial(options, where)
        empty.start()
        pairs.append((empty.accept(), full.accept()))
        empty.kill()
        shutil.rmtree(where)
    for i, name in enumerate(("rate", "cpu_us")):
        for k, queue in enumerate(("empty", "full")):
            result[f"{name}_{queue}"] = statistics.median(pair[k][i] for pair in pairs)
        result[f"{name}_ratio"] = statistics.median(pair[1][i] / pair[0][i] for pair in pairs)


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
    return {"idle_sessions": open_now, "kib_a_session": (after - before) * 1e6 / 1024 / max(1, open_now)}


def say(text):
    print(f"scale: {text}", file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--messages", type=int, default=1000000)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3, help="of the accept rates")
    parser.add_argument("--idle", type=int, default=0, help="measure so many idle sessions instead")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--build", type=pathlib.Path, default=servers.TOP / "build")
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="scale", dir=options.build))
    try:
        result = (measure_idle if options.idle else measure_queue)(options, folder)
    finally:
        for trial in list(Trial.running):
            trial.kill()
        shutil.rmtree(folder, ignore_errors=True)
    for key, value in result.items():
        print(f"{key:16} {value:,.2f}" if isinstance(value, float) else f"{key:16} {value:,}")
    if options.json:
        options.json.write_text(json.dumps(result))
    missed = [key for key, most in GATES_MOST.items() if result.get(key, 0) > most]
    missed += [key for key, least in GATES_LEAST.items() if result.get(key, least) < least]
    if missed:
        sys.exit(f"scale: missed: {', '.join(missed)}")


main()
