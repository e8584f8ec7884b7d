"""Configurations as the program lays them over each other, and what two of them differ in once it has added its
defaults."""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What says where things lie, which their hashes answer for, or how a run goes on: as in lib/run/run_folder.cpp.
MAY_DIFFER = {"/model/path", "/adapter/start_from", "/task/data", "/task/train", "/task/dev", "/task/test",
              "/score/meteor_data", "/train/log_every_steps", "/train/tensorboard", "/train/timeout_seconds",
              "/train/threads"}
# Those of them that say what a run learns from. Where a script names them anew, another place is other settings.
PLACES = {"/model/path", "/adapter/start_from", "/task/data", "/task/train", "/task/dev", "/task/test",
          "/score/meteor_data"}


def fail(message):
    sys.exit(f"error: {message}")


def read_config(file):
    """A configuration's JSON, in which // begins a comment where it is not inside a string."""
    try:
        text = Path(file).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        fail(f"{file}: is not UTF-8")
    text = re.sub(r'("(?:[^"\\]|\\.)*")|//[^\n]*', lambda m: m[1] or "", text)
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
        if not isinstance(at, dict):
            fail(f"--set {assignment}: {section} has no options")
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


def with_defaults(config, schema):
    """`config` with every option that it leaves out, in the order of `mtlora describe schema`."""
    if not isinstance(config, dict):
        return config
    if "oneOf" in schema:  # by its name, which one of them may leave out
        def fits(choice):
            name = choice["properties"]["name"]["const"]
            return config["name"] == name if "name" in config else "name" not in choice.get("required", [])
        schema = next(filter(fits, schema["oneOf"]), {})
    options = {}
    for key, inside in schema.get("properties", {}).items():
        if key != "$schema":
            default = inside.get("default", inside.get("const", {}))
            options[key] = with_defaults(config.get(key, default), inside)
    return {**options, **{key: value for key, value in config.items() if key not in options and key != "$schema"}}


def is_same_place(there, now):
    """Paths are kept as they are from the root on; names of files in a folder as they were given."""
    return there == now or (isinstance(there, str) and isinstance(now, str) and Path(there).resolve() == Path(now).resolve())


def differences(there, now, at="", places=frozenset()):
    """Where two configurations with all defaults differ in what may not. Whether there is an adapter to start from
    matters, where that lies does not, unless that is one of `places`; of patterns it matters which comes first."""
    told = f"{at}: {json.dumps(there)} there, {json.dumps(now)} now"
    if isinstance(there, dict) and isinstance(now, dict):
        keys = dict.fromkeys([*there, *now])
        found = [d for key in keys for d in differences(there.get(key), now.get(key), f"{at}/{key}", places)]
        return found or ([] if list(there) == list(now) else [told + ", in another order"])
    if at in places:
        return [] if is_same_place(there, now) else [told]
    may_differ = at in MAY_DIFFER and (at != "/adapter/start_from" or (there is None) == (now is None))
    may_differ |= at == "/task/labels" and now == []  # a run takes them from its training file then
    return [] if there == now or may_differ else [told]


def check_assignments(assignments, decided):
    """--set is for what no option of the script decides: {path: that option}."""
    for assignment in assignments:
        path = assignment.partition("=")[0]
        set_option({}, assignment)
        for name, option in decided.items():
            if name == path or name.startswith(path + "."):
                fail(f"--set {assignment}: {name} differs from run to run, or is what {option} says")
