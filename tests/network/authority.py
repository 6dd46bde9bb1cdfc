"""An authority for certificates that counts in one run alone. By openssl, as Python makes none."""

import pathlib
import ssl
import subprocess
import threading

CONFIG = """
[req]
distinguished_name = name
prompt = no
[name]
CN = leaves
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
"""


class Authority:
    """Makes a certificate for each name that is asked for."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.lock = threading.Lock()
        self.contexts: dict[str, ssl.SSLContext] = {}
        self.file = folder / "authority.pem"
        (folder / "openssl.cnf").write_text(CONFIG)
        for key in ("authority.key", "host.key"):
            self.openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
        self.openssl("req", "-x509", "-new", "-sha256", "-key", "authority.key", "-config", "openssl.cnf",
                     "-extensions", "authority", "-days", "2", "-out", "authority.pem")
        self.openssl("req", "-new", "-key", "host.key", "-config", "openssl.cnf", "-out", "host.csr")

    def openssl(self, *words: str, given: bytes | None = None) -> bytes:
        try:
            ran = subprocess.run(["openssl", *words], cwd=self.folder, input=given, capture_output=True)
        except FileNotFoundError:
            raise SystemExit("openssl is not installed") from None
        if ran.returncode:
            raise SystemExit(f"openssl {words[0]}: {ran.stderr.decode(errors='replace').strip()}")
        return ran.stdout

    def context(self, name: str) -> ssl.SSLContext:
        """To speak as the host of this name."""
        with self.lock:
            if name not in self.contexts:
                self.contexts[name] = self.made(name)
            return self.contexts[name]

    def made(self, name: str) -> ssl.SSLContext:
        number = len(self.contexts) + 1
        (self.folder / "host.ext").write_text(f"subjectAltName = DNS:{name}\nextendedKeyUsage = serverAuth\n")
        self.openssl("x509", "-req", "-sha256", "-in", "host.csr", "-CA", "authority.pem", "-CAkey", "authority.key",
                     "-set_serial", str(number), "-days", "2", "-extfile", "host.ext", "-out", f"host-{number}.pem")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / f"host-{number}.pem", self.folder / "host.key")
        context.set_alpn_protocols(["http/1.1"])
        return context
