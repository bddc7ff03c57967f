#!/usr/bin/env python3
"""Checks that the arrows between modules point one way: a target depends only on targets that Package.swift lists before
it, imports only what it depends on, and the daemon's modules never import full Foundation."""
import json
import pathlib
import re
import subprocess
import sys

root = pathlib.Path(__file__).resolve().parent.parent
package = json.loads(subprocess.check_output(["swift", "package", "dump-package"], cwd=root))
targets = [target for target in package["targets"] if target["type"] in ("regular", "executable")]
dependencies = {
    target["name"]: {next(iter(entry.values()))[0] for entry in target["dependencies"]} for target in targets
}
problems = []
seen = set()
for target in targets:
    name = target["name"]
    own = dependencies[name] & dependencies.keys()
    problems += [f"{name} depends on {later}, which is listed after it" for later in sorted(own - seen)]
    seen.add(name)
    for source in (root / "Sources" / name).rglob("*.swift"):
        for module in re.findall(r"^(?:public |internal |private |package )?import (\w+)", source.read_text(), re.M):
            if module in dependencies and module not in own:
                problems.append(f"{source.relative_to(root)} imports {module}, which {name} does not depend on")


def reach(name):
    return {name}.union(*(reach(each) for each in dependencies[name] if each in dependencies))


for name in sorted(reach("weftd")):
    for source in (root / "Sources" / name).rglob("*.swift"):
        if re.search(r"^import Foundation$", source.read_text(), re.M):
            problems.append(f"{source.relative_to(root)} imports Foundation, which weftd does without")

for problem in problems:
    print(problem, file=sys.stderr)
sys.exit(1 if problems else 0)
