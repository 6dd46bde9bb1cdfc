"""Runs the programs on the generated clients against a running server: clients.py BINARY FOLDER."""

import json
import os
import subprocess
import sys

from server import Server

binary, folder = sys.argv[1:]
with Server(binary) as server:
    environment = {
        **os.environ,
        "REST_URL": server.url,
        "REST_KEY": server.key,
        "REST_TENANT": server.tenant,
        "REST_SESSION": json.dumps(server.admin().headers()),
    }
    for command in (["node", "made/client.js"], [sys.executable, "client.py"]):
        if subprocess.run(command, cwd=folder, env=environment).returncode:
            sys.exit(1)
