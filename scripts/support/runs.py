"""Trainings one after the other that survive an interruption: of the script that runs them, and of what it runs."""

import ctypes
import os
import signal
import subprocess
from pathlib import Path

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)  # that ask to save and stop
STOPPED = tuple(128 + number for number in SIGNALS)  # what the program ends with when one of them did
LIBC, PR_SET_PDEATHSIG = ctypes.CDLL(None), 1


def program_path(text):
    """What --program names, whatever PATH holds."""
    return Path(text).absolute()


def end_with(parent):
    """Called in a child: it is asked to save and stop when its parent is killed."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def new_log(file):
    """A file of that name, numbered where there is one: another attempt's, which may still write to it."""
    number, name = 1, file
    while True:
        try:
            return name.open("xb")
        except FileExistsError:
            number += 1
            name = file.with_name(f"{file.stem}.{number}{file.suffix}")


class Runner:
    """Runs the program, one command at a time; the first signal to stop is handed on, so that the program saves, and
    later ones are not, at which it would exit without. After it nothing is run."""

    def __init__(self):
        self.child, self.stopped, self.is_told = None, 0, False
        for number in SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # not under nohup
                signal.signal(number, self.stop)

    def stop(self, number, _):
        if not self.stopped:
            self.stopped = 128 + number
            self.tell()

    def tell(self):
        if self.stopped and self.child and not self.is_told:
            self.is_told = True
            self.child.send_signal(self.stopped - 128)

    def run(self, command, log):
        """The exit code, or that of the signal that came, and what the program printed, which `log`
        keeps, or a new file beside it."""
        if self.stopped:
            return self.stopped, ""
        log.parent.mkdir(parents=True, exist_ok=True)
        parent = os.getpid()
        with new_log(log) as out:  # a session of its own, or the terminal would send the signal as well
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                          start_new_session=True, preexec_fn=lambda: end_with(parent))
            self.tell()  # of a signal that came before there was a child
            code = self.child.wait()
        self.child = None
        return self.stopped or code, Path(out.name).read_text(encoding="utf-8", errors="replace")


def why_it_failed(code, said):
    """In one line: the program's message of an error, or how it ended without one."""
    lines = said.splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith("error: ")]
    if starts:
        return " ".join(line.strip() for line in lines[starts[-1]:][:4])
    last = f"; its last words: {lines[-1].strip()}" if lines else ""
    return (f"ended by signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"ended with {code}") + last


def is_taken(why):
    """Whether a run was not begun because another process has its folder."""
    return "another mtlora is at work on this run" in why
