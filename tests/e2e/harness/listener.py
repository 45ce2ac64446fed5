"""A small mail server in the test itself: it offers what the test says, and keeps every command."""

import socketserver
import threading


class Transaction:
    """One message that was taken: MAIL and RCPT as they were said, parameters included."""

    def __init__(self, mail, recipients, content):
        self.mail, self.recipients, self.content = mail, recipients, content


class Listener:
    """
    `extensions` are the lines of the reply to EHLO. `refusals` maps a text to a reply: who is named
    in a RCPT that holds the text gets it.
    """

    def __init__(self, extensions=(), refusals=None, host="127.0.0.1"):
        self.extensions, self.refusals = tuple(extensions), dict(refusals or {})
        self.taken = []
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                outer.converse(self.rfile, self.wfile)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self.server = Server((host, 0), Handler)
        self.address = self.server.server_address
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def rcpt_reply(self, line):
        for text, reply in self.refusals.items():
            if text in line:
                return reply
        return "250 2.1.5 ok"

    def ehlo_reply(self):
        lines = ["listener.test", *self.extensions]
        return "".join(f"250-{line}\r\n" for line in lines[:-1]) + f"250 {lines[-1]}\r\n"

    @staticmethod
    def read_content(lines):
        content = []
        for line in iter(lines.readline, b""):
            if line == b".\r\n":
                break
            content.append(line[1:] if line.startswith(b".") else line)
        return b"".join(content)

    def converse(self, lines, out):
        def say(text):
            out.write((text + "\r\n").encode())
        mail, recipients = "", []
        say("220 listener.test")
        for raw in iter(lines.readline, b""):
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            verb = line[:4].upper()
            if verb == "EHLO":
                out.write(self.ehlo_reply().encode())
            elif verb == "MAIL":
                mail, recipients = line, []
                say("250 2.1.0 ok")
            elif verb == "RCPT":
                reply = self.rcpt_reply(line)
                if reply.startswith("2"):
                    recipients.append(line)
                say(reply)
            elif verb == "DATA" and recipients:
                say("354 go on")
                content = self.read_content(lines)
                self.taken.append(Transaction(mail, recipients, content))
                say("250 2.0.0 taken")
            elif verb == "QUIT":
                say("221 2.0.0 bye")
                return
            else:
                say("250 2.0.0 ok" if verb in ("RSET", "NOOP") else "503 5.5.1 what")
