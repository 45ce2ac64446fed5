"""More mail servers of others: chasquid, aiosmtpd and OpenSMTPD. Each keeps all mail of one
domain in files."""

import os
import pathlib
import pwd
import subprocess

import peers

from .receivers import Receiver


class Chasquid(Receiver):
    def __init__(self, host, port, domain, certificate):
        super().__init__(host, port)
        self.domain, self.certificate = domain, certificate

    def start(self):
        root = peers.extract("chasquid")
        config = self.folder / "etc"
        (config / "domains" / self.domain).mkdir(parents=True)
        (config / "certs" / "mx.test").mkdir(parents=True)
        for name, source in (("fullchain.pem", "certificate.pem"), ("privkey.pem", "key.pem")):
            (config / "certs" / "mx.test" / name).write_bytes((self.certificate / source).read_bytes())
        (self.folder / "data").mkdir()
        (config / "domains" / self.domain / "aliases").write_text("*: all\n")
        keep = self.folder / "keep"
        keep.write_text(f"#!/bin/sh\nf=$(mktemp {self.folder}/data/XXXXXXXX) && cat >$f && "
                        f"mv $f {self.mail}/\n")
        keep.chmod(0o755)
        (config / "chasquid.conf").write_text(f"""
hostname: "mx.{self.domain}"
smtp_address: "{self.host}:{self.port}"
monitoring_address: ""
mail_delivery_agent_bin: "{keep}"
data_dir: "{self.folder}/data/chasquid"
mail_log_path: "{self.folder}/chasquid.log"
""")
        subprocess.run([root / "usr/bin/chasquid-util", f"-C={config}", "user-add",
                        f"all@{self.domain}", "--password=secret"], check=True, capture_output=True)
        return self.run("chasquid", [root / "usr/bin/chasquid", f"-config_dir={config}"], None)


AIOSMTPD = """
import asyncio, os, ssl, sys, uuid
from aiosmtpd.smtp import SMTP

class Keeper:
    async def handle_DATA(self, server, session, envelope):
        path = f"{mail}/{uuid.uuid4()}"
        with open(path + ".tmp", "wb") as file:
            file.write(envelope.original_content)
        os.makedirs(f"{mail}/new", exist_ok=True)
        os.rename(path + ".tmp", f"{mail}/new/{uuid.uuid4()}")
        return "250 2.0.0 taken"

host, port, mail, certificate = sys.argv[1:]
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certificate + "/certificate.pem", certificate + "/key.pem")

async def main():
    make = lambda: SMTP(Keeper(), hostname="mx.real.test", enable_SMTPUTF8=True, tls_context=context,
                        data_size_limit=60000000)
    server = await asyncio.get_running_loop().create_server(make, host, int(port))
    await server.serve_forever()

asyncio.run(main())
"""


class Aiosmtpd(Receiver):
    def __init__(self, host, port, domain, certificate):
        super().__init__(host, port)
        self.certificate = certificate

    def start(self):
        root = peers.extract("python3-aiosmtpd")
        script = self.folder / "serve.py"
        script.write_text(AIOSMTPD)
        path = f"{root}/usr/lib/python3/dist-packages"
        return self.run("aiosmtpd", ["/usr/bin/python3", script, self.host, self.port, self.mail,
                                     self.certificate], {**os.environ, "PYTHONPATH": path})

    def files(self):
        return [path for path in super().files() if path.parent.name == "new"]


class OpenSmtpd(Receiver):
    """Paths and users are built into it: its package and a list of users with them are laid over this
    system in a mount name space of its own."""

    def __init__(self, host, port, domain, certificate):
        super().__init__(host, port)
        self.domain, self.certificate = domain, certificate

    def start(self):
        root = peers.extract("opensmtpd")
        nobody = pwd.getpwnam("nobody")
        os.chown(self.mail, nobody.pw_uid, nobody.pw_gid)
        etc, variable = self.folder / "etc", self.folder / "var"
        etc.mkdir()
        (variable / "lib/opensmtpd/empty").mkdir(parents=True)
        (variable / "spool").mkdir(parents=True)
        for name, uid in (("opensmtpd", 64101), ("opensmtpq", 64102)):
            with open(etc / "passwd", "a") as users, open(etc / "group", "a") as groups:
                users.write(f"{name}:x:{uid}:{uid}::/var/lib/opensmtpd/empty:/usr/sbin/nologin\n")
                groups.write(f"{name}:x:{uid}:\n")
        for name in ("passwd", "group"):
            with open(etc / name, "a") as file:
                file.write(pathlib.Path(f"/etc/{name}").read_text())
        key = self.folder / "key.pem"
        key.write_bytes((self.certificate / "key.pem").read_bytes())
        key.chmod(0o600)
        (etc / "smtpd.conf").write_text(f"""
pki mx.test cert "{self.certificate}/certificate.pem"
pki mx.test key "{key}"
smtp max-message-size "60M"
listen on {self.host} port {self.port} tls pki mx.test hostname mx.{self.domain}
table users {{ "@" = "nobody" }}
action "keep" maildir "{self.mail}/all" virtual <users>
match from any for domain "{self.domain}" action "keep"
""")
        script = (f"mount -t overlay overlay -o lowerdir={root}/usr:/usr /usr && "
                  f"mount --bind {etc}/passwd /etc/passwd && mount --bind {etc}/group /etc/group && "
                  f"mount -t overlay overlay -o lowerdir={variable}/lib:/var/lib /var/lib && "
                  "mount -t tmpfs none /var/spool && mkdir -m 711 /var/spool/smtpd && "
                  "mount -t tmpfs none /run && "
                  f"LD_LIBRARY_PATH={peers.environment(root)['LD_LIBRARY_PATH']} "
                  f"exec /usr/sbin/smtpd -d -f {etc}/smtpd.conf")
        return self.run("smtpd", ["unshare", "--mount", "sh", "-c", script], None)

    def log(self):
        return self.program.said() if self.program else ""

