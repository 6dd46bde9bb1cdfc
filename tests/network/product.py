"""The product, set up by its own command line as one would for its users, and started: with the addresses of Meta, of
OpenAI and of everybody else as they really are."""

import json
import pathlib
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "rest"))
from server import Answer  # noqa: E402

# What `iassistance simulator` is set up with.
APP_ID, APP_SECRET, VERIFY_TOKEN = "1000000001", "simulated-app-secret", "simulated-verify-token"
TOKENS = {"whatsapp": "simulated-access-token", "page": "simulated-page-token", "login": "simulated-instagram-token"}
MODEL_KEY = "simulated-model-key"
WABA_ID, PAGE_ID = "100000000000001", "900000000000001"
RECIPIENT = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"

# Where it is reached, by its users; a proxy on this machine speaks TLS for it.
PUBLIC = "https://chat.assistants.example"
SUPABASE = "https://abcdefgh.supabase.co"
FILES = "abcdefgh.storage.supabase.co"
BACKUPS = "s3.sa-east-1.amazonaws.com"
MAIL, MAIL_PORT = "smtp.post.example", 587
OTHER_MODEL = "eu.api.openai.com"
SECRETS = {
    "IASSISTANCE_APP_SECRET": APP_SECRET,
    "IASSISTANCE_VERIFY_TOKEN": VERIFY_TOKEN,
    "IASSISTANCE__MODEL__API_KEY": MODEL_KEY,
    "IASSISTANCE__MEDIA__S3_SECRET_ACCESS_KEY": "canary-files-secret",
    "IASSISTANCE__BACKUP__S3_SECRET_ACCESS_KEY": "canary-backups-secret",
    "IASSISTANCE__MAIL__SMTP_PASSWORD": "canary-mail-password",
}
# A proxy that the environment names is nobody's who is on the register.
PROXY = "proxy.elsewhere.example"
PROXIES = {name: f"http://{PROXY}:3128" for each in ("https_proxy", "http_proxy", "all_proxy")
           for name in (each, each.upper())}
STOPS_WITHIN_S, POLL_S = 40, 0.05

PROVIDERS = [
    ("Post Example", ["post.example"], ["account"]),
    ("Amazon Web Services, Inc.", ["amazonaws.com"], ["identity", "content", "account", "technical", "operational"]),
]


def register(pattern: str) -> str:
    """The register that comes along, with what contracts say filled in, and with who keeps backups and hands mails
    over."""
    for field, value in (("region", "us-east-1"), ("transfer", "Res. 198/2023"), ("agreement", "2026-03-01")):
        pattern = pattern.replace(f'\n{field} = ""', f'\n{field} = "{value}"')
    for name, hosts, categories in PROVIDERS:
        pattern += (
            f'\n[[provider]]\nname = "{name}"\nhosts = {json.dumps(hosts)}\ncategories = {json.dumps(categories)}\n'
            'country = "US"\nregion = "us-east-1"\ntransfer = "Res. 198/2023"\nagreement = "2026-03-01"\n'
            '[provider.purpose]\nes = "Correo."\npt = "Correio."\nen = "Mail."\n'
        )
    return pattern


class Product:
    """The server and its command line, on a store of its own."""

    def __init__(self, binary: str, folder: pathlib.Path, authority: pathlib.Path, more: list[str]):
        self.binary, self.folder, self.authority = binary, folder, authority
        self.url, self.process, self.address = PUBLIC, None, ""
        pattern = pathlib.Path(__file__).parent.parent.parent / "config" / "subprocessors.toml"
        (folder / "subprocessors.toml").write_text(register(pattern.read_text()))
        self.flags = [word for setting in [*self.settings(), *more] for word in ("--set", setting)]

    def settings(self) -> list[str]:
        within = lambda name: str(self.folder / name)
        values = {
            "server.port": 0,
            "server.public_url": PUBLIC,
            "server.trusted_proxies": ["127.0.0.1"],
            "server.rate_address_burst": 0, "server.rate_key_burst": 0, "server.rate_session_burst": 0,
            "identity.address_burst": 100, "identity.account_burst": 100, "identity.second_factor_burst": 100,
            "storage.path": within("store"),
            "vault.keyring_file": within("keyring.json"),
            "vault.root_key_file": within("root.key"),
            "model.model": "simulated-1",
            "model.hosts": ["api.openai.com", OTHER_MODEL],
            "prices.others": {"input": 0.4, "output": 1.6},
            "identity.supabase_url": SUPABASE,
            "identity.supabase_key": "publishable-key",
            "media.s3_bucket": "files",
            "media.s3_endpoint": f"https://{FILES}/storage/v1/s3",
            "media.s3_access_key_id": "key",
            "backup.to": "s3://backups/iassistance",
            "backup.recipients": [RECIPIENT],
            "backup.s3_region": "sa-east-1",
            "backup.s3_access_key_id": "key",
            "mail.transport": "smtp",
            "mail.smtp_host": MAIL,
            "mail.smtp_port": MAIL_PORT,
            "mail.smtp_user": "platform",
            "mail.from": "Assistants <no-reply@assistants.example>",
            "hooks.retry_ms": 200,
            "privacy.operator": "Assistants S.A.",
            "privacy.address": "Calle 1, Rosario",
            "privacy.contact": "mailto:privacy@assistants.example",
            "privacy.hosted_by": "Railway Corporation",
            "privacy.subprocessors_file": within("subprocessors.toml"),
            "server.promises_file": within("promises.json"),
            "log.filter": "warn",
        }
        return [f"{key}={toml(value)}" for key, value in values.items()]

    def environment(self, more: dict | None = None) -> dict:
        return {"SSL_CERT_FILE": str(self.authority), "HOME": str(self.folder), **SECRETS, **PROXIES, **(more or {})}

    def run(self, *words: str, more: dict | None = None) -> subprocess.CompletedProcess:
        """A command on the store."""
        return subprocess.run([self.binary, *words, "--json", *self.flags], cwd=self.folder, capture_output=True,
                              text=True, env=self.environment(more))

    def cli(self, *words: str, more: dict | None = None):
        """What a command answers."""
        ran = self.run(*words, more=more)
        if ran.returncode:
            raise SystemExit(f"`{' '.join(words)}`: {ran.stderr.strip()}\n{ran.stdout.strip()}")
        return json.loads(ran.stdout)

    def manual(self) -> dict:
        """Every setting with its default."""
        shown = subprocess.run([self.binary, "config"], cwd=self.folder, capture_output=True, text=True, check=True)
        return tomllib.loads(shown.stdout)

    def tenant(self, name: str) -> str:
        return self.cli("tenant", "create", name)["id"]

    def channel(self, tenant: str, app: str, token: str, *words: str) -> str:
        made = self.cli("channel", "connect", "--tenant", tenant, "--meta-app", app, *words,
                        more={"IASSISTANCE_ACCESS_TOKEN": TOKENS[token]})
        return made["id"]

    def start(self) -> None:
        self.log = open(self.folder / "server.log", "wb")
        self.process = subprocess.Popen([self.binary, "serve", "--json", *self.flags], cwd=self.folder, text=True,
                                        stdout=subprocess.PIPE, stderr=self.log, env=self.environment())
        while line := self.process.stdout.readline():
            try:
                address = json.loads(line).get("listening")
            except ValueError:
                continue
            if address:
                self.address = address.removeprefix("http://")
                return
        raise SystemExit("the server did not start")

    def stop(self) -> int:
        """Ends it in good order; the status that it ends with."""
        self.process.terminate()
        try:
            return self.process.wait(STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            raise SystemExit("the server did not stop") from None

    def end(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def tail(self) -> str:
        if not (self.folder / "server.log").exists():
            return ""
        return "\n".join((self.folder / "server.log").read_text(errors="replace").splitlines()[-30:])

    def ask(self, method: str, path: str, body=None, headers=None) -> Answer:
        """A request as the proxy before it passes it on."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Content-Type": "application/json"} if data and not isinstance(body, bytes) else {}
        given |= {"X-Forwarded-For": "190.2.3.4", "X-Forwarded-Proto": "https", **(headers or {})}
        request = urllib.request.Request(f"http://{self.address}{path}", data, given, method=method)
        try:
            with LOCAL.open(request, timeout=60) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as refused:
            return Answer(refused.code, refused.headers, refused.read())

    def must(self, key: str, method: str, path: str, body=None, headers=None):
        """What a program with a key is answered."""
        answer = self.ask(method, path, body, {"Authorization": f"Bearer {key}", **(headers or {})})
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {answer.body.decode(errors='replace')}")
        return answer.json()


# Nothing of this goes by a proxy.
LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def toml(value) -> str:
    """A setting as the command line takes it: texts as they are, anything else as TOML."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)


def until(what: str, holds, seconds: float = 30.0):
    """Waits until something is so, and gives it. What is counted is how often it was looked at, so that a machine which
    stood still fails nothing."""
    for _ in range(int(seconds / POLL_S)):
        if found := holds():
            return found
        time.sleep(POLL_S)
    raise SystemExit(f"in {seconds:.0f} s this did not come to be so: {what}")
