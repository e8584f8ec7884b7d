#!/usr/bin/env python3
"""Writes the adapter method that README.md shows under "Adding a method" to a file, to be compiled with the tests."""

import pathlib
import re
import sys

MOST_LINES = 60


def example(readme):
    section = re.search(r"^### Adding a method\n(.*?)^#{1,3} ", readme, re.M | re.S)
    blocks = re.findall(r"^```cpp\n(.*?)^```$", section[1], re.M | re.S) if section else []
    if len(blocks) != 1:
        sys.exit(f'README.md: one C++ example is wanted under "Adding a method", there are {len(blocks)}')
    lines = blocks[0].count("\n")
    if lines >= MOST_LINES:
        sys.exit(f"README.md: the example of a method has {lines} lines; it is to show that less than {MOST_LINES} do")
    return blocks[0]


readme_file, out = map(pathlib.Path, sys.argv[1:])
out.parent.mkdir(parents=True, exist_ok=True)
out.write_text(example(readme_file.read_text(encoding="utf-8")), encoding="utf-8")
