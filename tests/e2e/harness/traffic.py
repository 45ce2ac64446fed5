"""The load generator and the sink of bench/, and the book-keeping of what each of them saw."""

import collections
import json
import signal

from .process import BUILD, Program, Trouble, answers, free_port, wait_until

GENERATOR = BUILD / "bench" / "postrider-generator"
SINK = BUILD / "bench" / "postrider-sink"


class Sink:
    """Takes everything, or misbehaves as told; survives restarts with the same files."""

    def __init__(self, folder, *options, save=False, host="127.0.0.1", port=None):
        self.folder = folder / f"sink-{host}-{port or 'any'}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.host, self.port = host, port or free_port(host)
        self.ids = self.folder / "ids"
        self.saved = self.folder / "saved"
        command = [SINK, "--listen", f"{host}:{self.port}", "--ids", self.ids,
                   "--stats", self.folder / "stats.json", *options]
        if save:
            command += ["--save", self.saved]
        self.program = Program(self.folder, "sink", command)

    @property
    def address(self):
        return self.host, self.port

    def start(self):
        self.program.start()
        self.program.wait_for(lambda: answers(self.host, self.port), 10, "the sink answers")
        return self

    def stop(self):
        self.program.stop()

    def received(self):
        """How often each id has come."""
        return count_ids(self.ids)

    def messages(self):
        """Pairs of envelope and content, in the order in which they came."""
        pairs = []
        for envelope in sorted(self.saved.glob("*.json")):
            pairs.append((json.loads(envelope.read_text()),
                          envelope.with_suffix(".eml").read_bytes()))
        return pairs

    def wait_messages(self, count, timeout_s=20):
        wait_until(lambda: len(list(self.saved.glob("*.json"))) >= count, timeout_s,
                   lambda: f"{count} messages at the sink, there are "
                           f"{len(list(self.saved.glob('*.json')))}")
        return self.messages()


def count_ids(path):
    if not path.exists():
        return collections.Counter()
    text = path.read_text()
    # A line without its end is being written.
    return collections.Counter(text[: text.rfind("\n") + 1].split("\n")[:-1])


class Generator:
    """Sends until it is told to stop; what was answered 250 is in its file of ids."""

    def __init__(self, folder, port, *options, name="generator"):
        self.ids = folder / f"{name}.ids"
        self.program = Program(folder, name, [GENERATOR, "--connect", f"127.0.0.1:{port}", "--ids",
                                              self.ids, "--json", *options])

    def start(self):
        self.program.start()
        return self

    def acknowledged(self):
        return count_ids(self.ids)

    def wait_acknowledged(self, count, timeout_s=30):
        self.program.wait_for(lambda: sum(self.acknowledged().values()) >= count, timeout_s,
                              lambda: f"{count} messages are acknowledged, "
                                      f"{sum(self.acknowledged().values())} are")

    def stop(self):
        """Ends the load; whatever is without an answer counts as not sent."""
        if self.program.alive():
            self.program.process.send_signal(signal.SIGTERM)
            try:
                self.program.process.wait(5)
            except Exception:
                self.program.process.kill()
                self.program.process.wait()

    def finish(self, timeout_s=120):
        self.program.process.wait(timeout_s)
        if self.program.process.returncode != 0:
            raise Trouble(f"the generator failed: {self.program.said()}")
        return json.loads(self.program.said().strip().splitlines()[-1])


class Ledger:
    """Every id answered 250 has to come; more than once is counted."""

    def __init__(self, acknowledged, received):
        self.acknowledged, self.received = acknowledged, received
        self.missing = sorted(set(acknowledged) - set(received))
        self.repeats = {name: count - 1 for name, count in received.items() if count > 1}

    def check(self, server, forgets=False):
        """
        Nothing is lost; nothing is delivered after its end was durable; and no more came twice than
        the log of `server` foretold. A power cut takes with it what would have foretold
        (SENDING is written and not synced), unless the disk `forgets` nothing.
        """
        assert not self.missing, str(self)
        revived = server.revived()
        assert not revived, f"delivered after their end: {revived[:5]}"
        foretold = server.repeats_foretold()
        # Of a message with many recipients all that were in one transaction come again together.
        messages = collections.Counter()
        for name, count in self.repeats.items():
            message = name.partition(" ")[0]
            messages[message] = max(messages[message], count)
        repeats = sum(messages.values())
        assert forgets or repeats <= foretold, f"{self}, {foretold} foretold"

    def __str__(self):
        return (f"{len(self.acknowledged)} acknowledged, {len(self.received)} received, "
                f"{len(self.missing)} missing {self.missing[:5]}, "
                f"{sum(self.repeats.values())} repeats")


def settle(generator, sink, timeout_s=60, server=None):
    """
    Waits until all that was acknowledged is at the sink, and says how it went. What a fault has put
    off for minutes waits in the queue of `server`: an operator's retry brings it.
    """
    def ledger():
        return Ledger(generator.acknowledged(), sink.received())
    try:
        if server is not None:
            try:
                wait_until(lambda: not ledger().missing, 3, "all is at the sink", 0.2)
            except Trouble:
                server.retry_all()
        wait_until(lambda: not ledger().missing, timeout_s, "all is at the sink", 0.2)
    except Trouble:
        pass
    return ledger()
