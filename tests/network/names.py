"""Answers every name that is asked for, each with an address of its own, and writes down which were asked."""

import ipaddress
import socket
import struct
import threading

from space import RESOLVER

# Addresses that the guard of tools and webhooks takes for public. They lead nowhere but to this machine.
FOUR = ipaddress.ip_address("45.60.0.0")
SIX = ipaddress.ip_address("2a06:98c0::")
A, AAAA = 1, 28
SECONDS = 60


class Names:
    def __init__(self, six: bool):
        self.six = six
        self.lock = threading.Lock()
        self.numbers: dict[str, int] = {}
        self.asked: list[tuple[str, int]] = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((RESOLVER, 53))
        threading.Thread(target=self.serve, daemon=True).start()

    def number(self, name: str) -> int:
        with self.lock:
            return self.numbers.setdefault(name, len(self.numbers) + 1)

    def name_of(self, address: str) -> str | None:
        """The name that has this address."""
        found = ipaddress.ip_address(address)
        base = FOUR if found.version == 4 else SIX
        with self.lock:
            known = {base + number: name for name, number in self.numbers.items()}
        return known.get(found)

    def all(self) -> set[str]:
        with self.lock:
            return {name for name, _ in self.asked}

    def serve(self) -> None:
        while True:
            question, who = self.socket.recvfrom(4096)
            try:
                answer = self.answer(question)
            except (IndexError, struct.error, UnicodeDecodeError):
                continue
            self.socket.sendto(answer, who)

    def answer(self, question: bytes) -> bytes:
        """An answer (RFC 1035) to a question with one name in it."""
        labels, place = [], 12
        while question[place]:
            length = question[place]
            labels.append(question[place + 1 : place + 1 + length].decode("ascii"))
            place += 1 + length
        kind, _ = struct.unpack_from(">HH", question, place + 1)
        asked = question[12 : place + 5]
        name = ".".join(labels).lower()
        number = self.number(name)
        with self.lock:
            self.asked.append((name, kind))
        found = b""
        if kind == A:
            found = (FOUR + number).packed
        elif kind == AAAA and self.six:
            found = (SIX + number).packed
        head = question[:2] + struct.pack(">HHHHH", 0x8180, 1, 1 if found else 0, 0, 0)
        line = struct.pack(">HHHIH", 0xC00C, kind, 1, SECONDS, len(found)) + found if found else b""
        return head + asked + line
