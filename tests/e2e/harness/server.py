"""postrider itself. The only place of the tests that knows its configuration and command line."""

import os
import re
import signal
import smtplib
import subprocess
import time

from .process import BUILD, Program, Trouble, answers, children, free_port, wait_until

BINARY = BUILD / "postrider"


class Postrider:
    """A server in a folder of its own, on free ports of the loopback interface."""

    def __init__(self, folder, name="mx.test", next_hop=None, dns=None, remote_port=None,
                 spool=None, extra="", deliver="", binary=BINARY, environment=None):
        self.folder = folder / "postrider"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.port = free_port()
        self.next_hop = next_hop
        self.dns = dns
        self.remote_port = remote_port
        self.deliver = deliver # further options of that block
        self.relay_from = "127.0.0.0/8"
        self.spool = spool or self.folder / "spool"
        self.control = self.folder / "control"
        # Small segments: a start writes one in full, and they change more often.
        defaults = {"log {": "log { level info }\n", "disk {": "disk { segment 16M }\n"}
        self.extra = extra + "".join(text for block, text in defaults.items() if block not in extra)
        self.binary = binary
        self.environment = environment
        self.config = self.folder / "postrider.conf"
        self.program = None
        self.wrapper = []

    def write_config(self):
        to = ""
        if isinstance(self.next_hop, str): # as the configuration has it
            to = f"  to {self.next_hop}"
        elif self.next_hop:
            to = f"  to smtp:{self.next_hop[0]}:{self.next_hop[1]}"
        lines = [
            f"hostname {self.name}",
            f"spool {self.spool}",
            f"control {self.control}",
            *(["user root"] if os.getuid() == 0 else []), # the folder of a test is its own alone
            f"listen smtp {{ bind 127.0.0.1:{self.port} }}",
            f"relay {{ from {self.relay_from}{to} }}",
        ]
        if self.dns:
            lines.append(f"dns {{ server {self.dns[0]}:{self.dns[1]} }}")
        if self.remote_port or self.deliver:
            port = f"port {self.remote_port}" if self.remote_port else ""
            lines.append(f"deliver {{ {port} {self.deliver} }}".replace(" }", "\n}"))
        self.config.write_text("\n".join(lines) + "\n" + self.extra)
        self.spool.mkdir(mode=0o700, exist_ok=True)

    def start(self, timeout_s=15):
        self.write_config()
        self.program = Program(self.folder, "postrider",
                               [*self.wrapper, self.binary, "serve", "--config", self.config],
                               self.environment)
        self.program.start()
        self.program.wait_for(self.is_answering, timeout_s, "postrider answers")
        return self

    def is_answering(self):
        return answers("127.0.0.1", self.port)

    def wait_answering(self, timeout_s=10):
        wait_until(self.is_answering, timeout_s, lambda: f"postrider answers\n{self.program.said()}")

    # Processes

    def supervisor(self):
        """The process that was started; under strace it is strace's child."""
        if not self.wrapper:
            return self.program.pid
        return wait_until(lambda: children(self.program.pid), 5, "the supervisor runs")[0]

    def engine(self, timeout_s=5):
        """The child of the supervisor that has the most threads: the others have one or few."""
        def threads(pid):
            try:
                return len(os.listdir(f"/proc/{pid}/task"))
            except OSError:
                return 0
        found = wait_until(lambda: children(self.supervisor()), timeout_s, "an engine runs")
        return max(found, key=threads)

    def kill_engine(self):
        pid = self.engine()
        os.kill(pid, signal.SIGKILL)
        return pid

    def kill(self):
        """Everything at once, as a machine that loses its power would."""
        self.program.kill()

    def stop(self):
        return self.program.stop() if self.program else None

    # Command line

    def command(self, *words, check=True, timeout_s=30):
        done = subprocess.run([self.binary, *words, "--config", self.config], capture_output=True,
                              text=True, timeout=timeout_s, env=self.environment)
        if check and done.returncode != 0:
            raise Trouble(f"postrider {' '.join(map(str, words))}: {done.returncode}: "
                          f"{done.stdout}{done.stderr}")
        return done

    def queue_length(self):
        """Lines of `queue list` that begin with a message id."""
        listed = self.command("queue", "list").stdout
        return sum(1 for line in listed.splitlines() if len(line.split(" ")[0].strip()) == 26)

    def retry_all(self):
        self.command("queue", "retry", "--all")

    def export(self, folder):
        """What is in the spool of a server that does not run, as .eml files."""
        self.command("spool", "export", str(folder))
        return sorted(folder.glob("*.eml"))

    # Mail

    def smtp(self, timeout_s=30):
        return smtplib.SMTP("127.0.0.1", self.port, local_hostname="client.test",
                            timeout=timeout_s)

    def send(self, content, sender="sender@client.test", recipients=("r@recipient.test",)):
        with self.smtp(120) as client:
            client.sendmail(sender, list(recipients), content)

    def log(self):
        return self.program.said(1 << 24)

    def repeats_foretold(self):
        """
        Deliveries that the log names as possible repeats: a final dot without an outcome before a
        crash, and a connection lost between the final dot and its reply (RFC 1047).
        """
        said = self.program.output.read_text(errors="replace")
        return said.count(" message-repeated ") + sum(
            1 for line in said.splitlines() if " message-deferred " in line and " in-doubt=1" in line)

    def revived(self):
        """Messages delivered after their end was durable (message-done, logged at level info)."""
        done, again = set(), []
        with open(self.program.output, errors="replace") as lines:
            for line in lines:
                found = re.search(r" message-(done|delivered) id=(\S+)", line)
                if found and found[1] == "done":
                    done.add(found[2])
                elif found and found[2] in done:
                    again.append(found[2])
        return again

    def wait_drained(self, timeout_s=30):
        wait_until(lambda: self.queue_length() == 0, timeout_s,
                   lambda: f"the queue is empty: {self.command('queue', 'list').stdout}", 0.2)


def wait_engine_changed(server, before, timeout_s=10):
    """Until another engine than `before` answers; gives the seconds that it took."""
    began = time.monotonic()
    def changed():
        try:
            return server.engine(0) != before and server.is_answering()
        except Trouble:
            return False
    wait_until(changed, timeout_s, lambda: f"a new engine answers\n{server.program.said()}", 0.01)
    return time.monotonic() - began
