"""A name server with the zones that a test needs: NSD from Debian, unpacked, on a loopback port."""

import socket
import struct

import peers

from .process import Program, free_port


class NameServer:
    """Serves one zone, the root, so that every name of a test has an answer or none."""

    def __init__(self, folder, records):
        self.folder = folder / "nsd"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.host, self.port = "127.0.0.1", free_port()
        self.records = records
        self.root = peers.extract("nsd")
        self.program = None

    @property
    def address(self):
        return self.host, self.port

    def start(self):
        zone = "$ORIGIN .\n$TTL 60\n@ SOA ns.test. admin.test. 1 3600 600 86400 60\n@ NS ns.test.\n"
        (self.folder / "root.zone").write_text(zone + "ns.test. A 127.0.0.1\n" + self.records.strip() + "\n")
        config = self.folder / "nsd.conf"
        config.write_text(f"""
server:
    ip-address: {self.host}@{self.port}
    server-count: 1
    do-ip6: no
    username: ""
    chroot: ""
    zonesdir: "{self.folder}"
    pidfile: "{self.folder}/nsd.pid"
    xfrdfile: "{self.folder}/xfrd.state"
    zonelistfile: "{self.folder}/zone.list"
    xfrdir: "{self.folder}"
    database: ""
remote-control:
    control-enable: no
zone:
    name: "."
    zonefile: "root.zone"
""")
        self.program = Program(self.folder, "nsd", [self.root / "usr/sbin/nsd", "-d", "-c", config],
                               peers.environment(self.root))
        self.program.start()
        self.program.wait_for(self.is_answering, 10, "nsd answers")
        return self

    def is_answering(self):
        """Asks for the address of ns.test."""
        query = struct.pack(">6H", 7, 0x0100, 1, 0, 0, 0) + b"\2ns\4test\0" + struct.pack(">2H", 1, 1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(0.5)
            try:
                asking.sendto(query, self.address)
                answer = asking.recv(512)
            except OSError:
                return False
        return answer[:2] == query[:2] and answer[3] & 15 == 0 and b"\x7f\0\0\1" in answer

    def stop(self):
        if self.program:
            self.program.stop()
