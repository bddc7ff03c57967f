#!/usr/bin/env python3
"""Checks that docs/operations.md names each log line of notice, warning or error in Sources, and each health condition."""
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parents[2]
page = (root / "docs/operations.md").read_text(encoding="utf-8")
problems = []
call = re.compile(r'logger\.(?:notice|warning|error|critical)\(\s*"((?:[^"\\]|\\.)*)"')
for source in sorted((root / "Sources").rglob("*.swift")):
    for message in call.findall(source.read_text(encoding="utf-8")):
        # The part before an interpolated value; a line that is all value is listed by the texts that it can have.
        fixed = message.split("\\(")[0].rstrip(" :")
        if fixed.split(";")[0] not in page:
            problems.append(f"{source.relative_to(root)}: \"{message}\" is not in docs/operations.md")
conditions = (root / "Sources/Operations/Health/HealthCondition.swift").read_text(encoding="utf-8")
for name in re.findall(r'case \w+ = "([\w-]+)"', conditions):
    if f"| `{name}` |" not in page:
        problems.append(f"health condition {name} is not in docs/operations.md")
for problem in problems:
    print(problem, file=sys.stderr)
sys.exit(1 if problems else 0)
