#!/bin/sh
# Writes the captured messages of Tests/NetlinkTests/Capture.swift as files into ./corpus.
cd "$(dirname "$0")" && mkdir -p corpus && exec python3 - <<'PY'
import re
text = open("../../Tests/NetlinkTests/Capture.swift").read()
for name, body in re.findall(r'static let (\w+) = Capture\(\s*"[^"]*",\s*"""(.*?)"""', text, re.S):
    open(f"corpus/{name}", "wb").write(bytes.fromhex("".join(body.split())))
PY
