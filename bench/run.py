#!/usr/bin/python3
"""Measures postrider and its peers side by side, in one run, with the same load and sink.

    bench/run.py [--peers postrider,postfix] [--scenarios LIST] [--runs N] [--seconds S] [--json FILE]

Peers take turns within every round, so that what disturbs the machine disturbs them alike; the
table shows medians over the rounds. See bench/README.md for what each column means.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import accounting
import check_ids
import mailboxes
import servers

STATS_SECONDS = 5
GATES = {  # scenario: (least ratio to Postfix, most CPU seconds per 1,000)
    "relay-4k-50": (10, 0.20),
    "accept-50": (15, None),
    "accept-500": (15, None),
    "maildir-4k-50": (2.5, None),
}


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    kind: str  # rig: generator into sink; relay: through the server; accept: the next hop is down;
    # maildir: into mailboxes
    sessions: int
    size: int
    messages_per_connection: int = 0


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("rig", "rig", 50, 4096),
        Scenario("relay-4k-50", "relay", 50, 4096),
        Scenario("relay-4k-50-one", "relay", 50, 4096, 1),
        Scenario("relay-100k-50", "relay", 50, 100 * 1024),
        Scenario("relay-1m-10", "relay", 10, 1024 * 1024),
        Scenario("accept-1", "accept", 1, 4096),
        Scenario("accept-50", "accept", 50, 4096),
        Scenario("accept-500", "accept", 500, 4096),
        Scenario("maildir-4k-50", "maildir", 50, 4096),
    )
}
DEFAULT_SCENARIOS = "rig,relay-4k-50,relay-4k-50-one,accept-1,accept-50,accept-500,maildir-4k-50"


class BenchError(Exception):
    """A run could not be carried out; the text says why."""


# ---- the rig ----


class Sink:
    def __init__(self, program, folder, port):
        self.port = port
        self.ids = folder / "sink.ids"
        self.stats_path = folder / "sink.json"
        self.ids.touch()
        self.process = subprocess.Popen(
            [program, "--listen", f"127.0.0.1:{port}", "--ids", self.ids]
            + ["--stats", self.stats_path]
        )
        wait_for_port(port)

    def stats(self):
        """What it counts at this moment."""
        self.stats_path.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + STATS_SECONDS
        while not self.stats_path.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise BenchError("the sink does not answer")
            time.sleep(0.002)
        return json.loads(self.stats_path.read_text())

    def stop(self):
        self.process.terminate()
        self.process.wait()


def wait_for_port(port):
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise BenchError(f"nothing listens on port {port}") from None
            time.sleep(0.01)


def generate(options, folder, scenario, port, *amount):
    command = [
        options.build / "bench" / "postrider-generator",
        *("--connect", f"127.0.0.1:{port}"),
        *("--sessions", str(scenario.sessions)),
        *("--size", str(scenario.size)),
        *("--messages-per-connection", str(scenario.messages_per_connection)),
        *("--ids", folder / "generator.ids"),
        "--together",
        "--json",
        *amount,
    ]
    if scenario.kind == "maildir":
        command += ["--recipient-domain", mailboxes.DOMAIN, "--domains", str(mailboxes.DOMAINS)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if not done.stdout:
        raise BenchError(f"the generator ended with status {done.returncode}")
    return json.loads(done.stdout)


def wait_until_delivered(sink, wanted, patience_seconds):
    """Returns when the sink has `wanted` different messages, or when none has come for so long."""
    seen, progress = -1, time.monotonic()
    while True:
        stats = sink.stats()
        distinct = stats["messages"] - stats["duplicates"]
        if distinct >= wanted:
            return stats
        if distinct > seen:
            seen, progress = distinct, time.monotonic()
        elif time.monotonic() - progress > patience_seconds:
            return stats
        time.sleep(0.05)


# ---- CPU time ----


class Meter:
    """CPU time between two moments, by whom it was used."""

    def __init__(self, sink):
        self.sink = sink if sink and sink.process else None
        self.without = {sink.process.pid} if self.sink else set()
        self.began = self.now()

    def now(self):
        return {
            "wall": time.monotonic(),
            "server": accounting.tree_seconds(os.getpid(), self.without),
            "sink": accounting.process_seconds(self.sink.process.pid) if self.sink else 0.0,
            "driver": accounting.own_seconds(),
            "machine": accounting.machine_seconds(),
        }

    def read(self, generator_seconds):
        """Differences, and `foreign`: the cores that others kept busy, on average."""
        now = self.now()
        used = {name: now[name] - value for name, value in self.began.items()}
        ours = used["server"] + used["sink"] + used["driver"] + generator_seconds
        used["foreign"] = max(0.0, used["machine"] - ours) / used["wall"]
        return used


# ---- one run ----


def amount_of(options):
    if options.messages:
        return ["--messages", str(options.messages)]
    return ["--seconds", str(options.seconds)]


def measure(options, folder, scenario, port, sink):
    """Sends the load and, where mail is delivered, waits for all of it."""
    delivers = scenario.kind != "accept"
    # A server that has a process for each session is measured when it has started them.
    warm_up = generate(
        options, folder, scenario, port, "--messages", str(4 * scenario.sessions), "--run", "warm"
    )
    if delivers:
        wait_until_delivered(sink, warm_up["accepted"], options.patience)
    meter = Meter(sink)
    sent = generate(options, folder, scenario, port, *amount_of(options))
    got = None
    if delivers:
        wanted = warm_up["accepted"] + sent["accepted"]
        got = wait_until_delivered(sink, wanted, options.patience)
    used = meter.read(sent["cpu_seconds"])
    if scenario.kind == "maildir":
        got = sink.finish()
    result = result_of(scenario, sent, used)
    if delivers:
        result.update(deliveries_of(folder, sink, warm_up, sent, got))
    return result


def per_1000(seconds, messages):
    return seconds * 1000 / messages if messages else 0.0


def result_of(scenario, sent, used):
    messages = sent["accepted"]
    if messages == 0:
        raise BenchError("not one message was accepted")
    return {
        "messages": messages,
        "rate": sent["rate"],
        "server_cpu": 0.0 if scenario.kind == "rig" else per_1000(used["server"], messages),
        "generator_cpu": per_1000(sent["cpu_seconds"], messages),
        "sink_cpu": per_1000(used["sink"], messages),
        "p50_ms": sent["latency_us"]["p50"] / 1000,
        "p99_ms": sent["latency_us"]["p99"] / 1000,
        "refused": sent["refused_4xx"] + sent["refused_5xx"],
        "connections_lost": sent["connections_lost"] + sent["connect_failures"],
        "stalled": sent["stalled"],
        "lost": 0,
        "duplicates": 0,
        "foreign": used["foreign"],
    }


def deliveries_of(folder, sink, warm_up, sent, got):
    compared = check_ids.compare(
        check_ids.read_ids(folder / "generator.ids"), check_ids.read_ids(sink.ids)
    )
    delivered = got["messages"] - got["duplicates"] - warm_up["accepted"]
    seconds = (got["last_ns"] - sent["first_send_ns"]) / 1e9
    return {
        "rate": delivered / seconds if seconds > 0 else 0.0,
        "accept_rate": sent["rate"],
        "lost": compared["lost"],
        "duplicates": compared["duplicates"],
    }


def run_once(options, scenario, server_class):
    """One scenario with one server (None: the rig alone), in a folder that is removed after it."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{scenario.name}-", dir=options.work))
    folder.chmod(0o755)  # Postfix's processes are not root
    (next_hop_port,) = servers.free_ports(1)
    sink = server = None
    try:
        if scenario.kind == "maildir":
            sink = mailboxes.Mailboxes(folder)
        elif scenario.kind != "accept":
            sink = Sink(options.build / "bench" / "postrider-sink", folder, next_hop_port)
        if server_class is None:
            return measure(options, folder, scenario, next_hop_port, sink)
        server = server_class(folder, next_hop_port, scenario.sessions, options.build)
        if scenario.kind == "maildir":
            server.mailboxes = sink.path
        server.start()
        try:
            return measure(options, folder, scenario, server.port, sink)
        except BenchError as error:
            raise BenchError(f"{error}\n{server.last_words()}") from None
    finally:
        if server is not None:
            server.stop()
        if sink is not None:
            sink.stop()
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)


# ---- all runs ----


def median_of(results):
    """The median of each figure; losses and the like are summed, since none may hide."""
    summed = ("lost", "duplicates", "refused", "connections_lost", "stalled")
    return {
        name: (sum if name in summed else statistics.median)(result[name] for result in results)
        for name in results[0]
    }


def run_scenario(options, scenario, classes):
    """{server name: medians, with the single results under "runs"}."""
    takers = {"(rig)": None} if scenario.kind == "rig" else classes
    results = {name: [] for name in takers}
    for round_number in range(options.runs):
        for name, server_class in takers.items():
            print(
                f"bench: {scenario.name} {name} {round_number + 1}/{options.runs}",
                file=sys.stderr,
                flush=True,
            )
            results[name].append(run_once(options, scenario, server_class))
    return {name: dict(median_of(runs), runs=runs) for name, runs in results.items()}


# ---- the report ----

COLUMNS = (
    "scenario         server      rate/s   x Postfix   CPU s/1,000: server  generator    sink"
    "   p50 ms   p99 ms   lost  doubled  refused  foreign"
)


def ratio_to_postfix(results, name):
    if "postfix" not in results or results["postfix"]["rate"] <= 0:
        return None
    return results[name]["rate"] / results["postfix"]["rate"]


def print_rows(scenario_name, results):
    for name, result in results.items():
        ratio = ratio_to_postfix(results, name)
        print(
            f"{scenario_name:<16} {name:<10} {result['rate']:>7.0f}"
            f" {'-' if ratio is None else format(ratio, '.2f'):>11}"
            f" {result['server_cpu']:>21.3f} {result['generator_cpu']:>10.4f}"
            f" {result['sink_cpu']:>7.4f} {result['p50_ms']:>8.2f} {result['p99_ms']:>8.2f}"
            f" {result['lost']:>6} {result['duplicates']:>8} {result['refused']:>8}"
            f" {result['foreign']:>8.2f}"
        )


def print_gates(report):
    """How postrider stands to what it has promised, where both were measured."""
    for name, (least_ratio, most_cpu) in GATES.items():
        results = report.get(name, {})
        if "postrider" not in results or "postfix" not in results:
            continue
        ratio = ratio_to_postfix(results, "postrider")
        if ratio is None:  # it has delivered nothing, which the rows tell
            continue
        cpu = results["postrider"]["server_cpu"]
        verdict = "met" if ratio >= least_ratio else "MISSED"
        print(f"gate {name}: {ratio:.1f} times Postfix, at least {least_ratio}: {verdict}")
        if most_cpu is not None:
            verdict = "met" if cpu <= most_cpu else "MISSED"
            print(f"gate {name}: {cpu:.3f} CPU s per 1,000, at most {most_cpu}: {verdict}")


def is_faultless(results):
    return all(
        result["lost"] + result["duplicates"] + result["connections_lost"] + result["stalled"] == 0
        for result in results.values()
    )


def machine_facts():
    model = "unknown"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "cores": os.cpu_count(),
        "cpu": model,
        "kernel": platform.release(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


# ---- the command line ----


def parse_options():
    parser = argparse.ArgumentParser(description="measures postrider and its peers side by side")
    parser.add_argument("--peers", default="postrider,postfix")
    parser.add_argument("--scenarios", default=DEFAULT_SCENARIOS, help=", ".join(SCENARIOS))
    parser.add_argument("--runs", type=int, default=3, metavar="N")
    parser.add_argument("--seconds", type=float, default=5, metavar="S", help="of sending, each run")
    parser.add_argument("--messages", type=int, metavar="N", help="instead of --seconds")
    parser.add_argument(
        "--patience",
        type=float,
        default=60,
        metavar="S",
        help="without a delivery, until what is missing counts as lost",
    )
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--build", type=pathlib.Path, default=servers.TOP / "build")
    parser.add_argument("--work", type=pathlib.Path, help="default: bench-work in the build folder")
    parser.add_argument("--keep", action="store_true", help="keep the folders of the runs")
    options = parser.parse_args()
    options.build = options.build.resolve()
    options.work = (options.work or options.build / "bench-work").resolve()
    known = servers.all_servers()
    options.peers = choose(parser, "peer", options.peers, known)
    options.scenarios = choose(parser, "scenario", options.scenarios, SCENARIOS)
    if options.runs < 1:
        parser.error("--runs must be at least 1")
    return options


def choose(parser, kind, names, known):
    for name in names.split(","):
        if name not in known:
            parser.error(f"there is no {kind} \"{name}\"; known: {', '.join(known)}")
    return {name: known[name] for name in names.split(",")}


def prepare_work(options):
    options.work.mkdir(parents=True, exist_ok=True)
    kind = subprocess.run(
        ["stat", "-f", "-c", "%T", options.work], check=True, capture_output=True, text=True
    ).stdout.strip()
    if kind in ("tmpfs", "ramfs"):
        raise BenchError(f"{options.work} is on {kind}: a sync costs nothing there; see --work")
    return kind


def main():
    options = parse_options()
    report = {}
    faultless = True
    try:
        facts = dict(machine_facts(), file_system=prepare_work(options))
        accounting.become_subreaper()
        print("{cpu}, {cores} cores, Linux {kernel}, {file_system}, {time}".format(**facts))
        print(f"medians of {options.runs} runs", flush=True)
        print(COLUMNS, flush=True)
        for name, scenario in options.scenarios.items():
            report[name] = run_scenario(options, scenario, options.peers)
            print_rows(name, report[name])
            sys.stdout.flush()
            faultless = faultless and is_faultless(report[name])
    except (BenchError, servers.ServerError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print_gates(report)
    if not faultless:
        print("bench: mail was lost or doubled, or connections were: see above", file=sys.stderr)
    if options.json:
        options.json.write_text(json.dumps({"machine": facts, "scenarios": report}, indent=1))
    return 0 if faultless else 1


if __name__ == "__main__":
    sys.exit(main())
