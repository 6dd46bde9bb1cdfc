"""The world: whoever is contacted, by whatever address, answers here, under TLS, and what is said is written down."""

import dataclasses
import http.server
import ipaddress
import socket
import socketserver
import ssl
import threading

from authority import Authority

BODY_BYTES_MAX = 64 << 20
# What is spoken to by an address alone, or by no name, is answered as this.
NOBODY = "nobody.invalid"
MAIL_LINE_BYTES_MAX = 1 << 16


@dataclasses.dataclass
class Heard:
    """A request; or a connection of which no more is known, where it has no method."""

    address: str
    port: int
    # The host as TLS named it, and as the request did.
    name: str
    host: str = ""
    method: str = ""
    path: str = ""
    headers: dict = dataclasses.field(default_factory=dict)
    body: bytes = b""
    tls: str = ""


@dataclasses.dataclass
class Reply:
    status: int
    body: bytes = b""
    headers: dict = dataclasses.field(default_factory=dict)


class World:
    """Everybody who can be contacted. `answers` has who answers as which host; whoever is not in it answers as
    `anybody`."""

    def __init__(self, authority: Authority, six: bool):
        self.authority, self.six = authority, six
        self.lock = threading.Lock()
        self.heard: list[Heard] = []
        self.mails: list[bytes] = []
        # Connections that came to nothing, and why.
        self.broken: list[str] = []
        self.answers: dict[str, object] = {}
        self.anybody = lambda _: Reply(404)

    def listen(self, port: int, handler: type) -> None:
        """Takes connections to a port of any address."""
        six = self.six

        class Door(socketserver.ThreadingTCPServer):
            daemon_threads, allow_reuse_address, request_queue_size = True, True, 256
            address_family = socket.AF_INET6 if six else socket.AF_INET

            def server_bind(self):
                if six:
                    self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                super().server_bind()

            def handle_error(self, request, client_address):
                """Whoever is spoken to may hang up; what was said stands in `heard`, and what broke in `broken`."""

        door = Door(("::" if six else "0.0.0.0", port), handler)
        door.world = self
        threading.Thread(target=door.serve_forever, daemon=True).start()

    def hear(self, heard: Heard) -> None:
        with self.lock:
            self.heard.append(heard)

    def all(self) -> list[Heard]:
        with self.lock:
            return list(self.heard)

    def secure(self, plain: socket.socket) -> tuple[ssl.SSLSocket, str]:
        """Speaks TLS on a connection, as whoever is named; and the name."""
        named = []

        def choose(connection, name, _):
            if name:
                named.append(name.lower())
                connection.context = self.authority.context(name.lower())

        self.authority.context(NOBODY)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.authority.folder / "host-1.pem", self.authority.folder / "host.key")
        context.set_alpn_protocols(["http/1.1"])
        context.sni_callback = choose
        try:
            return context.wrap_socket(plain, server_side=True), "".join(named)
        except OSError as error:
            with self.lock:
                self.broken.append(f"TLS as `{''.join(named)}`: {error}")
            raise


def reached(connection: socket.socket) -> tuple[str, int]:
    """To which address it was made."""
    address = ipaddress.ip_address(connection.getsockname()[0].split("%")[0])
    return str(getattr(address, "ipv4_mapped", None) or address), connection.getsockname()[1]


class Https(http.server.BaseHTTPRequestHandler):
    """A connection to an https address."""

    protocol_version = "HTTP/1.1"
    timeout = 120

    def setup(self):
        world = self.server.world
        self.address, self.port = reached(self.request)
        try:
            self.request, self.name = world.secure(self.request)
        except OSError:
            world.hear(Heard(self.address, self.port, ""))
            raise
        super().setup()

    def log_message(self, *_):
        pass

    def whole_body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self.rfile.read(min(int(self.headers.get("Content-Length") or 0), BODY_BYTES_MAX))
        pieces = []
        while length := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(length))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(pieces)

    def answer(self):
        world = self.server.world
        host = (self.headers.get("Host") or "").lower().partition(":")[0]
        headers = {name.lower(): value for name, value in self.headers.items()}
        heard = Heard(self.address, self.port, self.name, host, self.command, self.path, headers,
                      self.whole_body(), self.request.version() or "")
        world.hear(heard)
        try:
            reply = world.answers.get(host, world.anybody)(heard)
        except Exception as error:
            with world.lock:
                world.broken.append(f"{host} {self.command} {self.path.partition('?')[0]}: {error!r}")
            reply = Reply(500)
        self.send_response(reply.status)
        for header, value in reply.headers.items():
            self.send_header(header, value)
        if reply.status != 204:
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = answer


class Smtp(socketserver.StreamRequestHandler):
    """A connection to a mail server (RFC 5321) that takes nothing but a greeting before STARTTLS (RFC 3207)."""

    timeout = 120
    name, host = "", ""

    def say(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")

    def handle(self):
        world = self.server.world
        address, port = reached(self.request)
        self.say("220 mail ready")
        while line := self.rfile.readline(MAIL_LINE_BYTES_MAX).decode(errors="replace").strip():
            word = line.split(" ")[0].upper()
            secured = isinstance(self.connection, ssl.SSLSocket)
            if word == "EHLO":
                offers = ["mail", "AUTH PLAIN LOGIN"] if secured else ["mail", "STARTTLS"]
                for place, offer in enumerate(offers):
                    self.say(f"250{'-' if place + 1 < len(offers) else ' '}{offer}")
            elif word == "STARTTLS" and not secured:
                self.say("220 go ahead")
                self.wfile.flush()
                self.connection, self.name = world.secure(self.connection)
                self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
                world.hear(Heard(address, port, self.name, self.name, "STARTTLS", tls=self.connection.version()))
            elif word == "QUIT":
                self.say("221 bye")
                return
            elif not secured:
                self.say("530 speak TLS first")
            elif word == "AUTH":
                self.say("235 you are you")
            elif word == "DATA":
                self.say("354 go on")
                lines = []
                while (read := self.rfile.readline(MAIL_LINE_BYTES_MAX)) not in (b".\r\n", b""):
                    lines.append(read)
                with world.lock:
                    world.mails.append(b"".join(lines))
                self.say("250 taken")
            else:
                self.say("250 well")


class Plain(socketserver.StreamRequestHandler):
    """A connection without TLS: whoever makes one is taken at their word, so that it is heard what they say."""

    timeout = 10

    def handle(self):
        address, port = reached(self.request)
        line = self.rfile.readline(MAIL_LINE_BYTES_MAX).decode(errors="replace").split(" ")
        self.server.world.hear(Heard(address, port, "", "", line[0], line[1] if len(line) > 1 else ""))
        self.wfile.write(b"HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n")
