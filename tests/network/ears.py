"""Hears every packet on the one link that there is, and keeps those that go anywhere but to loopback: who was
contacted, and every byte that crossed."""

import ctypes
import dataclasses
import ipaddress
import socket
import struct
import threading

ETH_P_ALL = 3
SOL_PACKET, PACKET_STATISTICS = 263, 6
SO_ATTACH_FILTER, SO_RCVBUFFORCE = 26, 33
TCP, UDP = 6, 17
SYN, ACK = 0x02, 0x10
# By these the kernel answers that nobody listens: protocol and type (RFC 792, RFC 4443).
ANSWERS = {(1, 3), (58, 1)}
# A packet that the link's offloading makes has at most this.
PACKET_BYTES_MAX = 1 << 18
BUFFER_BYTES = 64 << 20
HELD_BYTES_MAX = 512 << 20
# RFC 5246, 6.2.3; those of TLS 1.3 are shorter.
TLS_RECORD_BYTES_MAX = (1 << 14) + 2048

# Lets all pass but IPv4 from loopback to loopback, of which there is much and which leaves nowhere.
FILTER = [
    (0x28, 0, 0, 12),  # the protocol
    (0x15, 0, 7, 0x0800),  # IPv4?
    (0x20, 0, 0, 26),  # from
    (0x54, 0, 0, 0xFF000000),
    (0x15, 0, 4, 0x7F000000),
    (0x20, 0, 0, 30),  # to
    (0x54, 0, 0, 0xFF000000),
    (0x15, 0, 1, 0x7F000000),
    (0x06, 0, 0, 0),
    (0x06, 0, 0, 0xFFFFFFFF),
]


@dataclasses.dataclass(frozen=True, order=True)
class Contact:
    """Somebody was spoken to: by TCP (a SYN), by UDP, or by another protocol, whose number it is."""

    protocol: str
    address: str
    port: int


class Flow:
    """What one side of a connection said, put in order by its sequence numbers."""

    def __init__(self, start: int | None):
        self.start, self.pieces = start, {}

    def add(self, sequence: int, data: bytes) -> None:
        if self.start is None:
            self.start = sequence
        place = (sequence - self.start) & 0xFFFFFFFF
        if len(data) > len(self.pieces.get(place, b"")):
            self.pieces[place] = data

    def bytes(self) -> bytes:
        whole = bytearray()
        for place, data in sorted(self.pieces.items()):
            if place > len(whole):
                raise LookupError(f"{place - len(whole)} bytes were not heard")
            whole[place:] = data + bytes(whole[place + len(data) :])
        return bytes(whole)


class Ears:
    def __init__(self):
        self.lock = threading.Lock()
        self.contacts: list[Contact] = []
        # By from, to: ((address, port), (address, port)).
        self.flows: dict[tuple, Flow] = {}
        # Those of who began a connection.
        self.begun: set[tuple] = set()
        self.datagrams: list[tuple[Contact, bytes]] = []
        self.packets, self.held = 0, 0
        # Why it does not hear any more.
        self.deaf: BaseException | None = None
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        program = b"".join(struct.pack("HBBI", *line) for line in FILTER)
        self.program = ctypes.create_string_buffer(program)
        header = struct.pack("HL", len(FILTER), ctypes.addressof(self.program))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, header)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
        except PermissionError:
            # As root in a user namespace alone, it has to do with less.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        self.socket.bind(("lo", 0))
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self) -> None:
        try:
            self.listen_on()
        except BaseException as why:
            self.deaf = why

    def listen_on(self) -> None:
        buffer = bytearray(PACKET_BYTES_MAX)
        while True:
            length, (_, protocol, kind, *_) = self.socket.recvfrom_into(buffer)
            # On loopback each packet is seen as it leaves and as it arrives.
            if kind != socket.PACKET_OUTGOING:
                self.hear(protocol, bytes(buffer[14:length]))

    def hear(self, protocol: int, packet: bytes) -> None:
        if protocol == 0x0800:
            start = (packet[0] & 15) * 4
            inner, total = packet[9], struct.unpack_from(">H", packet, 2)[0]
            source, target = (str(ipaddress.ip_address(packet[place : place + 4])) for place in (12, 16))
        elif protocol == 0x86DD:
            start, inner = 40, packet[6]
            total = 40 + struct.unpack_from(">H", packet, 4)[0]
            source, target = (str(ipaddress.ip_address(packet[place : place + 16])) for place in (8, 24))
        else:
            self.tell(Contact(f"link {protocol:#06x}", "?", 0))
            return
        # What is larger than the header can say has nothing there.
        packet = packet[:total] if total > start else packet
        if all(is_loopback(address) for address in (source, target)):
            return
        with self.lock:
            self.packets += 1
            if self.held > HELD_BYTES_MAX:
                raise MemoryError(f"more than {HELD_BYTES_MAX} bytes crossed")
            if inner == TCP:
                self.tcp(source, target, packet[start:])
            elif inner == UDP:
                port = struct.unpack_from(">H", packet, start + 2)[0]
                data = packet[start + 8 :]
                self.contacts.append(Contact("udp", target, port))
                self.datagrams.append((self.contacts[-1], data))
                self.held += len(data)
            elif not is_loopback(target) and (inner, packet[start]) not in ANSWERS:
                self.contacts.append(Contact(f"protocol {inner}", target, 0))

    def tell(self, contact: Contact) -> None:
        with self.lock:
            self.contacts.append(contact)

    def tcp(self, source: str, target: str, segment: bytes) -> None:
        own, other, sequence = struct.unpack_from(">HHI", segment)
        flags, data = segment[13], segment[(segment[12] >> 4) * 4 :]
        key = ((source, own), (target, other))
        if flags & SYN:
            self.flows[key] = Flow((sequence + 1) & 0xFFFFFFFF)
            if not flags & ACK:
                self.contacts.append(Contact("tcp", target, other))
                self.begun.add(key)
        if data:
            self.flows.setdefault(key, Flow(None)).add(sequence, data)
            self.held += len(data)

    def dropped(self) -> int:
        """Packets that came too fast to be heard, since this was asked last."""
        return struct.unpack("II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]

    def spoken(self) -> list[tuple[int, bytes]]:
        """What each side of each connection said, with the port that was connected to."""
        with self.lock:
            return [(to[1] if (of, to) in self.begun else of[1], flow.bytes()) for (of, to), flow in self.flows.items()]


def is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def not_tls(data: bytes) -> str | None:
    """Why this is not TLS from its first byte to its last (RFC 8446, 5.1); nothing if it is."""
    place = 0
    while place < len(data):
        if len(data) - place < 5:
            return None  # it broke off
        kind, version, length = struct.unpack_from(">BHH", data, place)
        if not (20 <= kind <= 23 and 0x0301 <= version <= 0x0303 and length <= TLS_RECORD_BYTES_MAX):
            return f"{data[place : place + 40]!r} after {place} bytes"
        place += 5 + length
    return None
