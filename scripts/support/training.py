"""One run of a table: what the program is asked to do, and what the run's folder says when it has done it."""

import functools
import json
import math
import subprocess
import sys

from .configs import differences, fail, gather, with_defaults
from .runs import STOPPED, Runner, is_taken, why_it_failed

WRONG_COMMAND_LINE = 2  # the program's exit code


class Missing(Exception):
    """Why a run's folder does not hold what is asked for, in words."""


def read_json(file):
    """What it holds, an object."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise Missing(f"{file.name}: {error.strerror}") from None
    except ValueError as error:
        raise Missing(f"{file.name}: no JSON ({error})") from None
    if not isinstance(value, dict):
        raise Missing(f"{file.name}: no JSON object")
    return value


def inside(value, file, *keys):
    """What stands there, below all the keys."""
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            raise Missing(f"{file} has no {'.'.join(keys)}")
        value = value[key]
    return value


def number(value, name):
    if not isinstance(value, (int, float)):
        raise Missing(f"result.json: {name} is no number")
    return value


class Training:
    """A run: configurations, what is set beside them, and the folder."""

    def __init__(self, program, folder, files, assignments):
        self.program, self.folder, self.files, self.assignments = program, folder, files, assignments
        self.faults = {}  # whatever is wrong with a finished run, each once

    def __str__(self):
        return str(self.folder)

    def command(self):
        command = [self.program, "train"]
        for file in self.files:
            command += ["--config", file]
        for assignment in self.assignments:
            command += ["--set", assignment]
        return list(map(str, [*command, "--resume-or-start", "--out", self.folder]))

    def log(self):
        return self.folder.with_name(f"{self.folder.name}.log")

    @functools.cached_property
    def wanted(self):
        """The configuration that is asked for, without defaults."""
        return gather(self.files, self.assignments)

    def is_done(self):
        return (self.folder / "result.json").is_file()

    def departures(self, schema, places=frozenset()):
        """Where the run in the folder, begun or finished, is not the one that is wanted; none where there is none, or
        a broken one."""
        try:
            there = read_json(self.folder / "config.json")
        except Missing:
            return []  # a finished one has no score then, and the program says what it thinks of one that is begun
        return differences(with_defaults(there, schema), with_defaults(self.wanted, schema), places=places)

    @functools.cached_property
    def result(self):
        """result.json, of a run whose settings are known."""
        read_json(self.folder / "config.json")
        return read_json(self.folder / "result.json")

    def metric(self, which, name):
        """Of the "best" or the "last" evaluation; one that is undefined is nan."""
        if inside(self.result, "result.json", which, "metrics") is None:
            raise Missing("result.json has no metrics: was there a dev file?")
        value = inside(self.result, "result.json", which, "metrics", *name.split("."))
        if value is None:
            self.faults[f"{name} is undefined in the {which} evaluation"] = None
            return math.nan
        return number(value, name)

    def value(self, name):
        return number(inside(self.result, "result.json", name), name)

    def epoch(self, which):
        """Evaluations are at the ends of epochs, unless --set says otherwise."""
        file = self.folder / "metrics.jsonl"
        try:
            lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
            steps = sorted({e["step"] for e in lines if e["event"] == "eval"})
        except OSError as error:
            raise Missing(f"metrics.jsonl: {error.strerror}") from None
        except (ValueError, LookupError, TypeError):
            raise Missing("metrics.jsonl: not the events of a run") from None
        step = inside(self.result, "result.json", which, "step")
        if step not in steps:
            raise Missing(f"metrics.jsonl has no evaluation at step {step}")
        return steps.index(step) + 1

    def known(self, look, *arguments):
        """What `look` finds; None where that is missing, which becomes a fault."""
        try:
            return look(*arguments)
        except Missing as why:
            self.faults[str(why)] = None
            return None

    @functools.cached_property
    def data(self):
        """{split: hash}, of a finished run that says so."""
        try:
            return dict(inside(self.result, "result.json", "data"))
        except (Missing, TypeError, ValueError):
            return {}

    @functools.cached_property
    def base(self):
        """The fingerprint of the weights that a finished run began from; None where no checkpoint is left."""
        for checkpoint in ("best", "last"):
            try:
                return inside(read_json(self.folder / checkpoint / "state.json"), "state.json", "fingerprint")
            except Missing:
                pass
        return None


def train_all(trainings, what_is_lacking=lambda training: None, after_each=lambda: None):
    """Trains what is not finished, one after the other, and ends the script where a signal asks for that; returns what
    is to be said of those that are still not. `what_is_lacking` says why one cannot be begun, or None."""
    runner, left = Runner(), []
    for number, training in enumerate(trainings, 1):
        if training.is_done():
            continue
        print(f"{number} of {len(trainings)}: {training}", file=sys.stderr, flush=True)
        how, why = "not done", what_is_lacking(training)
        if not why:
            code, said = runner.run(training.command(), training.log())
            if code in STOPPED:
                print("stopped; the same command goes on from here", file=sys.stderr)
                sys.exit(code)
            if code == 0 and training.is_done():
                after_each()
                continue
            why = why_it_failed(code, said)
            if code == WRONG_COMMAND_LINE:  # no other run's would be right
                fail(why.removeprefix("error: "))
            how = "not done" if is_taken(why) else "failed"
        left.append((training, how, why))
        print(f"  {how}: {why}", file=sys.stderr, flush=True)
    return [f"{how}: {training}: {why}" for training, how, why in left if how == "failed" or not training.is_done()]


def schema_of(program):
    done = subprocess.run([program, "describe", "schema"], capture_output=True, text=True)
    if done.returncode:
        fail(f"{program} describe schema: {done.stderr.strip()}")
    return json.loads(done.stdout)


def check_settings(trainings, program, places=frozenset()):
    """Runs of other settings than those that are wanted are an error, which names them all; what lies elsewhere is the
    same unless it is one of `places`."""
    begun = [training for training in trainings if (training.folder / "config.json").is_file()]
    schema = schema_of(program) if begun else None
    changed = [(training, d) for training in begun if (d := training.departures(schema, places))]
    if changed:
        fail("\n".join(f"{training} was trained with other settings; name another --out, or move it away:\n  "
                       + "\n  ".join(found) for training, found in changed))


def check_origins(trainings):
    """Finished runs of one table that began from other weights, or of one task that learned from other data, are an
    error."""
    done = [training for training in trainings if training.is_done()]
    told = disagreement("base weights", [(training.base, training) for training in done if training.base])
    tasks = {}
    for training in done:
        if training.data:
            tasks.setdefault(training.wanted["task"]["name"], []).append(training)
    for task, of_task in tasks.items():
        for split in dict.fromkeys(split for training in of_task for split in training.data):
            told += disagreement(f"{task}, {split} data", [(t.data.get(split, "none"), t) for t in of_task])
    if told:
        fail("runs that learned from different things are not one table; name another --out, or move some away:\n"
             + "\n".join(told))


def disagreement(what, found):
    """Of [(hash, training)], in a line, where there is more than one hash."""
    groups = {}
    for text, training in found:
        groups.setdefault(text, []).append(training)
    return [f"  {what}: " + "; ".join(f"{t} in {names(g)}" for t, g in groups.items())] if len(groups) > 1 else []


def names(trainings):
    """Of many the first ones."""
    shown = ", ".join(map(str, trainings[:5]))
    return shown + (f" and {len(trainings) - 5} others" if len(trainings) > 5 else "")
