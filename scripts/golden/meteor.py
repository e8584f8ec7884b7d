"""Writes tests/cases/metrics/meteor.json: what meteor-1.5.jar gives with and without its paraphrases.

    python scripts/golden/meteor.py METEOR-1.5.JAR SHARED

METEOR-1.5.JAR: of the METEOR 1.5 distribution, or of the Python package pycocoevalcap 1.2 (its folder
meteor/; the two give the logs of the WebNLG challenge 2017 to the last digit), with its paraphrase table
data/paraphrase-en.gz beside it. SHARED: the folder that holds golden/webnlg2017.

{"versions", "segments": sentences written for this file, with their scores under five sets of flags,
 "corpora": the WebNLG challenge's systems: the jar's table of matches (a row a matcher: content and
 function words of the test, then of the reference), words, chunks, score; and how many segments score
 the same in the challenge's log, where paraphrases were on (null: no log)}
"""

import json
import pathlib
import platform
import re
import subprocess
import sys
import tempfile

OUT = pathlib.Path(__file__).resolve().parents[2] / "tests" / "cases" / "metrics" / "meteor.json"
MODULES = ["-m", "exact stem synonym", "-w", "1.0 0.6 0.8"]
FLAGS = {"full": ["-norm", *MODULES], "lower": ["-lower", *MODULES], "none": MODULES,
         "full without punctuation": ["-norm", "-noPunct", *MODULES], "full with paraphrases": ["-norm"]}
SEGMENTS = [
    ("The cat sat on the mat.", ["The cat sat on the mat."]),
    ("On the mat sat the cat.", ["The cat sat on the mat.", "A cat was sitting on a mat."]),
    ("the the the the", ["the cat the dog", "the the"]),
    ("He purchased a big automobile and drove home quickly.", ["She bought a large car, and was driving home fast."]),
    ("U.S.-based firms didn't pay Mr. Smith $1,200.50 in the 1990's...", ["Firms based in the US did not pay Dr. Smith 1,200.50 dollars in the 1990s"]),
    ("No. 5 is alive . . . or \u201cdead\u201d ?", ["No. Five is 'alive'... or ''dead''?"]),
    ("a-b-c,,d ,5 6, rock'n'roll \u2013 it's John's, y'all", ["a b-c , d , 5 6 rock 'n' roll -- it 's Johns , y'all"]),
    ("Der Stra\u00dfenb\u00e4cker \u041c\u043e\u0441\u043a\u0432\u0430\u00a0is h\u00e9r\u00e9!\tYes/no", ["der stra\u00dfenb\u00e4cker \u043c\u043e\u0441\u043a\u0432\u0430 is h\u00e9r\u00e9 ! yes no"]),
    ("nothing in common", ["xyz", "uvw"]),
    ("", ["an empty output", "or two"]),
    ("went geese mice better flies glasses happily", ["go goose mouse well fly glass happy"]),
    ("Mixed CASE words Of The House", ["mixed case Words of the house"]),
    ("one two three four five six seven eight nine ten", ["ten nine eight seven six five four three two one", "one three two four six five seven nine eight ten"]),
    ("the plane arrived at the airport at the same time", ["the aircraft reached the airport simultaneously", "at the airport , the airplane came to at once"]),
    ("a great deal of money is needed in order to build it", ["lots of money are required to construct it", "much money is necessary so as to build this"]),
    ("as a result of the fact that he was not able to go", ["because he could not go", "since he was unable to go , due to the fact that he was ill"]),
    ("is a is a is a dog is a", ["a is a dog is a a is", "is a dog"]),
]


def run(jar, tests, references, count, flags):
    with tempfile.TemporaryDirectory() as folder:
        files = [pathlib.Path(folder, name) for name in ("test", "reference")]
        files[0].write_text("".join(line + "\n" for line in tests), encoding="utf-8")
        files[1].write_text("".join(line + "\n" for line in references), encoding="utf-8")
        return subprocess.run(
            ["java", "-Dfile.encoding=UTF-8", "-Xmx2G", "-jar", jar, *map(str, files), "-l", "en", "-r", str(count), *flags],
            check=True, capture_output=True, text=True, encoding="utf-8").stdout


def segment_scores(text):
    return [float(score) for score in re.findall(r"^Segment \d+ score:\s+(\S+)", text, re.M)]


def corpus(jar, folder, system, track):
    read = lambda path: path.read_text(encoding="utf-8").splitlines()
    tests = read(folder / "teams" / f"{system}_{track}-cat.txt")
    text = run(jar, tests, read(folder / "references" / f"gold-{track}-cat-reference-3ref.meteor"), 3, ["-norm", *MODULES])
    rows = re.findall(r"^\d +(\d+) +(\d+) +\d+ +(\d+) +(\d+) +\d+$", text, re.M)
    number = lambda name: float(re.search(rf"^{name}:\s+(\S+)", text, re.M)[1])
    log = folder / "eval" / f"meteor-{system}-{track}-cat.txt"
    same = None
    if log.exists():
        theirs = segment_scores(log.read_text(encoding="utf-8"))
        same = sum(a == b for a, b in zip(segment_scores(text), theirs, strict=True))
    return {"system": system, "track": track, "segments": len(tests), "matches": [[int(n) for n in row] for row in rows],
            "words": number("Test words"), "reference_words": number("Reference words"), "chunks": number("Chunks"),
            "score": number("Final score"), "segments_as_in_log": same}


def main(jar, shared):
    usage = subprocess.run(["java", "-jar", jar], capture_output=True, text=True)
    version = (usage.stdout + usage.stderr).splitlines()[0]
    java = subprocess.run(["java", "-version"], capture_output=True, text=True).stderr.splitlines()[0]
    versions = {"python": platform.python_version(), "java": java, "jar": version}
    print(versions)
    most = max(len(references) for _, references in SEGMENTS)
    lines = [line for _, references in SEGMENTS for line in references + [""] * (most - len(references))]
    scores = {name: segment_scores(run(jar, [test for test, _ in SEGMENTS], lines, most, flags)) for name, flags in FLAGS.items()}
    segments = [{"hypothesis": test, "references": references, "scores": {name: scores[name][i] for name in FLAGS}}
                for i, (test, references) in enumerate(SEGMENTS)]
    folder = pathlib.Path(shared) / "golden" / "webnlg2017"
    corpora = [corpus(jar, folder, system, track) for system in ("Baseline", "UIT-DANGNT-CLNLP", "UPF-TALN")
               for track in ("all", "new", "old")]
    lines = lambda entries: ",\n".join("  " + json.dumps(entry) for entry in entries)
    OUT.write_text('{"versions": %s,\n "segments": [\n%s],\n "corpora": [\n%s]}\n' % (json.dumps(versions), lines(segments), lines(corpora)))


main(*sys.argv[1:])
