"""Writes the tables and the figure of docs/fpga.md anew, from the benchmarks' JSON alone.

    python benchmarks/documents/fpga.py

Steps a second are the clock of the fastest seed over the cycles of a block. Multiply-accumulates
are those of SBPCA itself (`golden_model.optimizer_cost.sbpca_block`); idle lanes count for nothing.
The figure needs the extra `report`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from golden_model.figures import Figure, Panel, Series, draw
from golden_model.files import replacing
from golden_model.markdown import table, with_tables
from golden_model.page import svg

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "fpga.md"
IMAGE = ROOT / "docs" / "fpga_table.svg"
FPGA_TABLE = ROOT / "benchmarks" / "fpga_table.json"
STEPS_PER_SECOND = ROOT / "benchmarks" / "steps_per_second.json"
RESOURCES = ("LUT", "FF", "DSP", "BRAM")

Entry = dict[str, Any]


def title(entry: Entry) -> str:
    """The configuration as tables name it: "4 x 1, 8" for 4 lanes, a column and 8 bits."""
    return "{} x {}, {}".format(*entry["configuration"].split("x"))


def used(entry: Entry) -> list[str]:
    """What a result takes of each resource."""
    return [f"{entry['utilization'][resource]['used']:,}" for resource in RESOURCES]


def fastest(entry: Entry) -> Entry:
    """The seed of the highest clock."""
    return max(entry["seeds"], key=lambda seed: seed["fmax_mhz"])


def steps_per_second(entry: Entry, shape: Entry) -> float:
    """Blocks of a shape that a placed accelerator does in a second."""
    return 1e6 * fastest(entry)["fmax_mhz"] / shape["cycles"]


def sizes(shape: Entry) -> str:
    """A shape as tables name it."""
    return ", ".join(str(shape[name]) for name in ("m", "n", "k", "b"))


def size_table(placed: list[Entry]) -> str:
    """Resources, clocks and longest path of each configuration."""
    rows = []
    for entry in placed:
        path = fastest(entry)["critical_path"]
        rows.append([
            title(entry),
            *used(entry),
            f"{fastest(entry)['fmax_mhz']:.1f}",
            ", ".join(f"{seed['fmax_mhz']:.1f}" for seed in entry["seeds"]),
            f"{path['logic_ns']:.1f} + {path['routing_ns']:.1f}",
            f"`{path['from']}` to `{path['to']}`",
        ])  # fmt: skip
    names = ("best MHz", "MHz of each seed", "ns of logic + routing", "longest path of the best")
    return table(["P x C, W", *RESOURCES, *names], rows)


def speed_table(placed: list[Entry]) -> str:
    """Cycles, multiply-accumulates and steps a second, of each configuration and shape."""
    rows = []
    for entry in placed:
        for shape in entry["shapes"]:
            rate = steps_per_second(entry, shape)
            rows.append([
                title(entry),
                sizes(shape),
                f"{shape['cycles']:,}",
                f"{rate * shape['multiply_accumulates'] / 1e9:.2f}",
                f"{rate:,.0f}",
            ])  # fmt: skip
    return table(["P x C, W", "m, n, k, b", "cycles", "GMAC/s", "steps/s"], rows, numbers=3)


def family_table(mapped: list[Entry]) -> str:
    """Resources on the families for which accelerators were only mapped."""
    rows = [[entry["family"], title(entry), *used(entry)] for entry in mapped]
    return table(["", "P x C, W", *RESOURCES], rows, numbers=len(RESOURCES))


def cpu_table(rates: list[Entry]) -> str:
    """Steps a second of the CPU, each form and library a row."""
    columns = [(precision, threads) for precision in ("float32", "float64") for threads in (1, 2)]
    found: dict[tuple[str, ...], dict[tuple[str, int], str]] = {}
    for rate in rates:
        row = found.setdefault((sizes(rate), rate["form"], rate["library"]), {})
        row[rate["precision"], rate["threads"]] = f"{rate['steps_per_second']:,.0f}"
    rows = [[*key, *(row[column] for column in columns)] for key, row in found.items()]
    names = [f"{precision}, threads: {threads}" for precision, threads in columns]
    return table(["m, n, k, b", "form", "library", *names], rows, numbers=len(columns))


def ratio_table(placed: list[Entry], rates: list[Entry]) -> str:
    """The accelerators' steps a second beside the CPU's fastest, in both forms."""
    rows = []
    for shape in placed[0]["shapes"]:
        cpu = {
            form: max(
                rate["steps_per_second"]
                for rate in rates
                if sizes(rate) == sizes(shape) and rate["form"].startswith(form)
            )
            for form in ("published", "hardware")
        }
        speeds = {f"CPU, {form} form, float": rate for form, rate in cpu.items()}
        for entry in placed:
            (same,) = (other for other in entry["shapes"] if sizes(other) == sizes(shape))
            speeds[f"{title(entry)}, {fastest(entry)['fmax_mhz']:.1f} MHz"] = steps_per_second(
                entry, same
            )
        rows += [
            [sizes(shape), name, f"{rate:,.0f}", *(f"{rate / of:.2f}" for of in cpu.values())]
            for name, rate in speeds.items()
        ]
    names = ("steps/s", "of the CPU's published form", "of its hardware form")
    return table(["m, n, k, b", "", *names], rows, numbers=3)


def tables(results: list[Entry], rates: list[Entry]) -> dict[str, str]:
    """All tables, by their marks in the document."""
    placed = [entry for entry in results if "seeds" in entry]
    mapped = [entry for entry in results if "seeds" not in entry]
    return {
        "fpga size": size_table(placed),
        "fpga speed": speed_table(placed),
        "fpga families": family_table(mapped),
        "steps ratio": ratio_table(placed, rates),
        "steps cpu": cpu_table(rates),
    }


def figure(results: list[Entry]) -> Figure:
    """LUTs, clock and multiply-accumulates a second of each configuration that was placed.

    Of several seeds and shapes a bar has the best, and its error the range.
    """
    placed = [entry for entry in results if "seeds" in entry]

    def bars(name: str, values: list[list[float]]) -> Panel:
        low, high = ([end(row) for row in values] for end in (min, max))
        categories = [title(entry) for entry in placed]
        return Panel("bars", "", name, [Series(name, categories, high, low, high)])

    return Figure(
        "fpga_table", "", "",
        [
            bars("LUTs", [[entry["utilization"]["LUT"]["used"]] for entry in placed]),
            bars("MHz", [[seed["fmax_mhz"] for seed in entry["seeds"]] for entry in placed]),
            bars("MAC/s", [
                [
                    steps_per_second(entry, shape) * shape["multiply_accumulates"]
                    for shape in entry["shapes"]
                ]
                for entry in placed
            ]),
        ],
    )  # fmt: skip


def recorded() -> tuple[list[Entry], list[Entry]]:
    """The results of both benchmarks: accelerators, and rates of the CPU."""
    results = json.loads(FPGA_TABLE.read_text())["results"]
    return results, json.loads(STEPS_PER_SECOND.read_text())["cpu"]


def main() -> None:
    """Write document and figure."""
    results, rates = recorded()
    text = with_tables(DOCUMENT.read_text(), tables(results, rates))
    with replacing(DOCUMENT) as file:
        file.write(text.encode())
    with replacing(IMAGE) as file:
        file.write(svg(draw(figure(results))).encode())


if __name__ == "__main__":
    main()
