"""A wrong key or value in ``config.toml`` is one clear line: file, line, key, what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config import Config, ModelConfig, load
from engine.contract.errors import EXIT_USAGE, ConfigInvalid
from engine.home import Home


def written(home: Home, text: str | bytes) -> Path:
    home.config_file.parent.mkdir(parents=True, exist_ok=True)
    home.config_file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return home.config_file


def problem(path: Path) -> ConfigInvalid:
    with pytest.raises(ConfigInvalid) as caught:
        load(path)
    error = caught.value
    assert error.message.startswith(str(path))
    assert error.hint
    assert error.exit_code == EXIT_USAGE
    assert error.message.isprintable()
    return error


def test_without_a_file_the_defaults_hold(home: Home) -> None:
    assert load(home.config_file) == Config()
    assert load(written(home, "")) == Config()


def test_what_is_written_is_read(home: Home) -> None:
    path = written(
        home,
        """
        [machine]
        name = "büro 🖥"
        [model]
        gguf = "~/models/a.gguf"
        use = "ollama/llama3"
        max_new_tokens = 512
        threads = 3
        [[model.endpoints]]
        name = "box"
        url = "http://box:8080/v1"
        key_env = "BOX_KEY"
        [media]
        rescan_minutes = 5
        [approvals]
        expires_hours = 0.5
        [screen]
        theme = "light"
        animations = "basic"
        """,
    )
    found = load(path)
    assert found.machine.name == "büro 🖥"
    assert (found.model.max_new_tokens, found.model.threads) == (512, 3)
    assert found.model.endpoints[0].url == "http://box:8080/v1"
    assert (found.approvals.expires_hours, found.screen.animations) == (0.5, "basic")
    assert path.read_text().startswith("\n")  # It is never written by us.


def test_a_profile_goes_before_the_same_keys_of_the_model(home: Home) -> None:
    text = """
        [model]
        profile = "rtx_4070"
        context = 2048
        threads = 3
        keep_alive_minutes = -1
        [model.profiles.rtx_4070]
        context = 16384
        gpu_layers = 49
        memory_mib = 11000
        [model.profiles.laptop]
        parallel = 1
        """
    model = load(written(home, text)).model
    assert (model.context, model.gpu_layers, model.memory_mib) == (16_384, 49, 11_000)
    assert (model.threads, model.parallel, model.keep_alive_minutes) == (3, 2, -1)
    assert model.in_force() == model
    model = load(written(home, text.replace('profile = "rtx_4070"', ""))).model
    assert (model.context, model.gpu_layers) == (2048, None)


def test_a_profile_that_is_not_there_is_named_with_those_that_are(home: Home) -> None:
    path = written(home, '[model]\n\nprofile = "rtx"\n[model.profiles.a]\n[model.profiles."b c"]')
    error = problem(path)
    assert error.message == f"{path}, line 3: model.profile = 'rtx': there is no such profile."
    assert "a, b c" in error.hint
    assert "none" in problem(written(home, '[model]\nprofile = "rtx"')).hint


def test_the_defaults_of_models_are_what_the_documentation_says() -> None:
    model = Config().model
    assert (model.keep_alive_minutes, model.state_mib) == (30, 1024)
    assert [model.most_new_tokens(size) for size in (0, 98_000_000, 5 * 1024**3)] == [
        1024,
        160,
        1024,
    ]
    assert ModelConfig(max_new_tokens=300).most_new_tokens(98_000_000) == 300
    assert (model.library, model.gpu_layers, model.memory_mib) == ("auto", None, None)


WRONG = [
    ("[model]\nthreads = 0", 2, "model.threads = 0", "greater than or equal to 1"),
    ("[model]\nthreads = true", 2, "model.threads = True", "a valid integer"),
    ('[model]\nthreads = "4"', 2, "model.threads = '4'", "a valid integer"),
    ("[model]\nthreads = 4.5", 2, "model.threads = 4.5", "a valid integer"),
    ("[model]\n\n# a comment\n  context  =  1", 4, "model.context = 1", "equal to 512"),
    ("[model]\ngguf = 5", 2, "model.gguf = 5", "a path"),
    ("model = 5", 1, "model = 5", "a table"),
    ("model.threads = 0", 1, "model.threads = 0", "equal to 1"),
    ("model . threads = 0", 1, "model.threads = 0", "equal to 1"),
    ("\nmodel = { threads = 0 }", 2, "model.threads = 0", "equal to 1"),
    ('[model]\n"threads" = 0', 2, "model.threads = 0", "equal to 1"),
    ("[approvals]\nexpires_hours = nan", 2, "approvals.expires_hours = nan", "720"),
    ("[approvals]\nexpires_hours = true", 2, "approvals.expires_hours = True", "number"),
    ('[screen]\nanimations = "lots"', 2, "screen.animations = 'lots'", "'none' or 'basic'"),
    ('[machine]\nname = ""', 2, "machine.name = ''", "at least 1"),
    ('[machine]\nname = "a\\u001b[2J"', 2, r"machine.name = 'a\x1b[2J'", "visible"),
    ("[model]\nprofiles = 5", 2, "model.profiles = 5", "a table"),
    ("[model]\nprofiles.x = 5", 2, "model.profiles.x = 5", "a table"),
    ("[model.profiles.x]\nthreads = 0", 2, "model.profiles.x.threads = 0", "equal to 1"),
    ("[model]\nlibrary = 'vllm'", 2, "model.library = 'vllm'", "'xllamacpp'"),
    ("[model]\nkeep_alive_minutes = -2", 2, "model.keep_alive_minutes = -2", "equal to -1"),
    ("[model]\ngpu_layers = -1", 2, "model.gpu_layers = -1", "equal to 0"),
    ("[model]\nmemory_mib = 1", 2, "model.memory_mib = 1", "equal to 64"),
    ("[model]\nhub = 'hub.lan'", 2, "model.hub = 'hub.lan'", "pattern"),
    ("[model]\nhub_token_env = 'a token'", 2, "model.hub_token_env = 'a token'", "pattern"),
    ("[model]\nendpoints = 5", 2, "model.endpoints = 5", "an array"),
    (
        '[[model.endpoints]]\nname="a"\nurl="http://a"\n[[model.endpoints]]\nname="b"\nurl="ftp:"',
        6,
        "model.endpoints.1.url = 'ftp:'",
        "pattern",
    ),
    (
        '[[model.endpoints]]\nname="a"\nurl="http://a"\n[[model.endpoints]]\nname="b"',
        4,
        "model.endpoints.1.url",
        "is missing",
    ),
]


@pytest.mark.parametrize(("text", "line", "key", "expected"), WRONG)
def test_a_wrong_value_is_named_with_its_line_and_what_was_expected(
    home: Home, text: str, line: int, key: str, expected: str
) -> None:
    path = written(home, text)
    message = problem(path).message
    assert message.startswith(f"{path}, line {line}: {key}")
    assert expected in message.removeprefix(f"{path}, line {line}: {key}")


@pytest.mark.parametrize(
    ("text", "line", "key", "known"),
    [
        ("[modell]\nx = 1", 1, "modell", "machine, model, media"),
        ("[model]\nthread = 1", 2, "model.thread", "threads"),
        ("color = 1", 1, "color", "screen"),
        ("[model.profiles.a]\ncontxt = 1", 2, "model.profiles.a.contxt", "gpu_layers"),
        (
            '[[model.endpoints]]\nname="a"\nurl="http://a"\nkey="secret"',
            4,
            "model.endpoints.0.key",
            "key_env",
        ),
        ('[model]\n"a\\u001b[2J" = 1', 1, r"model.a\x1b[2J", "threads"),
    ],
)
def test_a_wrong_key_is_named_with_the_right_ones(
    home: Home, text: str, line: int, key: str, known: str
) -> None:
    path = written(home, text)
    error = problem(path)
    assert error.message == f"{path}, line {line}: {key}: there is no such key."
    assert known in error.hint


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[model\n", "line 1"),
        ("[model]\nthreads = 2\nthreads = 3\n", "overwrite"),
        ("[model]\nthreads = \n", "line 2"),
        ("x = " + "[" * 100_000, "recursion"),
        ("[model]\nthreads = " + "1" * 5000, "digits"),
        ("x = 2026-13-45", ""),
    ],
)
def test_broken_toml_is_one_clear_error(home: Home, text: str, says: str) -> None:
    assert says in problem(written(home, text)).message


def test_what_is_not_utf_8_is_named_with_its_line(home: Home) -> None:
    path = written(home, b'[machine]\n# fine\nname = "caf\xe9"\n')
    error = problem(path)
    assert error.message == f"{path}, line 3: not UTF-8."
    assert error.hint == "Save the file as UTF-8."


def test_a_huge_file_is_refused_before_it_is_read(home: Home) -> None:
    path = written(home, b"# " + b"x" * (1024 * 1024))
    assert "larger than 1 MiB" in problem(path).message


def test_a_folder_in_its_place_is_named(home: Home) -> None:
    home.config_file.mkdir(parents=True)
    assert "Is a directory" in problem(home.config_file).message


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_whatever_is_in_it_there_is_a_configuration_or_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "wild.toml"
    path.write_bytes(content)
    try:
        load(path)
    except ConfigInvalid as error:
        message = error.message
    else:
        message = ""
    assert message == "" or message.isprintable()
