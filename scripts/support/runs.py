"""What the scripts share that train many runs: configurations as the program lays them over each other, and trainings
that survive an interruption."""

import json
import os
import re
import signal
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)  # that ask to save and stop
STOPPED = tuple(128 + number for number in SIGNALS)  # what the program ends with when one of them did


def fail(message):
    sys.exit(f"error: {message}")


def read_config(file):
    """A configuration's JSON, in which // begins a comment where it is not inside a string."""
    text = re.sub(r'("(?:[^"\\]|\\.)*")|//[^\n]*', lambda m: m[1] or "", Path(file).read_text(encoding="utf-8"))
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        fail(f"{file}: {error}")


def merge(base, over):
    """`over` laid over `base`: objects are merged, but one with a "name" replaces the whole."""
    if not isinstance(base, dict) or not isinstance(over, dict) or "name" in over:
        return over
    return {**base, **{key: merge(base[key], value) if key in base else value for key, value in over.items()}}


def set_option(config, assignment):
    """`config` with one PATH=VALUE, the value JSON or a bare string."""
    path, equals, value = assignment.partition("=")
    if not equals or not path:
        fail(f"--set {assignment}: expected PATH=VALUE")
    try:
        value = json.loads(value)
    except json.JSONDecodeError:
        pass
    *sections, last = path.split(".")
    at = config = json.loads(json.dumps(config))
    for section in sections:
        at = at.setdefault(section, {})
    at[last] = value
    return config


def gather(files, assignments=()):
    """What a run with these configurations and assignments is asked to do."""
    config = {}
    for file in files:
        config = merge(config, read_config(file))
    for assignment in assignments:
        config = set_option(config, assignment)
    return config


def departures(resolved, wanted, at=""):
    """Where a run's resolved config.json is not what `wanted` says; it has paths made absolute."""
    if isinstance(wanted, dict) and isinstance(resolved, dict):
        return [d for key in wanted for d in departures(resolved.get(key), wanted[key], f"{at}/{key}")]
    is_path = isinstance(resolved, str) and isinstance(wanted, str) and os.path.isabs(resolved)
    if resolved == wanted or is_path and os.path.realpath(wanted) == os.path.realpath(resolved):
        return []
    return [f"{at}: {json.dumps(resolved)} there, {json.dumps(wanted)} now"]


def program_path(text):
    """What --program names, whatever PATH holds."""
    return Path(text).absolute()


class Runner:
    """Runs the program, one command at a time; the first signal to stop is handed on, so that the program saves, and
    later ones are not, at which it would exit without."""

    def __init__(self):
        self.child, self.stopped = None, 0
        for number in SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # not under nohup
                signal.signal(number, self.stop)

    def stop(self, number, _):
        if self.stopped:
            return
        self.stopped = 128 + number
        if self.child is None:
            sys.exit(self.stopped)
        self.child.send_signal(number)

    def run(self, command, log):
        """The exit code, or that of the signal that came, and what the program printed, which is appended to the
        file `log`."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:  # a session of its own, or the terminal would send the signal as well
            begin = out.tell()
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                          start_new_session=True)
            code = self.child.wait()
        self.child = None
        return self.stopped or code, log.read_bytes()[begin:].decode("utf-8", errors="replace")


def why_it_failed(code, said):
    """In one line: the program's message of an error, or how it ended without one."""
    lines = said.splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith("error: ")]
    if starts:
        return " ".join(line.strip() for line in lines[starts[-1]:][:4])
    last = f"; its last words: {lines[-1].strip()}" if lines else ""
    return (f"ended by signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"ended with {code}") + last


def mean_and_spread(values):
    """"91.23 ± 0.40", the sample's standard deviation; one value has none."""
    mean = f"{statistics.fmean(values):.2f}"
    return f"{mean} ± {statistics.stdev(values):.2f}" if len(values) > 1 else mean


def markdown(header, rows):
    """A table whose first column is text."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
