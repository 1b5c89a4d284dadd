"""The figures of a comparison's report, as data; each function gives one or says why it cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from golden_model.comparison_results import Method, Spread, counters
from golden_model.figures import Figure, Panel, Series
from golden_model.sweep import SLOTS, WIDTH, is_number, is_word, label, short_name, varied

ACCURACY = "test accuracy (%)"

SPREAD = "Means over the seeds, bars from the least to the largest."
"""What the bars of most figures are."""

RANK, ARITHMETIC = "rank", "arithmetic"

NAMES = {
    "cost.memory": "auxiliary memory (numbers)",
    "cost.multiply_accumulates": "multiply-accumulates a batch",
    "cost.outer_products": "outer products a batch",
    "cost.cell_writes": "cells written one by one a batch",
    "cost.accesses": "words read from or written to memory a batch",
    "cell_writes": "cells written one by one",
    "energy": "energy (nJ an image)",
    "energy_update": "energy of pulses (nJ an update)",
    "reads.input_clips": "DAC inputs clipped",
    "reads.adc_saturations": "ADC codes saturated",
    "reads.sum_saturations": "partial sums saturated",
    "reads.repeated_forward": "forward reads repeated",
    "reads.repeated_transposed": "transposed reads repeated",
    "bounded": "steps lost at bounds",
    "writes_worst": "writes of the worst device",
    "writes_mean": "writes of a device, mean",
    "clips": "duties clipped",
    "saturations": "words saturated",
}
"""Costs in words; others go by their names."""

COSTS = (
    "cost.memory",
    "cost.multiply_accumulates",
    "pulses",
    "coincidences",
    "writes_mean",
    "writes_worst",
    "energy",
)
"""Costs that the Pareto fronts weigh against accuracy, where they were counted."""

Drawn = Figure | str
"""A figure, or why there is none."""


def figures(methods: Sequence[Method]) -> dict[str, Drawn]:
    """The figures of `methods` by title, those of every number that varies among them."""
    fitting = [method for method in methods if method.runs]
    numbers = [
        name
        for name in varied(method.settings for method in fitting)
        if name not in (RANK, WIDTH)
        and {type(m.settings.get(name)) for m in fitting} <= {int, float, type(None)}
    ]
    found: dict[str, Drawn] = {
        "Accuracy against rank": accuracy_against(RANK, fitting),
        "Accuracy against width": accuracy_against(WIDTH, fitting),
    }
    for name in numbers:
        title = f"Accuracy against {short_name(name)}"
        if isinstance(figure := accuracy_against(name, fitting), Figure):
            found[title] = figure
    return found | {
        "Float against fixed": float_against_fixed(fitting),
        "Pulses, writes and other counts": counts(fitting),
        "Accuracy against cost: Pareto fronts": pareto_fronts(fitting),
        "Search of the learning rate": rate_search(methods),
        **learning_curves(fitting),
    }


def accuracy_against(name: str, methods: Sequence[Method]) -> Drawn:
    """Accuracy against setting `name`, a line for each combination of the other settings.

    Methods without such a number are levels, where they agree with a line in what both have.
    """
    ignored = {name}
    if SLOTS not in varied(method.settings for method in methods):
        ignored.add(SLOTS)
    lines = {
        key: group
        for key, group in _grouped(
            methods, ignored, lambda m: is_number(m.settings.get(name))
        ).items()
        if len(group) > 1
    }
    if not lines:
        return f"needs results of two values of {name}, with the other settings equal"
    levels = [
        method
        for method in methods
        if not is_number(method.settings.get(name))
        and any(_agree(method, group[0], ignored) for group in lines.values())
    ]
    shown = [*(group[0] for group in lines.values()), *levels]
    names = [n for n in varied(m.settings for m in shown) if n not in ignored]
    series = [
        _series(label(group[0].settings, names) or "all runs", ordered, name)
        for group in lines.values()
        for ordered in [sorted(group, key=lambda method: method.settings[name])]
    ]
    for method in levels:
        spread, words = method.accuracy, label(method.settings, names)
        words = words or f"no {short_name(name)}"
        series.append(Series(words, [], [spread.mean], [spread.low], [spread.high]))
    xs = [x for one in series for x in one.x if isinstance(x, (int, float))]
    return Figure(
        f"accuracy_{name.replace('.', '_')}",
        f"Accuracy against {short_name(name)}",
        SPREAD + (" Dashed: methods without this setting." if levels else ""),
        [Panel("lines", short_name(name), ACCURACY, series, min(xs) > 0 and max(xs) > 8 * min(xs))],
    )


def float_against_fixed(methods: Sequence[Method]) -> Drawn:
    """Accuracies in float and in fixed of each width, for settings that both have results of."""
    ignored = {ARITHMETIC, WIDTH, SLOTS}
    pairs = [
        group
        for group in _grouped(methods, ignored, lambda m: ARITHMETIC in m.settings).values()
        if {method.settings[ARITHMETIC] for method in group} >= {"float", "fixed"}
    ]
    if not pairs:
        return "needs results in float and in fixed, with the other settings equal"
    names = [n for n in varied(group[0].settings for group in pairs) if n not in ignored]
    found: dict[str, list[tuple[str, Spread]]] = {}
    for group in pairs:
        row = label(group[0].settings, names) or "all runs"
        for method in sorted(group, key=lambda m: m.settings.get(WIDTH, 0)):
            bits = f", {method.settings[WIDTH]} bits" if WIDTH in method.settings else ""
            found.setdefault(f"{method.settings[ARITHMETIC]}{bits}", []).append(
                (row, method.accuracy)
            )
    series = [_spreads(name, rows) for name, rows in sorted(found.items(), key=_float_first)]
    return Figure(
        "float_fixed", "Float against fixed", SPREAD, [Panel("dots", "", ACCURACY, series)]
    )


def counts(methods: Sequence[Method]) -> Drawn:
    """Each counter, for each method."""
    names = dict.fromkeys(
        name
        for method in methods
        for line in method.runs
        for name, value in counters(line).items()
        if value > 0
    )
    if not names:
        return "no run counted any: pulses and writes come with array = pulsed"
    panels = []
    for name in names:
        rows = [(method.label, cost) for method in methods if (cost := method.cost(name))]
        panels.append(Panel("bars", "", _cost_name(name), [_spreads(_cost_name(name), rows)]))
    caption = (
        f"Of whole runs unless it says otherwise, at each method's best learning rate. {SPREAD}"
    )
    return Figure("counts", "Pulses, writes and other counts", caption, panels)


def pareto_fronts(methods: Sequence[Method]) -> Drawn:
    """Accuracy against each cost; methods that no other beats in both are named."""
    panels = []
    for name in COSTS:
        points = [(m, c.mean) for m in methods if (c := m.cost(name)) is not None and c.mean > 0]
        if len({cost for _, cost in points}) < 2:
            continue
        front = [
            (method, cost)
            for method, cost in points
            if not any(_is_superior(other, method, cost) for other in points)
        ]
        beaten = [point for point in points if point not in front]
        series = [_points(method.label, [(method, cost)]) for method, cost in front]
        if beaten:
            series.append(replace(_points("others", beaten), muted=True))
        panels.append(Panel("points", _cost_name(name), ACCURACY, series, logarithmic=True))
    if not panels:
        return "needs two methods of different cost"
    caption = (
        "Named are the methods to which no other is superior: at least as accurate in the mean, at "
        f"no higher cost, and better in one of them. Those of no cost have no place. {SPREAD}"
    )
    return Figure("pareto", "Accuracy against cost: Pareto fronts", caption, panels)


def learning_curves(methods: Sequence[Method]) -> dict[str, Drawn]:
    """Test accuracy and training loss after each epoch, a figure for each kind of method.

    Methods of one kind differ in numbers only; those that are alone in theirs share a figure.
    """
    title = "Learning curves"
    if all(len(line["history"]) < 2 for method in methods for line in method.runs):
        return {title: "needs runs of two epochs or more"}
    words = {n for m in methods for n, v in m.settings.items() if is_word(v)}
    others = {name for method in methods for name in method.settings} - words
    kinds = list(_grouped(methods, others, lambda _: True).values())
    names = [name for name in varied(kind[0].settings for kind in kinds) if name in words]
    titles = {f"{title}: {label(kind[0].settings, names)}": kind for kind in kinds if len(kind) > 1}
    if single := [kind[0] for kind in kinds if len(kind) == 1]:
        titles[f"{title}: methods that are alone in their kind" if titles else title] = single
    found: dict[str, Drawn] = {}
    for number, (name, kind) in enumerate(titles.items(), start=1):
        found[name] = Figure(
            f"learning_curves_{number}",
            name,
            "At each method's best learning rate: means, bands from the least to the largest.",
            [_curves(kind, "test_accuracy", 100, ACCURACY),
             _curves(kind, "train_loss", 1, "training loss")],
        )  # fmt: skip
    return found


def _curves(methods: Sequence[Method], key: str, scale: float, name: str) -> Panel:
    """Value `key` after each epoch, times `scale`."""
    series = []
    for method in methods:
        epochs = [epoch["epoch"] for epoch in method.runs[0]["history"]]
        spreads = [
            Spread.of([scale * line["history"][index][key] for line in method.runs])
            for index in range(len(epochs))
        ]
        series.append(_spreads(method.label, list(zip(epochs, spreads, strict=True))))
    return Panel("curves", "epoch", name, series)


def rate_search(methods: Sequence[Method]) -> Drawn:
    """Accuracy at every learning rate that was tried, for methods with two or more."""
    series = []
    for method in methods:
        done = {
            rate: [100 * line["test_accuracy"] for line in lines if line["status"] == "done"]
            for rate, lines in method.rates.items()
        }
        tried = [(rate, Spread.of(values)) for rate, values in done.items() if values]
        if len(tried) > 1:
            series.append(_spreads(method.label, tried))
    if not series:
        return "needs two learning rates of one method"
    return Figure(
        "learning_rates", "Search of the learning rate",
        f"Runs that diverged are left out. {SPREAD}",
        [Panel("lines", "learning rate", ACCURACY, series, logarithmic=True)],
    )  # fmt: skip


def _grouped(
    methods: Iterable[Method], ignored: set[str], having: Callable[[Method], bool]
) -> dict[str, list[Method]]:
    """The methods for which `having` holds, those together that differ in `ignored` only."""
    groups: dict[str, list[Method]] = {}
    for method in filter(having, methods):
        key = {name: value for name, value in method.settings.items() if name not in ignored}
        groups.setdefault(repr(key), []).append(method)
    return groups


def _agree(first: Method, second: Method, ignored: set[str]) -> bool:
    """Whether two methods differ in `ignored`, optimiser and arithmetic only, of what both have."""
    shared = first.settings.keys() & second.settings.keys() - ignored - {"optimizer", ARITHMETIC}
    return all(first.settings[name] == second.settings[name] for name in shared)


def _is_superior(other: tuple[Method, float], method: Method, cost: float) -> bool:
    better, cheaper = other[0].accuracy.mean, other[1]
    mine = method.accuracy.mean
    return better >= mine and cheaper <= cost and (better > mine or cheaper < cost)


def _series(name: str, methods: Sequence[Method], setting: str) -> Series:
    return _spreads(name, [(method.settings[setting], method.accuracy) for method in methods])


def _points(name: str, points: Sequence[tuple[Method, float]]) -> Series:
    return _spreads(name, [(cost, method.accuracy) for method, cost in points])


def _spreads(name: str, points: Sequence[tuple[Any, Spread]]) -> Series:
    return Series(
        name,
        [x for x, _ in points],
        [spread.mean for _, spread in points],
        [spread.low for _, spread in points],
        [spread.high for _, spread in points],
    )


def _cost_name(name: str) -> str:
    return NAMES.get(name, name.replace("_", " "))


def _float_first(item: tuple[str, object]) -> tuple[bool, int, str]:
    name = item[0]
    return name != "float", len(name), name
