"""Who answers as whom: the project's own simulator as Meta and as the model, and small servers as everybody else."""

import base64
import hashlib
import hmac
import http.client
import http.server
import json
import re
import socketserver
import threading
import urllib.parse

from authority import Authority
from hosts import Heard, Reply

NOT_PASSED_ON = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "te", "accept-encoding"}
WHEN = "Tue, 24 Nov 2026 00:00:00 GMT"


class Simulator:
    """Passes requests on to the simulator, which is on this machine, and has its files lie where Meta has them."""

    def __init__(self, address: str):
        self.address = address.removeprefix("http://")
        self.lock = threading.Lock()
        # Where the next new files are to lie, by who asks; and where each file lies.
        self.next: dict[str, list[str]] = {}
        self.lie: dict[str, str] = {}
        url = re.escape(self.address)
        self.link = re.compile(rf"http:(\\?)/\\?/{url}\\?/(media|cdn)\\?/(\d+)".encode())

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict | None = None) -> Reply:
        connection = http.client.HTTPConnection(self.address, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in NOT_PASSED_ON}
            return Reply(answer.status, answer.read(), kept)
        finally:
            connection.close()

    def control(self, path: str, body=None):
        """Its control interface, which nobody but the test speaks to."""
        data = None if body is None else json.dumps(body).encode()
        reply = self.ask("GET" if data is None else "POST", path, data, {"Content-Type": "application/json"})
        if reply.status != 200:
            raise SystemExit(f"the simulator refuses {path}: {reply.body.decode(errors='replace')}")
        return json.loads(reply.body)

    def __call__(self, heard: Heard) -> Reply:
        """As Meta and as a model."""
        path = heard.path.partition("?")[0]
        if path.startswith("/sim"):
            return Reply(404)
        headers = {name: value for name, value in heard.headers.items() if name not in NOT_PASSED_ON}
        reply = self.ask(heard.method, heard.path, heard.body, headers)
        if "json" in reply.headers.get("content-type", ""):
            reply.body = self.placed(reply.body, "whatsapp")
        return reply

    def placed(self, text: bytes, whose: str) -> bytes:
        """The same text, with the addresses of files where Meta has them. Escaped slashes stay so."""

        def place(found: re.Match) -> bytes:
            escape, kind, file = found.groups()
            with self.lock:
                if file.decode() not in self.lie:
                    places = self.next[whose]
                    self.lie[file.decode()] = places.pop(0) if len(places) > 1 else places[0]
                host = self.lie[file.decode()].encode()
            slash = escape + b"/"
            return b"https:" + slash * 2 + host + slash + kind + slash + file

        return self.link.sub(place, text)


class Relay:
    """Meta's webhooks on their way from the simulator: where files lie is written into them, and they are signed
    anew."""

    def __init__(self, simulator: Simulator, secret: str):
        # Where the server is.
        self.to = ""
        relay = self

        class Passing(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                self.answer(None)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                signed = sign(secret, body)
                assert hmac.compare_digest(signed, self.headers["X-Hub-Signature-256"]), "the simulator signs wrongly"
                whose = json.loads(body)["object"].removesuffix("_business_account")
                self.answer(simulator.placed(body, whose))

            def answer(self, body):
                connection = http.client.HTTPConnection(relay.to, timeout=60)
                headers = {"Content-Type": "application/json", "User-Agent": "facebookexternalua",
                           "X-Forwarded-For": "173.252.88.1", "X-Forwarded-Proto": "https"}
                if body is not None:
                    headers["X-Hub-Signature-256"] = sign(secret, body)
                try:
                    connection.request(self.command, self.path, body, headers)
                    answer = connection.getresponse()
                    status, said = answer.status, answer.read()
                except OSError:
                    status, said = 503, b""
                finally:
                    connection.close()
                self.send_response(status)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

        door = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Passing)
        door.daemon_threads = True
        self.url = f"http://127.0.0.1:{door.server_address[1]}"
        threading.Thread(target=door.serve_forever, daemon=True).start()


def sign(secret: str, body: bytes) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class Bucket:
    """As much of S3 as files and backups need: objects, ranges, lists, and uploads in parts."""

    def __init__(self, path: str):
        self.prefix = path
        self.lock = threading.Lock()
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}

    def __call__(self, heard: Heard) -> Reply:
        path, _, query = heard.path.partition("?")
        signed = heard.headers.get("authorization", "").startswith("AWS4-HMAC-SHA256 Credential=key/")
        if not path.startswith(self.prefix) or not signed:
            return Reply(403)
        key = urllib.parse.unquote(path.removeprefix(self.prefix)).strip("/")
        asked = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        with self.lock:
            return self.act(heard, key, asked)

    def act(self, heard: Heard, key: str, asked: dict) -> Reply:
        upload, tag = asked.get("uploadId"), {"ETag": '"e"', "Last-Modified": WHEN}
        match heard.method:
            case "GET" if not key:
                return self.list(asked.get("prefix", ""))
            case "GET" | "HEAD" if key in self.objects:
                return self.get(self.objects[key], heard.headers.get("range"), tag)
            case "PUT" if upload:
                self.uploads[upload][int(asked["partNumber"])] = heard.body
                return Reply(200, headers=tag)
            case "PUT":
                self.objects[key] = heard.body
                return Reply(200, headers=tag)
            case "POST" if "uploads" in asked:
                upload = f"u{len(self.uploads)}"
                self.uploads[upload] = {}
                made = "InitiateMultipartUploadResult"
                return xml(f"<{made}><UploadId>{upload}</UploadId></{made}>")
            case "POST" if upload:
                parts = self.uploads[upload]
                self.objects[key] = b"".join(parts[number] for number in sorted(parts))
                return xml('<CompleteMultipartUploadResult><ETag>"e"</ETag></CompleteMultipartUploadResult>')
            case "DELETE":
                self.objects.pop(key, None)
                return Reply(204)
        return Reply(404)

    def get(self, whole: bytes, part: str | None, tag: dict) -> Reply:
        if not part:
            return Reply(200, whole, tag)
        first, last = part.removeprefix("bytes=").split("-")
        last = min(int(last or len(whole)) + 1, len(whole))
        said = f"bytes {first}-{last - 1}/{len(whole)}"
        return Reply(206, whole[int(first) : last], {**tag, "Content-Range": said})

    def list(self, prefix: str) -> Reply:
        rows = "".join(
            f"<Contents><Key>{key}</Key><LastModified>2026-11-24T00:00:00.000Z</LastModified>"
            f'<ETag>"e"</ETag><Size>{len(data)}</Size></Contents>'
            for key, data in sorted(self.objects.items()) if key.startswith(prefix)
        )
        return xml(f"<ListBucketResult>{rows}</ListBucketResult>")


def xml(text: str) -> Reply:
    return Reply(200, text.encode(), {"Content-Type": "application/xml"})


def as_json(value, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Supabase:
    """The users of a Supabase project: its public key, who somebody is, and the tokens that they come with."""

    def __init__(self, authority: Authority, url: str, email: str):
        self.authority, self.url, self.email = authority, url, email
        self.subject = "7c0f3b1e-5a8e-4f0c-9a55-0c1a2b3d4e5f"
        authority.openssl("genrsa", "-out", "users.key", "2048")
        modulus = authority.openssl("rsa", "-in", "users.key", "-noout", "-modulus").decode().strip()
        modulus = bytes.fromhex(modulus.partition("=")[2])
        self.key = {"kty": "RSA", "kid": "one", "use": "sig", "alg": "RS256", "n": base64url(modulus), "e": "AQAB"}

    def __call__(self, heard: Heard) -> Reply:
        if heard.path == "/auth/v1/.well-known/jwks.json":
            return as_json({"keys": [self.key]})
        if heard.path == "/auth/v1/user":
            return as_json({"id": self.subject, "email": self.email, "email_confirmed_at": "2026-01-01T00:00:00Z"})
        return Reply(404)

    def token(self, now: float) -> str:
        claims = {"iss": f"{self.url}/auth/v1", "aud": "authenticated", "sub": self.subject, "exp": int(now) + 3600,
                  "iat": int(now), "role": "authenticated", "aal": "aal2", "email": self.email}
        head = {"alg": "RS256", "kid": "one", "typ": "JWT"}
        signed = ".".join(base64url(json.dumps(part).encode()) for part in (head, claims))
        signature = self.authority.openssl("dgst", "-sha256", "-sign", "users.key", given=signed.encode())
        return f"{signed}.{base64url(signature)}"
