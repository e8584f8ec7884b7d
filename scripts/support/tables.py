"""Tables as the scripts print them."""

import math
import statistics


def mean_and_spread(values):
    """"91.23 ± 0.40", the sample's standard deviation; one value has none, and an undefined one leaves no
    mean."""
    if any(map(math.isnan, values)):
        return "nan"
    mean = f"{statistics.fmean(values):.2f}"
    return f"{mean} ± {statistics.stdev(values):.2f}" if len(values) > 1 else mean


def markdown(header, rows):
    """A table whose first column is text."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
