"""Summarises a table."""

import io

import pandas

TABLE = """city,day,degrees
Oslo,2024-01-01,-4.0
Oslo,2024-01-02,-6.5
Rome,2024-01-01,11.0
Rome,2024-01-02,12.5
"""


def main() -> None:
    table = pandas.read_csv(io.StringIO(TABLE), parse_dates=["day"])
    means = table.groupby("city")["degrees"].mean()
    print(", ".join(f"{city} {mean:.2f}" for city, mean in means.items()))
