"""Downloads one pinned archive from the package index that pip is configured for, running none of it.

pip is asked, and not the index itself, so that its mirrors, proxies, certificates and caches are used.
It checks the archive's SHA-256 before it opens it. For a source package it then asks the package's build
backend for metadata, which would run the package's setup.py: a stand-in for setuptools answers instead.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

STAND_IN = '''
import email, pathlib, sys
__legacy__ = sys.modules[__name__]
def get_requires_for_build_wheel(config_settings=None): return []
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    metadata = pathlib.Path("PKG-INFO").read_text(encoding="utf-8")
    fields = email.message_from_string(metadata)
    info = pathlib.Path(folder, f"{fields['Name']}-{fields['Version']}.dist-info")
    info.mkdir()
    (info / "METADATA").write_text(metadata, encoding="utf-8")
    return info.name
'''


def fail(message):
    sys.exit(f"error: {message}")


def python_with_pip():
    for python in (ROOT / ".venv/bin/python", sys.executable, "python3"):
        with contextlib.suppress(OSError):
            if not subprocess.run([python, "-c", "import pip"], capture_output=True).returncode:
                return python
    fail("pip is needed (Debian: apt-get install python3-pip), or run scripts/setup first")


@contextlib.contextmanager
def folder_beside(target):
    """A new folder next to `target`, gone afterwards: finished files are renamed out of it."""
    for number in (signal.SIGINT, signal.SIGTERM):  # so that it goes away then, too
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def put_in_place(made, target, check):
    """Renames the finished folder; where another fetch was faster, its folder is checked and used."""
    try:
        os.rename(made, target)
    except OSError:
        if not target.exists():
            raise
        check(target)


def download(requirement, sha256, kind, folder):
    """The path of the archive of `requirement` ("name==version"), `kind` "wheel" or "source"."""
    backend = folder / "stand-in" / "setuptools"
    backend.mkdir(parents=True)
    (backend / "__init__.py").touch()
    (backend / "build_meta.py").write_text(STAND_IN)
    (folder / "requirements.txt").write_text(f"{requirement} --hash=sha256:{sha256}\n")
    wanted = "--only-binary" if kind == "wheel" else "--no-binary"
    done = subprocess.run(
        [python_with_pip(), "-m", "pip", "download", "--no-input", "--no-deps", "--require-hashes",
         "--no-build-isolation", wanted, ":all:", "--dest", folder / "archive", "-r", folder / "requirements.txt"],
        env={**os.environ, "PYTHONPATH": str(backend.parent), "PIP_USE_PEP517": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        fail(f"{requirement} cannot be downloaded; pip says:\n{done.stdout}")
    (archive,) = (folder / "archive").iterdir()
    return archive
