"""Loads and checks the real data sets that are on this machine; downloads nothing.

    python benchmarks/data_sets.py [NAME ...] [--data-folder FOLDER] [--json FILE]

Prints for each set, in whichever form it is found, its images and the seconds that loading took; a
set whose contents are not the published ones ends it with the error.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from golden_model.datasets import DATASETS, DatasetError, find
from golden_model.files import write_json


def main() -> None:
    """Load each set, print a table, and write JSON if asked."""
    parser = argparse.ArgumentParser(description="Real data sets; see the module's docstring.")
    parser.add_argument("names", nargs="*", help="data sets; all unless given")
    parser.add_argument("--data-folder", type=Path, help="folder of the data sets' files")
    parser.add_argument("--json", type=Path, help="file that takes the results")
    options = parser.parse_args()
    results = {}
    print("| data set | images | seconds |")
    print("|---|---|---|")
    for name in options.names or DATASETS:
        try:
            reader = find(name, options.data_folder)
            if reader is None:
                print(f"| {name} | not found | - |")
                continue
            start = time.perf_counter()
            dataset = reader()
        except DatasetError as error:
            parser.exit(1, f"{error}\n")
        seconds = time.perf_counter() - start
        images = len(dataset.train_images) + len(dataset.test_images)
        results[name] = {"images": images, "seconds": seconds}
        print(f"| {name} | {images} | {seconds:.2f} |")
    if options.json:
        write_json(options.json, results)


if __name__ == "__main__":
    main()
