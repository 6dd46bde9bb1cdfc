"""Starts the whole system in a folder of its own, signs people in, and stops it again. Nothing beside Python is needed."""

import base64
import email
import hashlib
import hmac
import http.cookies
import json
import os
import pathlib
import re
import struct
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

PASSWORD = "correct horse battery staple"


def totp(secret: str, at: float) -> str:
    """The code of an authenticator at a moment (RFC 6238: SHA-1, six digits, 30 seconds)."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.new(key, struct.pack(">Q", int(at) // 30), hashlib.sha1).digest()
    start = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[start : start + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"


class Answer:
    def __init__(self, status: int, headers, body: bytes):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body) if self.body else None


class Person:
    """Somebody who signs in: their cookies, and their authenticator."""

    def __init__(self, server: "Server", email: str):
        self.server, self.email = server, email
        self.cookies: dict[str, str] = {}
        self.csrf, self.secret, self.used = "", "", 0

    def headers(self) -> dict[str, str]:
        given = {"Origin": self.server.url, "X-CSRF-Token": self.csrf}
        if self.cookies:
            given["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return given

    def ask(self, method: str, path: str, body=None, headers=None) -> Answer:
        answer = self.server.ask(method, path, body, {**self.headers(), **(headers or {})})
        for line in answer.headers.get_all("Set-Cookie") or []:
            for name, morsel in http.cookies.SimpleCookie(line).items():
                self.cookies[name] = morsel.value
        return answer

    def must(self, method: str, path: str, body=None, headers=None):
        for _ in range(20):
            answer = self.ask(method, path, body, headers)
            if answer.status != 429:
                break
            # The machine may be busy with hashing others' passwords.
            time.sleep(min(5, int(answer.headers.get("Retry-After", 1))))
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {answer.body.decode(errors='replace')}")
        return answer.json()

    def code(self) -> str:
        """The next code that was not used yet."""
        while int(time.time()) // 30 <= self.used:
            time.sleep(0.5)
        self.used = int(time.time()) // 30
        return totp(self.secret, time.time())

    def sign_in(self) -> None:
        """Signs in with the password and, the first time, adds an authenticator."""
        step = self.must("POST", "/v1/auth/sign-in", {"email": self.email, "password": PASSWORD})
        if step.get("ticket"):
            proof = {"ticket": step["ticket"], "proof": {"by": "totp", "code": self.code()}}
            step = self.must("POST", "/v1/auth/second-factor", proof)
        self.csrf = step["csrf_token"]
        if step["me"]["must_add_second_factor"]:
            self.secret = self.must("POST", "/v1/auth/totp")["secret"]
            self.must("POST", "/v1/auth/totp/confirm", {"code": self.code()})

    def prove(self) -> None:
        """Proves anew who they are, for ten minutes."""
        self.must("POST", "/v1/auth/step-up", {"proof": {"by": "totp", "code": self.code()}})


class Server:
    """`iassistance sandbox` on free ports, with its data in a folder that goes away."""

    def __init__(self, binary: str):
        self.binary = binary
        self.folder = tempfile.TemporaryDirectory()
        self.data = pathlib.Path(self.folder.name)
        self.process = None
        self.link = ""
        self.owner = Person(self, "owner@example.com")

    def settings(self) -> list[str]:
        at = {
            "storage.path": "store",
            "vault.keyring_file": "keyring.json",
            "vault.root_key_file": "root.key",
            "media.folder": "media",
            "mail.folder": "mail",
        }
        return [word for key, name in at.items() for word in ("--set", f"{key}={self.data / name}")]

    def __enter__(self) -> "Server":
        made = subprocess.run(
            [self.binary, "--json", *self.settings(), "account", "create-owner", self.owner.email, "--name", "Owner"],
            check=True, capture_output=True, text=True,
        )
        self.log = open(self.data / "server.log", "wb")
        self.process = subprocess.Popen(
            # Who asks as fast as they can is not bounded by rates here.
            [self.binary, "--json", "--set", "server.port=0", "--set", "mail.transport=file",
             "--set", "server.rate_address_burst=0", "--set", "server.rate_key_burst=0",
             "--set", "server.rate_session_burst=0",
             "sandbox", "--data", self.folder.name, "--simulator-port", "0"],
            stdout=subprocess.PIPE, stderr=self.log, text=True, env={**os.environ, "OPENAI_API_KEY": ""},
        )
        said = self.process.stdout.readline()
        if not said:
            self.log.flush()
            raise SystemExit((self.data / "server.log").read_text())
        told = json.loads(said)
        self.url, self.tenant, self.key, self.phone = told["server"], told["tenant"], told["key"], told["phone"]
        self.link = told["monitor"].partition("#token=")[2]
        reset = {"token": json.loads(made.stdout)["token"], "password": PASSWORD}
        self.owner.must("POST", "/v1/auth/password/reset", reset)
        self.owner.sign_in()
        return self

    def __exit__(self, *_) -> None:
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        self.folder.cleanup()

    def ask(self, method: str, path: str, body=None, headers=None) -> Answer:
        data = None if body is None else json.dumps(body).encode()
        given = {"Content-Type": "application/json", **(headers or {})} if data else dict(headers or {})
        request = urllib.request.Request(self.url + path, data, given, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as refused:
            return Answer(refused.code, refused.headers, refused.read())

    def admin(self) -> Person:
        """An administrator of the tenant, invited by who administers it: whoever the sandbox's link signs in."""
        host = Person(self, "owner@sandbox.example")
        host.csrf = host.must("POST", "/v1/auth/link", {"token": self.link})["csrf_token"]
        admin = Person(self, "admin@example.com")
        invited = {"email": admin.email, "name": "Admin", "role": "tenant_admin"}
        host.must("POST", f"/v1/tenants/{self.tenant}/invitations", invited)
        token = {"token": self.mailed(admin.email), "password": PASSWORD}
        admin.must("POST", "/v1/auth/invitations/accept", token)
        admin.sign_in()
        admin.prove()
        return admin

    def mailed(self, to: str) -> str:
        """The token in the link of the mail that came."""
        until = time.monotonic() + 30
        while time.monotonic() < until:
            for mail in sorted(self.data.glob("mail/*.eml"), reverse=True):
                parsed = email.message_from_bytes(mail.read_bytes())
                parts = [part.get_payload(decode=True) for part in parsed.walk() if not part.is_multipart()]
                text = b"\n".join(part for part in parts if part).decode(errors="replace")
                found = re.search(r"/invitation#token=([A-Za-z0-9_-]+)", text)
                if to in str(parsed["To"]) and found:
                    return found.group(1)
            time.sleep(0.1)
        raise SystemExit(f"no mail came for {to}")

    def say(self, contact: str, text: str) -> None:
        """A contact writes to the first number, and the assistant answers."""
        simulator = self.phone.split("/sim/")[0]
        body = json.dumps({"contact": contact, "text": text}).encode()
        request = urllib.request.Request(f"{simulator}/sim/say", body, {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=60).read()
