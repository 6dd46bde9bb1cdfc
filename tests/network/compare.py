"""Holds who was contacted against who is listed, in both directions, and what crossed against what nobody may read."""

import base64
import dataclasses
import urllib.parse

from ears import Contact, not_tls

# The mail server is greeted in clear before TLS begins (RFC 3207): this, and nothing else, may stand there.
GREETINGS = (b"EHLO ", b"HELO ", b"STARTTLS\r\n")


@dataclasses.dataclass(frozen=True)
class Listed:
    """Somebody who may be contacted, and has to be if the list is to be true."""

    host: str
    port: int
    # Who lists it, and for what.
    why: str
    # Whether all hosts below it are meant.
    below: bool = False

    def is_host(self, name: str) -> bool:
        return name == self.host or (self.below and name.endswith(f".{self.host}"))


def register(shown: dict, domains: set[str], mail: tuple[str, int]) -> list[Listed]:
    """The hosts of the public register, as `/v1/privacy/subprocessors` shows it. Those of `domains` stand for all below
    them; the mail server has a port of its own."""
    return [
        Listed(host, mail[1] if host == mail[0] else 443, f"the register: {provider['name']}", host in domains)
        for provider in shown["providers"] for host in provider["hosts"]
    ]


def tenants_own(urls: dict[str, str]) -> list[Listed]:
    """The addresses that tenants named."""
    parsed = {urllib.parse.urlsplit(url): why for url, why in urls.items()}
    return [Listed(url.hostname, url.port or 443, why) for url, why in parsed.items()]


def differences(asked: set[str], contacts: set[Contact], name_of, listed: list[Listed]) -> set[str]:
    """What was contacted and is not listed, and what is listed and was not contacted: nothing, where it is the same."""
    wrong = set()
    for name in asked:
        if not any(each.is_host(name) for each in listed):
            wrong.add(f"not listed: the name {name} was asked for")
    met = set()
    for contact in contacts:
        name = name_of(contact.address)
        by = "" if contact.protocol == "tcp" else f" by {contact.protocol}"
        found = [each for each in listed if name and each.is_host(name) and each.port == contact.port and not by]
        met.update(found)
        if not found:
            who = name or f"the bare address {contact.address}"
            wrong.add(f"not listed: {who} was contacted on port {contact.port}{by}")
    for each in set(listed) - met:
        wrong.add(f"not contacted: {each.host}, port {each.port} ({each.why})")
    return wrong


def forms(canary: str) -> set[bytes]:
    """A text as it could stand in what crosses: as it is, in an address, in hexadecimals, in base64 wherever it begins."""
    plain = canary.encode()
    quoted = (urllib.parse.quote(canary), urllib.parse.quote_plus(canary))
    found = {plain, plain.hex().encode(), *(each.encode() for each in quoted)}
    for before in range(3):
        # The letters at both ends that have bits of what stands beside it are left out.
        coded = base64.b64encode(b"\0" * before + plain)
        found.add(coded[-(-before * 8 // 6) : (before + len(plain)) * 8 // 6])
    return {form for form in found if len(form) >= 6}


def heard_in(data: bytes, canaries: list[str]) -> set[str]:
    """The canaries that stand in what was said."""
    lower = data.lower()
    return {canary for canary in canaries
            if any(form in data or form.lower() in lower for form in forms(canary))}


def without_greeting(port: int, mail_port: int, data: bytes) -> tuple[bytes, str | None]:
    """What a side said after the greeting of mail servers; and why the greeting is none."""
    if port != mail_port:
        return data, None
    while data and not 20 <= data[0] <= 23:
        line, newline, rest = data.partition(b"\n")
        is_answer = line[:3].isdigit()
        if not newline or not (is_answer or (line + newline).upper().startswith(GREETINGS)):
            return data, f"{line[:60]!r} to a mail server"
        data = rest
    return data, None


def in_clear(flows: list[tuple[int, bytes]], mail_port: int) -> set[str]:
    """Connections that are not TLS from the first byte to the last, but for the greeting of mail servers."""
    wrong = set()
    for port, data in flows:
        rest, why = without_greeting(port, mail_port, data)
        why = why or not_tls(rest)
        if why:
            wrong.add(f"port {port}: {why}")
    return wrong
