"""A network of its own, in which every address of the world is this machine: what would leave arrives here instead, and
nothing leaves. `scripts/leaves` enters it; whoever imports this is in it already."""

import pathlib
import subprocess

RESOLVER = "127.0.0.53"


class NoSpace(Exception):
    """The network could not be made."""


def command(*words: str) -> None:
    try:
        ran = subprocess.run(words, capture_output=True, text=True)
    except FileNotFoundError as missing:
        raise NoSpace(f"`{words[0]}` is not installed (iproute2 and util-linux are needed)") from missing
    if ran.returncode:
        raise NoSpace(f"`{' '.join(words)}`: {ran.stderr.strip() or ran.returncode}")


def make(folder: pathlib.Path) -> bool:
    """Makes every address lead here, and every name be asked of `RESOLVER`; whether that holds of IPv6 too."""
    command("ip", "-V")
    only_loopback()
    command("ip", "link", "set", "lo", "up")
    command("ip", "route", "add", "local", "0.0.0.0/0", "dev", "lo")
    try:
        command("ip", "-6", "route", "add", "local", "::/0", "dev", "lo")
        six = True
    except NoSpace:
        # A kernel without IPv6: then nothing can leave by it either.
        six = False
    instead("/etc/resolv.conf", f"nameserver {RESOLVER}\noptions timeout:2 attempts:2\n", folder)
    # Names are asked of the resolver alone, whatever this machine has for them otherwise.
    if pathlib.Path("/etc/nsswitch.conf").exists():
        instead("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n", folder)
    if pathlib.Path("/etc/hosts").exists():
        instead("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n", folder)
    for daemon in ("/run/nscd", "/var/run/nscd"):
        if pathlib.Path(daemon).is_dir():
            command("mount", "-t", "tmpfs", "tmpfs", daemon)
    return six


def only_loopback() -> None:
    """Refuses to touch a network that has a way out: somebody started this by hand."""
    shown = subprocess.run(["ip", "-brief", "link", "show", "up"], capture_output=True, text=True).stdout
    links = [line.split()[0].split("@")[0] for line in shown.splitlines() if line.strip()]
    for link in links:
        if link != "lo":
            raise NoSpace(f"this network has `{link}`, which leads out: start scripts/leaves instead")


def instead(path: str, text: str, folder: pathlib.Path) -> None:
    """Another file at a path, for this process and its children alone."""
    own = folder / path.strip("/").replace("/", "-")
    own.write_text(text)
    command("mount", "--bind", str(own), path)
