"""Tables of what rounds of timings gave, for compare_speed.py and compare_training.py."""

import statistics


def summary(values, digits=2):
    """Median and quartiles of what there is of the values: "1.00 (0.90 to 1.20)"."""
    values = [value for value in values if value is not None]
    if not values:
        return "-"
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def print_head(heads):
    print_row(heads)
    print("|---" * len(heads) + "|", flush=True)


def print_row(cells):
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)
