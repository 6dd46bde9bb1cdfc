"""Runs schemathesis against the server's own OpenAPI document: as owner, as administrator, and with a key.

    fuzz.py [--minutes N] BINARY
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import time

from server import Person, Server

HERE = pathlib.Path(__file__).parent
REPORTS = HERE.parent.parent / "target" / "schemathesis"

# Operations that are left out, each with the reason.
LEFT_OUT = {
    "sign_out": "it ends the session that the run itself is signed in with",
    "open_live": "it is a websocket: what is not one is refused before the document counts",
    "receive_webhook": "bodies without Meta's signature are refused alike: tests/flow/bad_input.rs sends those",
}
SESSION = "__Host-session"

# Checks that are left out, each with the reason.
UNCHECKED: dict[str, str] = {}


def known(server: Server) -> dict:
    """Things that there are, by the name of the parameter that names them."""
    tenant = server.tenant
    who = {"Authorization": f"Bearer {server.key}"}

    def ids(path, field="id"):
        items = (server.ask("GET", path, headers=who).json() or {}).get("items", [])
        return [item[field] for item in items]

    base = f"/v1/tenants/{tenant}"
    conversations = ids(f"{base}/conversations")
    messages = [one for it in conversations[:1] for one in ids(f"{base}/conversations/{it}/messages")]
    turns = [one for it in conversations[:1] for one in ids(f"{base}/conversations/{it}/turns")]
    return {
        "tenant": [tenant],
        "channel": ids(f"{base}/channels"),
        "conversation": conversations[:1],
        "message": messages,
        "turn": turns,
        "contact": ids(f"{base}/contacts"),
        "document": ids(f"{base}/knowledge"),
        "golden": ids(f"{base}/golden"),
        "webhook": ids(f"{base}/webhooks"),
        "version": [1, 2],
    }


def furnish(server: Server) -> None:
    """Something of everything that a run can find."""
    server.say("Ada", "How long can I return shoes?")
    server.say("Bo", "I want to talk to a human")
    who = {"Authorization": f"Bearer {server.key}"}
    base = f"/v1/tenants/{server.tenant}"
    golden = {"question": "Open on Sunday?", "expect": {"contains": ["no"]}}
    hook = {"url": "https://shop.example/hook", "kinds": ["*"], "paused": True}
    for path, body in (("golden", golden), ("webhooks", hook)):
        made = server.ask("POST", f"{base}/{path}", body, who)
        assert made.status == 201, made.body
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = server.ask("GET", f"{base}/conversations", headers=who).json()["items"]
        if len(found) >= 2 and server.ask("GET", f"{base}/conversations/{found[0]['id']}/turns", headers=who).json()["items"]:
            return
        time.sleep(0.2)
    raise SystemExit("the conversations did not come")


class Proving(threading.Thread):
    """Somebody who proves anew who they are before the ten minutes are over."""

    def __init__(self, person: Person):
        super().__init__(daemon=True)
        self.person, self.over = person, threading.Event()

    def run(self) -> None:
        while not self.over.wait(240):
            try:
                self.person.prove()
            except SystemExit as refused:
                print(f"a proof anew was refused: {refused}", file=sys.stderr)


def run(server: Server, name: str, person: Person | None, seconds: int, seed: int) -> tuple[int, int, bool]:
    """One run; how many cases it made, how many operations it tested, and whether all was well."""
    # By the document's own security schemes, so that a request without a credential is one.
    if person:
        credential = {"REST_CREDENTIAL": person.cookies[SESSION]}
        scheme = '[auth.openapi.session]\napi_key = "${REST_CREDENTIAL}"\n'
        headers = {"Origin": server.url, "X-CSRF-Token": person.csrf}
    else:
        credential = {"REST_CREDENTIAL": server.key}
        scheme = '[auth.openapi.key]\nbearer = "${REST_CREDENTIAL}"\n'
        headers = {}
    config = REPORTS / f"{name}.toml"
    config.write_text((HERE / "schemathesis.toml").read_text() + "\n" + scheme)
    command = [
        str(pathlib.Path(sys.executable).parent / "schemathesis"),
        "--config-file", str(config), "run", f"{server.url}/openapi.json",
        "--max-time", str(seconds), "--seed", str(seed), "--continue-on-failure", "--workers", "1",
        "--request-timeout", "30", "--warnings", "off", "--report", "junit",
        "--report-junit-path", str(REPORTS / f"{name}.xml"),
    ]
    for operation in LEFT_OUT:
        command += ["--exclude-operation-id", operation]
    if UNCHECKED:
        command += ["--exclude-checks", ",".join(UNCHECKED)]
    for header, value in headers.items():
        command += ["--header", f"{header}: {value}"]
    environment = {
        **os.environ, **credential, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE),
        "REST_KNOWN": json.dumps(known(server)),
    }
    print(f"\n== as {name}, {seconds} s, seed {seed}", flush=True)
    with open(REPORTS / f"{name}.log", "w") as log:
        ended = subprocess.run(command, cwd=REPORTS, env=environment, stdout=log, stderr=subprocess.STDOUT)
    text = (REPORTS / f"{name}.log").read_text()
    cases = re.search(r"([\d,]+) generated", text)
    tested = re.search(r"Tested: ([\d,]+)", text)
    count = lambda found: int(found.group(1).replace(",", "")) if found else 0
    if ended.returncode:
        print(text)
    print(f"{name}: {count(cases)} cases, {count(tested)} operations", flush=True)
    return count(cases), count(tested), ended.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("binary")
    asked = parser.parse_args()
    REPORTS.mkdir(parents=True, exist_ok=True)
    seconds = max(1, int(asked.minutes * 60 / 3))
    began, cases, sound = time.monotonic(), 0, True
    with Server(asked.binary) as server:
        # Before the run uses up the tries of its address.
        people = {"administrator": server.admin(), "owner": server.owner}
        furnish(server)
        for name in ("key", "administrator", "owner"):
            person = people.get(name)
            if person:
                person.prove()
                proving = Proving(person)
                proving.start()
            made, _, fine = run(server, name, person, seconds, asked.seed)
            cases, sound = cases + made, sound and fine
            if person:
                proving.over.set()
        panics = (server.data / "server.log").read_text(errors="replace").count("panicked at")
    minutes = (time.monotonic() - began) / 60
    print(f"\nschemathesis: {cases} cases in {minutes:.1f} minutes as 3 principals, {panics} panics, "
          f"{len(LEFT_OUT)} operations left out; {'all as documented' if sound and not panics else 'see above'}")
    return 0 if sound and not panics and cases else 1


if __name__ == "__main__":
    sys.exit(main())
