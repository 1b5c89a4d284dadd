"""The report of a comparison: what it makes of results, and what it writes."""

import json
import re
from dataclasses import asdict, replace

import pytest

from golden_model import comparison_figures as drawn
from golden_model.comparison_report import PAGE, check_report, table_rows, write_report
from golden_model.comparison_results import counters, methods, with_energy
from golden_model.energy import EnergyTable
from golden_model.events import Events
from golden_model.figures import Figure
from golden_model.page import ReportError
from golden_model.setting_names import with_values
from golden_model.sweep import BASE, identity


def result(accuracy, epochs=2, pulses=0, **values):
    """A line of results; double underscores in names of settings stand for dots."""
    names = {name.replace("__", "."): value for name, value in values.items()}
    settings = with_values(replace(BASE, epochs=epochs), names)
    line = {"run": identity(settings), "settings": settings.as_dict()}
    if accuracy is None:
        return {**line, "status": "diverged", "reason": "the loss became nan"}
    history = [
        {"epoch": epoch, "test_accuracy": accuracy * epoch / epochs, "train_loss": 1 / epoch}
        for epoch in range(1, epochs + 1)
    ]
    return {**line, "status": "done", "test_accuracy": accuracy, "train_loss": 1 / epochs,
            "images_per_second": 100.0, "pulses": pulses, "cost": {"memory": 51 * settings.rank},
            "history": history}  # fmt: skip


def series(figure, panel=0):
    """Positions and means of a panel's series, by label."""
    return {one.label: (list(one.x), [round(y, 6) for y in one.y])
            for one in figure.panels[panel].series}  # fmt: skip


SEARCH = [
    result(0.7, learning_rate=0.1, seed=0),
    result(0.9, learning_rate=0.1, seed=1),
    result(0.95, learning_rate=0.3, seed=0),
    result(None, learning_rate=0.3, seed=1),
    result(0.99, learning_rate=0.2, seed=0),
    result(0.6, learning_rate=0.05, seed=0),
    result(0.7, learning_rate=0.05, seed=1),
]
"""Of four rates one diverges with a seed, and one lacks a seed."""


def test_the_best_rate_has_the_highest_mean_and_every_seed():
    (method,) = methods(SEARCH)
    assert list(method.rates) == [0.05, 0.1, 0.2, 0.3]
    assert method.best == 0.1
    assert method.accuracy.mean == pytest.approx(80)
    assert (method.accuracy.low, method.accuracy.high) == (70, 90)
    assert method.diverged == 1


def test_a_method_that_always_diverges_has_no_best_rate():
    (method,) = methods([result(None)])
    assert method.best is None
    assert method.runs == []
    assert table_rows([method]) == [["sbpca", "", "", "", "", "", "1", "1", ""]]


def test_methods_do_not_depend_on_the_order_of_results():
    lines = [
        result(0.9, rank=8, seed=1),
        result(0.8, rank=16),
        result(0.7, rank=8),
        result(0.6, optimizer="mbgd"),
    ]
    expected = ["mbgd", "sbpca, rank 8", "sbpca, rank 16"]
    for order in (lines, lines[::-1]):
        found = methods(order)
        assert [method.label for method in found] == expected
        assert [line["settings"]["seed"] for line in found[1].runs] == [0, 1]


def test_the_table_has_spread_rate_and_divergences():
    assert table_rows(methods(SEARCH)) == [
        ["sbpca", "80.00", "70.00", "90.00", "2", "0.1", "4", "1", "100"]
    ]


def test_a_table_of_energies_prices_the_events_of_results_anew():
    events = asdict(Events(cell_pulses=500, line_pulses=1000))
    line = result(0.5, array="pulsed") | {"energy": 1.0, "events": events}
    line["history"] = [{"images": 10}, {"images": 10}]
    table = replace(EnergyTable(), write_rram=2000.0, line_cell=0.0)
    diverged, ideal = result(None, array="pulsed"), result(0.5)
    found = with_energy([line, diverged, ideal], table)
    assert found[0]["energy"] == pytest.approx(500 * 2 / 20)
    assert found[0]["energy_update"] == pytest.approx(500 * 2 / 2)
    assert found[1:] == [diverged, ideal]
    assert "energy_parts.writes" not in counters(found[0])
    assert line["energy"] == 1.0


def test_counters_are_all_numbers_whatever_their_names():
    line = result(0.5, pulses=7) | {"energy": 1e-9}
    costs = {"pulses": 7, "cost.memory": 4 * 51, "energy": 1e-9}
    assert counters(line) == costs
    (method,) = methods([line, result(0.5, pulses=9, seed=1)])
    assert method.cost("pulses").mean == 8
    assert method.cost("energy") is None


def test_accuracy_against_rank_has_a_line_a_combination_and_levels_for_the_rest():
    lines = [result(0.6 + rank / 10, rank=rank, arithmetic=arithmetic)
             for rank in (1, 2) for arithmetic in ("float", "fixed")]  # fmt: skip
    lines += [result(0.9, optimizer="mbgd"), result(0.5, rank=4, block=2)]
    figure = drawn.accuracy_against("rank", methods(lines))
    assert series(figure) == {
        "sbpca, float": ([1, 2], [70, 80]),
        "sbpca, fixed": ([1, 2], [70, 80]),
        "mbgd": ([], [90]),
    }


def test_accuracy_against_width_joins_widths_of_different_slots():
    lines = [result(0.5 + width / 100, array="pulsed", parameters__width=width)
             for width in (8, 16)]  # fmt: skip
    figure = drawn.accuracy_against("parameters.width", methods(lines))
    assert series(figure) == {"all runs": ([8, 16], [58, 66])}


def test_levels_agree_with_a_line():
    lines = [
        result(0.5, rank=rank, parameters__width=width) for rank in (1, 2) for width in (8, 16)
    ]
    lines += [result(0.6, rank=rank, arithmetic="float") for rank in (1, 4)]
    figure = drawn.accuracy_against("parameters.width", methods(lines))
    assert [label for label, (x, _) in series(figure).items() if not x] == ["float, rank 1"]


def test_float_stands_beside_each_width_of_the_same_settings():
    lines = [result(0.9, rank=2, arithmetic="float"), result(0.8, rank=4, arithmetic="float")]
    lines += [result(0.7, rank=2, parameters__width=width) for width in (16, 8)]
    figure = drawn.float_against_fixed(methods(lines))
    assert series(figure) == {
        "float": (["all runs"], [90]),
        "fixed, 8 bits": (["all runs"], [70]),
        "fixed, 16 bits": (["all runs"], [70]),
    }


def test_the_pareto_front_names_those_to_which_none_is_superior():
    lines = [
        result(accuracy, array="pulsed", rank=rank, pulses=pulses)
        for rank, accuracy, pulses in ((1, 0.7, 10), (2, 0.9, 20), (3, 0.8, 30), (4, 0.9, 40))
    ]
    figure = drawn.pareto_fronts(methods(lines))
    assert [panel.x for panel in figure.panels] == ["auxiliary memory (numbers)", "pulses"]
    assert series(figure, 1) == {
        "rank 1": ([10], [70]),
        "rank 2": ([20], [90]),
        "others": ([30, 40], [80, 90]),
    }
    assert [one.muted for one in figure.panels[1].series] == [False, False, True]


def test_learning_curves_are_means_over_seeds_a_figure_for_each_kind():
    lines = [result(0.6, seed=0), result(0.8, seed=1), result(0.7, rank=8)]
    lines += [result(0.5, optimizer="mbgd"), result(0.5, optimizer="sbe")]
    figures = drawn.learning_curves(methods(lines))
    assert list(figures) == [
        "Learning curves: sbpca",
        "Learning curves: methods that are alone in their kind",
    ]
    alone = figures["Learning curves: methods that are alone in their kind"]
    assert list(series(alone)) == ["mbgd", "sbe"]
    curve = figures["Learning curves: sbpca"]
    assert series(curve) == {
        "sbpca, rank 4": ([1, 2], [35, 70]),
        "sbpca, rank 8": ([1, 2], [35, 70]),
    }
    assert curve.panels[0].series[0].low == pytest.approx([30, 60])
    assert series(curve, 1)["sbpca, rank 4"] == ([1, 2], [1, 0.5])


def test_the_search_of_the_rate_leaves_out_what_diverged():
    figure = drawn.rate_search(methods(SEARCH))
    assert series(figure) == {"sbpca": ([0.05, 0.1, 0.2, 0.3], [65, 80, 99, 95])}


def test_any_number_that_varies_has_a_figure():
    lines = [result(0.5, array="pulsed", device__states=states) for states in (64, 128)]
    found = drawn.figures(methods(lines))
    assert series(found["Accuracy against states"]) == {"all runs": ([64, 128], [50, 50])}


def test_methods_without_a_number_are_levels_beside_it():
    lines = [result(0.5), *(result(0.6, momentum=share) for share in (0.0, 0.5))]
    found = drawn.figures(methods(lines))
    assert series(found["Accuracy against momentum"]) == {
        "all runs": ([0.0, 0.5], [60, 60]),
        "no momentum": ([], [50]),
    }


def test_figures_without_data_say_what_they_need():
    found = drawn.figures(methods([result(None)]))
    assert len(found) == 7
    assert all(isinstance(reason, str) for reason in found.values())
    assert found["Accuracy against rank"] == (
        "needs results of two values of rank, with the other settings equal"
    )


@pytest.mark.parametrize(
    ("lines", "figures"), [([], 0), ([result(None)], 0), ([result(0.5, epochs=1)], 1)]
)
def test_a_report_of_little_is_a_report(tmp_path, lines, figures):
    write_report(lines, tmp_path)
    page = (tmp_path / PAGE).read_text()
    assert page.count("<svg") == figures
    assert page.count("No figure: ") == 7 - figures


def test_every_figure_is_a_file_with_its_data_beside_it(tmp_path):
    lines = SEARCH + [
        result(0.5 + rank / 20 + width / 100, array=array, arithmetic=arithmetic, rank=rank,
               parameters__width=width, pulses=rank * (array == "pulsed"))
        for rank in (1, 2)
        for width in (8, 16)
        for array, arithmetic in (("ideal", "float"), ("ideal", "fixed"), ("pulsed", "fixed"))
    ]  # fmt: skip
    found = write_report(lines, tmp_path)
    page = (tmp_path / PAGE).read_text()
    figures = [f for f in drawn.figures(found).values() if isinstance(f, Figure)]
    assert len(figures) == 9
    assert page.count("<svg") == 9
    assert "No figure: " not in page
    for figure in figures:
        assert (tmp_path / "figures" / f"{figure.name}.svg").read_text().startswith("<svg")
        data = json.loads((tmp_path / "figures" / f"{figure.name}.json").read_text())
        assert data["panels"][0]["series"][0]["y"] == figure.panels[0].series[0].y
        assert f"figures/{figure.name}.json" in page
    assert "the loss became nan" in page
    assert not re.search(r'(src|href)="(?!#|data:)', page)  # needs no other file


def test_a_folder_that_cannot_take_a_report_is_told(tmp_path):
    (tmp_path / "figures").touch()
    with pytest.raises(ReportError, match=r"cannot make folder .*figures: File exists"):
        check_report(tmp_path)
    (tmp_path / "figures").unlink()
    (tmp_path / PAGE).mkdir()
    with pytest.raises(ReportError, match=r"cannot write .*report\.html: it is a folder"):
        check_report(tmp_path)


def test_missing_matplotlib_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("golden_model.page.find_spec", lambda _: None)
    with pytest.raises(ReportError, match=r"pip install 'eigenbar\[report\]'"):
        check_report(tmp_path)
