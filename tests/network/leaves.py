"""Has the release binary serve two businesses in a network of its own, and holds every host that it contacted against
the public register and the tenants' own systems. Called by scripts/leaves:

    leaves.py [--set SECTION.KEY=VALUE]... [--keep FOLDER] BINARY
"""

import argparse
import collections
import json
import pathlib
import re
import signal
import socket
import sys
import tempfile
import time
import tomllib

import compare
import space
from authority import Authority
from ears import Ears
from hosts import Https, Plain, Smtp, World
from names import Names
from play import (ADMIN, ALBA, BAITS, CANARIES, CRM, ELENA, EVENTS, FORMER, HOOKS, PEOPLE, STOCK, WORD, Play)
from product import BACKUPS, FILES, MAIL, MAIL_PORT, MODEL_KEY, OTHER_MODEL, SUPABASE, Product, until

HTTPS_PORTS = [443, 4443, 8443, 9443]
MODELS, GRAPHS = {"api.openai.com", OTHER_MODEL}, {"graph.facebook.com", "graph.instagram.com"}
USERS = SUPABASE.removeprefix("https://")
# By what data leaves, each at least once: else a run that plays less would say less and pass.
WAYS = [
    ("api.openai.com", "POST", "/v1/chat/completions"), ("api.openai.com", "POST", "/v1/moderations"),
    ("api.openai.com", "POST", "/v1/embeddings"), ("api.openai.com", "POST", "/v1/audio/transcriptions"),
    (OTHER_MODEL, "POST", "/v1/chat/completions"),
    ("graph.facebook.com", "POST", r"/v\d+\.0/200000000000001/messages"),
    ("graph.facebook.com", "POST", r"/v\d+\.0/200000000000001/media"),
    ("graph.facebook.com", "POST", r"/v\d+\.0/900000000000001/messages"),
    ("graph.facebook.com", "POST", r"/v\d+\.0/900000000000001/message_attachments"),
    ("graph.facebook.com", "GET", r"/v\d+\.0/debug_token"),
    ("graph.instagram.com", "POST", r"/v\d+\.0/17840000000000001/messages"),
    ("lookaside.fbsbx.com", "GET", r"/media/\d+"), ("mmg.whatsapp.net", "GET", r"/media/\d+"),
    ("scontent.xx.fbcdn.net", "GET", r"/cdn/\d+"), ("scontent.cdninstagram.com", "GET", r"/cdn/\d+"),
    (STOCK, "GET", "/api/find_order"), (FORMER, "POST", "/api/former_stock"), (CRM, "POST", "/api/find_client"),
    (HOOKS, "POST", "/iassistance"), (EVENTS, "POST", "/in"),
    (FILES, "PUT", "/storage/v1/s3/files/.+"), (BACKUPS, "PUT", "/backups/iassistance/.+"),
    (USERS, "GET", "/auth/v1/user"), (MAIL, "STARTTLS", ""),
]
# What must have been said to somebody, under TLS: else that none of it was heard in clear would say nothing. By whom
# people are called Messenger and Instagram do not tell.
SPOKEN = [ALBA, ELENA, PEOPLE[ALBA], PEOPLE[ELENA], WORD, ADMIN, MODEL_KEY, "simulated-access-token",
          "simulated-page-token", "simulated-instagram-token", "canary-tool-secret"]
# To whom each secret is said, under TLS, and to nobody else; the buckets' sign and are said to nobody.
SECRETS = {
    MODEL_KEY: MODELS,
    "simulated-access-token": {"graph.facebook.com", "lookaside.fbsbx.com", "mmg.whatsapp.net"},
    "simulated-page-token": {"graph.facebook.com"},
    "simulated-instagram-token": {"graph.instagram.com"},
    "canary-tool-secret": {STOCK, FORMER, CRM},
    "canary-files-secret": set(),
    "canary-backups-secret": set(),
}
# Who may hear who somebody is. A model's server, a tool, a bucket may not.
CALLED = {**dict.fromkeys([*PEOPLE, *PEOPLE.values()], GRAPHS | {HOOKS, EVENTS}), ADMIN: {MAIL, USERS}}


class Checks:
    def __init__(self):
        self.passed, self.failed = 0, []

    def check(self, holds, what: str) -> None:
        if holds:
            self.passed += 1
        else:
            self.failed.append(what)


class Run:
    def __init__(self, binary: str, more: list[str], folder: pathlib.Path):
        self.checks, self.more = Checks(), more
        # The register as the product shows it, and the addresses that the tenants named.
        self.shown, self.own = {"providers": []}, {}
        six = space.make(folder)
        self.ears, self.names = Ears(), Names(six)
        self.authority = Authority(folder)
        self.world = World(self.authority, six)
        for port in HTTPS_PORTS:
            self.world.listen(port, Https)
        self.world.listen(MAIL_PORT, Smtp)
        self.world.listen(80, Plain)
        self.product = Product(binary, folder, self.authority.file, more)
        self.play = Play(self.product, self.world, self.authority, folder)

    def end(self) -> None:
        self.product.end()
        self.play.end()

    def played(self) -> None:
        """The day, from the first command to the last."""
        play, product, check = self.play, self.product, self.checks.check
        play.set_up()
        complete = product.run("subprocessors", "check")
        check(complete.returncode == 0, f"the register is complete: {complete.stdout}{complete.stderr}")
        product.start()
        self.shown = json.loads(product.ask("GET", "/v1/privacy/subprocessors").body)
        play.people()
        play.business()
        self.own = play.tenants_own()
        play.conversations()
        play.operators()
        until("all that was said arrived", play.settled)
        play.erase()
        until("all that was said after it arrived", play.settled)
        check(product.stop() == 0, "the server ends in good order")
        play.afterwards()
        check(not self.world.broken, f"nobody who was contacted broke off: {self.world.broken}")
        check(not self.ears.dropped() and not self.ears.deaf, f"every packet was heard: {self.ears.deaf}")

    def listed(self) -> list[compare.Listed]:
        domains = self.product.manual()["meta"]["media_domains"]
        for setting in self.more:
            key, _, value = setting.partition("=")
            if key == "meta.media_domains":
                domains = tomllib.loads(f"value = {value}")["value"]
        return compare.register(self.shown, set(domains), (MAIL, MAIL_PORT)) + compare.tenants_own(self.own)

    def different(self) -> set[str]:
        contacts = set(self.ears.contacts)
        return compare.differences(self.names.all(), contacts, self.names.name_of, self.listed())

    def compared(self) -> None:
        """Who was contacted is who is listed; nobody was spoken to by another name than was asked for; no bait was
        taken."""
        check, heard = self.checks.check, self.world.all()
        wrong, listed, asked = self.different(), self.listed(), sorted(self.names.all())
        self.checks.failed += sorted(wrong)
        # One for each that is listed and was contacted, one for each that was contacted and is listed.
        self.checks.passed += max(len(listed) + len(asked) - len(wrong), 0)
        print("contacted:")
        for name in asked:
            spoken = [each for each in heard if self.names.name_of(each.address) == name]
            other = {(each.name, each.host) for each in spoken} - {(name, name)}
            check(not other, f"{name} was spoken to as {other}")
            versions = {each.tls for each in spoken}
            check(spoken and versions <= {"TLSv1.2", "TLSv1.3"}, f"{name} was spoken to by {versions or 'nothing'}")
            by = next((each.why for each in listed if each.is_host(name)), "NOBODY LISTS IT")
            print(f"  {name:32} {len(spoken):4} times  {by}")
        for host, method, path in WAYS:
            used = any(each.method == method and re.fullmatch(path, each.path.partition("?")[0])
                       for each in heard if each.host == host)
            check(used, f"the run did not play this: {method} {path} of {host}")
        laid = self.laid()
        for bait, what in BAITS.items():
            check(bait in laid, f"the bait was not laid: {bait}, {what}")
            check(bait not in asked, f"the bait was taken: {bait}, {what}")

    def laid(self) -> set[str]:
        """The baits that were in the product's hands."""
        said = b"".join(heard.body for heard in self.world.all())
        lie = self.play.simulator.lie.values()
        return self.play.laid | {bait for bait in BAITS if bait.encode() in said or bait in lie}

    def clear(self) -> tuple[set[str], set[str]]:
        """What crossed without TLS; and the canaries in anything that crossed."""
        flows = self.ears.spoken()
        crossed = [data for _, data in flows] + [data for _, data in self.ears.datagrams]
        crossed.append(" ".join(self.names.all()).encode())
        wrong = compare.in_clear(flows, MAIL_PORT)
        return wrong, {canary for data in crossed for canary in compare.heard_in(data, CANARIES)}

    def covered(self) -> None:
        """All that crossed is TLS, no canary is in it, and what was said under TLS was said to whom it is for."""
        check = self.checks.check
        wrong, canaries = self.clear()
        check(not wrong, f"it crossed in clear: {sorted(wrong)}")
        said = collections.defaultdict(set)
        for host, text in [*self.texts(), *((MAIL, mail) for mail in self.world.mails)]:
            for canary in compare.heard_in(text, CANARIES):
                said[canary].add(host)
        for canary in CANARIES:
            check(canary not in canaries, f"a canary was heard in clear: {canary}")
        for canary in SPOKEN:
            check(said[canary], f"the canary was said to nobody, so its silence shows nothing: {canary}")
        for word, whom in {**SECRETS, **CALLED}.items():
            check(said[word] <= whom, f"`{word}` was said to {sorted(said[word] - whom)}")

    def texts(self):
        """What was said to each host, heads and bodies."""
        for heard in self.world.all():
            yield heard.host, b"\n".join([heard.path.encode(), json.dumps(heard.headers).encode(), heard.body])

    def can_fail(self) -> None:
        """Somebody who is on no list is contacted, by a name, by a bare address and by a datagram, and in clear: exactly
        that is told."""
        check, before = self.checks.check, self.different()
        stray, bare, far = "collector.stray.example", "198.41.0.4", "9.9.9.9"
        address = socket.getaddrinfo(stray, 80, socket.AF_INET, socket.SOCK_STREAM)[0][4]
        with socket.create_connection(address, 10) as spoken:
            spoken.sendall(f"GET /?q={WORD} HTTP/1.0\r\nHost: {stray}\r\n\r\n".encode())
            spoken.recv(1000)
        socket.create_connection((bare, 443), 10).close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
            datagram.sendto(b"who is there", (far, 53))
        expected = {
            f"not listed: the name {stray} was asked for",
            f"not listed: {stray} was contacted on port 80",
            f"not listed: the bare address {bare} was contacted on port 443",
            f"not listed: the bare address {far} was contacted on port 53 by udp",
        }
        found = lambda: self.different() - before
        until("strays are told", lambda: len(found()) >= len(expected), 5)
        check(found() == expected, f"strays are told, and nothing else: {found() ^ expected}")
        wrong, canaries = self.clear()
        check(canaries == {WORD}, f"the canary that went in clear is told, and no other: {canaries}")
        check(any(one.startswith("port 80: ") for one in wrong), f"what is not TLS is told: {wrong}")
        unused = compare.Listed("unused.example", 443, "a list")
        told = compare.differences(self.names.all(), set(self.ears.contacts), self.names.name_of,
                                   [*self.listed(), unused]) - self.different()
        expected = {"not contacted: unused.example, port 443 (a list)"}
        check(told == expected, f"who is listed and not contacted is told, and nothing else: {told ^ expected}")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", dest="more")
    parser.add_argument("--keep", type=pathlib.Path, metavar="FOLDER", help="what was written stays there")
    parser.add_argument("binary")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory() as own:
        folder = (given.keep or pathlib.Path(own)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            run = Run(given.binary, given.more, folder)
        except space.NoSpace as why:
            print(f"leaves: the network could not be made: {why}", file=sys.stderr)
            return 1
        return judged(run)


def judged(run: Run) -> int:
    """Plays it, and says what it came to."""
    began, failed = time.monotonic(), run.checks.failed
    try:
        run.played()
        run.compared()
        run.covered()
        run.can_fail()
    except SystemExit as why:
        if not isinstance(why.code, str):
            raise
        # What was contacted and said until then may be why.
        failed += [why.code, *sorted(one for one in run.different() if one.startswith("not listed"))]
        wrong, canaries = run.clear()
        failed += [f"it crossed in clear: {sorted(wrong)}"] * bool(wrong)
        failed += [f"a canary was heard in clear: {canary}" for canary in sorted(canaries)]
        failed.append(f"the server's last words:\n{run.product.tail()}")
    finally:
        run.end()
    for what in failed:
        print(f"leaves: FAILED: {what}", file=sys.stderr)
    if failed:
        print(f"leaves: {run.checks.passed} checks held, {len(failed)} did not", file=sys.stderr)
        return 1
    print(f"in {time.monotonic() - began:.0f} s")
    print(f"leaves: {run.checks.passed} checks passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
