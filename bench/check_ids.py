#!/usr/bin/python3
"""Compares what the generator was promised with what the sink got.

    check_ids.py GENERATOR_IDS SINK_IDS [--queued FILE] [--json]

GENERATOR_IDS holds a line for each message that was answered 250, SINK_IDS one for each that
arrived; --queued names ids that are known to wait in the queue. Lost is what was promised and is in
neither; a duplicate is each arrival after the first. What arrived without having been promised is no
fault: the connection died between the dot and its reply. Status 1 when anything was lost.
"""

import argparse
import collections
import json
import sys


def read_ids(path):
    """The complete lines of a file: a writer that was killed may leave the last one torn."""
    with open(path, encoding="ascii") as file:
        return [line[:-1] for line in file if line.endswith("\n")]


def compare(promised, arrived, queued=()):
    """The counts, and the lost ids themselves, sorted."""
    arrivals = collections.Counter(arrived)
    lost = sorted(set(promised) - set(arrivals) - set(queued))
    return {
        "promised": len(set(promised)),
        "promised_twice": len(promised) - len(set(promised)),
        "arrived": len(arrivals),
        "queued": len(set(queued)),
        "lost": len(lost),
        "duplicates": sum(arrivals.values()) - len(arrivals),
        "unpromised": len(set(arrivals) - set(promised)),
        "lost_ids": lost,
    }


def main():
    parser = argparse.ArgumentParser(description="compares the ids of generator and sink")
    parser.add_argument("generator_ids")
    parser.add_argument("sink_ids")
    parser.add_argument("--queued", metavar="FILE", help="ids that wait in the queue")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    queued = read_ids(options.queued) if options.queued else ()
    result = compare(read_ids(options.generator_ids), read_ids(options.sink_ids), queued)
    if options.json:
        print(json.dumps(result))
    else:
        print(
            "promised {promised}, arrived {arrived}, queued {queued}, lost {lost},"
            " duplicates {duplicates}, unpromised {unpromised}".format(**result)
        )
        for lost in result["lost_ids"][:20]:
            print("lost", lost)
    return 1 if result["lost"] else 0


if __name__ == "__main__":
    sys.exit(main())
