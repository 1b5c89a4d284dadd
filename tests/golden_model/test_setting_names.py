"""Settings by dotted names: read from text or tables, checked, replaced."""

from dataclasses import replace

import pytest

from golden_model.arrays import Device
from golden_model.parameters import ParameterError, Parameters
from golden_model.setting_names import flatten, parse, with_values
from golden_model.training_settings import TrainingError, TrainingSettings

SETTINGS = TrainingSettings()


def test_a_device_may_be_a_presets_name_with_changes():
    named = with_values(SETTINGS, {"device": "pcm", "device.drift.exponent": 0.1}).device
    pcm = Device.preset("pcm")
    assert named == replace(pcm, drift=replace(pcm.drift, exponent=0.1))


def test_nested_tables_have_dotted_names():
    assert flatten({"rank": [2], "device": {"states": 4}}) == {"rank": [2], "device.states": 4}


def test_values_of_nested_settings_are_replaced():
    values = {"rank": 2, "device.states": 64, "device.scrambled": False, "parameters.columns": 8}
    assert with_values(SETTINGS, values) == replace(
        SETTINGS, rank=2, device=Device(64, scrambled=False), parameters=Parameters(columns=8)
    )


def test_a_width_brings_no_more_slots_than_its_words_tell_apart():
    narrow = with_values(SETTINGS, {"parameters.width": 8}).parameters
    assert (narrow.width, narrow.max_slots) == (8, 128)
    with pytest.raises(ParameterError, match="max_slots = 256 is finer"):
        with_values(SETTINGS, {"parameters.width": 8, "parameters.max_slots": 256})


def test_a_preset_or_a_table_stands_for_nested_settings():
    tiny = Parameters.preset("tiny")
    assert with_values(SETTINGS, {"parameters": "tiny"}).parameters == tiny
    both = with_values(SETTINGS, {"parameters": "tiny", "parameters.columns": 1}).parameters
    assert both == replace(tiny, columns=1)
    assert with_values(SETTINGS, {"device": {"states": 9}}).device == Device(states=9)


def test_everything_that_settings_hold_can_be_given_back():
    settings = with_values(SETTINGS, {"device.states": 64, "parameters": "tiny", "train_limit": 5})
    assert with_values(SETTINGS, flatten(settings.as_dict())) == settings


def test_integers_become_floats_where_floats_are_meant():
    assert repr(with_values(SETTINGS, {"learning_rate": 1}).learning_rate) == "1.0"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("rank", "8", 8),
        ("parameters.width", "0x10", 16),
        ("learning_rate", "1", 1.0),
        ("learning_rate", "1e-2", 0.01),
        ("optimizer", "mbgd", "mbgd"),
        ("device.scrambled", "false", False),
        ("train_limit", "none", None),
        ("train_limit", "100", 100),
        ("parameters", "tiny", "tiny"),
    ],
)
def test_text_is_read_as_the_settings_type(name, text, value):
    assert repr(parse(name, text)) == repr(value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("rank", "2.5", r"rank = '2\.5' must be an integer"),
        ("learning_rate", "fast", "learning_rate = 'fast' must be a number"),
        ("device.scrambled", "yes", "must be true or false"),
        ("train_limit", "all", "must be an integer or none"),
        ("speed", "1", "unknown setting 'speed'; choose from those: dataset, network"),
        (
            "device.speed",
            "1",
            "unknown setting 'device.speed'; choose from those of device: states",
        ),
        ("rank.best", "1", "setting rank is one value"),
    ],
)
def test_text_that_is_no_value_is_refused(name, text, message):
    with pytest.raises(TrainingError, match=message):
        parse(name, text)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rank": "4"}, "rank = '4' must be an integer"),
        ({"rank": True}, "rank = True must be an integer"),
        ({"optimizer": 3}, "optimizer = 3 must be a string"),
        ({"learning_rate": "0.1"}, r"learning_rate = '0\.1' must be a number"),
        ({"speed": 1}, "unknown setting 'speed'"),
        ({"parameters.speed": 1}, "unknown setting 'parameters.speed'"),
        ({"rank.best": 1}, "setting rank is one value"),
        ({"device": 3}, "device = 3 must be the name of a preset or a table of some of: states"),
        ({"parameters": 3}, "must be the name of a preset or a table"),
    ],
)
def test_values_that_are_not_allowed_are_refused(values, message):
    with pytest.raises(TrainingError, match=message):
        with_values(SETTINGS, values)
