"""Settings: where each comes from, what wins, and what is refused, with one clear message."""

# ruff: noqa: E501 - a row of a table stays one line

import json
import os
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from promisewatch import reference
from promisewatch.configuring import MASK, options, read
from promisewatch.settings import PROCESSES
from promisewatch.settings.processes import NotifierSettings, WorkerSettings
from schemas.errors import SettingsError
from schemas.exits import ExitCode
from tests.cli.running import Run, promisewatch

REQUIRED = {"PROMISEWATCH_BOOTSTRAP_SERVER": "broker:9092", "PROMISEWATCH_BOOK": "book.yaml"}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PROMISEWATCH_")]:
        monkeypatch.delenv(name)


def config(*arguments: str, **variables: str) -> Run:
    """What `promisewatch config` says under these variables."""
    with mock.patch.dict(os.environ, {**REQUIRED, **variables}):
        return promisewatch("config", *arguments)


def settings_of(done: Run) -> dict[str, Any]:
    assert done.code == 0, done.err
    return {each["name"]: (each["value"], each["source"]) for each in json.loads(done.out)["settings"]}


def test_flags_win_over_the_environment_and_that_over_defaults() -> None:
    """And `config` says which of them each value in force comes from."""
    found = settings_of(
        config(
            "worker", "--output", "json", "--", "--session-timeout", "9", "--no-transactions",
            PROMISEWATCH_SESSION_TIMEOUT="7", PROMISEWATCH_DRAIN_TIMEOUT="8",
        )
    )  # fmt: skip
    assert found["session_timeout"] == ("9.0", "flag --session-timeout")
    assert found["transactions"] == ("false", "flag --transactions")
    assert found["drain_timeout"] == ("8.0", "environment PROMISEWATCH_DRAIN_TIMEOUT")
    assert found["store"] == ("rocksdb", "default")


def test_an_empty_variable_counts_as_not_set() -> None:
    """Orchestrators pass optional values as empty ones."""
    found = settings_of(config("notifier", "--output", "json", PROMISEWATCH_INSTANCE_ID="", PROMISEWATCH_STORE=""))
    assert found["instance_id"] == (None, "default")
    assert found["store"] == ("rocksdb", "default")


def test_a_secret_is_shown_nowhere(tmp_path: Path) -> None:
    """Neither its value from the environment nor that from a file, in no format."""
    (tmp_path / "password").write_text("tiger-lily\n")
    sasl = {"PROMISEWATCH_SECURITY_PROTOCOL": "SASL_SSL", "PROMISEWATCH_SASL_USERNAME": "alice"}
    for secret in (
        {"PROMISEWATCH_SASL_PASSWORD": "tiger-lily"},
        {"PROMISEWATCH_SASL_PASSWORD_FILE": str(tmp_path / "password")},
    ):
        for output in ("table", "json"):
            done = config("worker", "--output", output, **sasl, **secret)
            assert done.code == 0, done.err
            assert "tiger-lily" not in done.out + done.err
            assert MASK in done.out
        assert next(iter(secret)) in done.out


def test_a_secret_has_no_flag_of_its_own_and_no_representation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flags show in process lists, representations in logs."""
    flags = {option.flag for model in PROCESSES.values() for option in options(model)}
    assert "--sasl-password-file" in flags
    assert "--sasl-password" not in flags
    monkeypatch.setenv("PROMISEWATCH_SASL_PASSWORD", "tiger-lily")
    settings = read(
        WorkerSettings,
        {"bootstrap_server": "b:1", "book": "b", "security_protocol": "SASL_SSL", "sasl_username": "alice"},
    )
    assert settings.security.password == "tiger-lily"
    assert "tiger-lily" not in repr(settings) + repr(settings.security) + str(settings)


@pytest.mark.parametrize(
    ("arguments", "variables", "code", "message"),
    [
        ([], {"PROMISEWATCH_DRAIN_TIMOUT": "5"}, 78,
         "PROMISEWATCH_DRAIN_TIMOUT: unknown setting; did you mean PROMISEWATCH_DRAIN_TIMEOUT?"),
        ([], {"PROMISEWATCH_COLOUR": "red"}, 78,
         "PROMISEWATCH_COLOUR: unknown setting; `promisewatch config` lists the settings"),
        ([], {"PROMISEWATCH_SESSION_TIMEOUT": "0.5"}, 78,
         "PROMISEWATCH_SESSION_TIMEOUT: found '0.5'; it should be greater than or equal to 1"),
        ([], {"PROMISEWATCH_STORE": "floppy"}, 78, "PROMISEWATCH_STORE: found 'floppy'; it should be 'rocksdb' or 'memory'"),
        (["--", "--session-timeout", "0.5"], {}, 2,
         "--session-timeout: found '0.5'; it should be greater than or equal to 1"),
        (["--", "--http-port", "99999"], {}, 2, "--http-port: found '99999', expected a port number, 'auto' or 'off'"),
        (["--", "--clock", "sundial"], {}, 2,
         "--clock: clock 'sundial': expected 'system' or 'scaled:<real ms>:<simulated ms>:<factor>'"),
        ([], {"PROMISEWATCH_BOOK": ""}, 2, "missing option --book (or the environment variable PROMISEWATCH_BOOK)"),
        ([], {"PROMISEWATCH_SECURITY_PROTOCOL": "SASL_SSL"}, 78,
         "security_protocol SASL_SSL needs sasl_username and sasl_password"),
        ([], {"PROMISEWATCH_SASL_USERNAME": "alice"}, 78,
         "sasl_username and sasl_password have no effect with security_protocol PLAINTEXT; expected SASL_PLAINTEXT or SASL_SSL"),
        ([], {"PROMISEWATCH_SSL_CAFILE": "ca.pem"}, 78,
         "ssl_cafile, ssl_certfile and ssl_keyfile have no effect with security_protocol PLAINTEXT; expected SSL or SASL_SSL"),
        ([], {"PROMISEWATCH_SASL_PASSWORD_FILE": "/nowhere"}, 78,
         "PROMISEWATCH_SASL_PASSWORD_FILE: cannot read /nowhere: No such file or directory"),
        ([], {"PROMISEWATCH_SASL_PASSWORD_FILE": "/nowhere", "PROMISEWATCH_SASL_PASSWORD": "x"}, 78,
         "found both PROMISEWATCH_SASL_PASSWORD and PROMISEWATCH_SASL_PASSWORD_FILE, expected one of them"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_one_clear_message(
    arguments: list[str], variables: dict[str, str], code: int, message: str
) -> None:
    """What was found, what was expected, where; 2 where the command line is wrong, 78 where the environment is."""
    done = config("worker", *arguments, **variables)
    assert (done.code, done.out) == (code, "")
    assert done.err == f"promisewatch: {message}\n"


def test_all_problems_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody wants to mend settings one restart at a time."""
    monkeypatch.setenv("PROMISEWATCH_DRAIN_TIMEOUT", "soon")
    with pytest.raises(SettingsError) as refusal:
        read(NotifierSettings, {"session_timeout": 0.1})
    assert str(refusal.value).splitlines() == [
        "missing option --bootstrap-server (or the environment variable PROMISEWATCH_BOOTSTRAP_SERVER)",
        "--session-timeout: found '0.1'; it should be greater than or equal to 1",
        "PROMISEWATCH_DRAIN_TIMEOUT: found 'soon'; it should be a valid number, unable to parse string as a number",
    ]
    assert refusal.value.exit_code is ExitCode.USAGE


def test_settings_of_other_commands_and_service_links_are_no_mistakes() -> None:
    """One environment serves worker and notifier, and Kubernetes adds variables for Services by their names."""
    done = config(
        "worker",
        PROMISEWATCH_MAX_AGE="3d",
        PROMISEWATCH_SERVICE_HOST="10.0.0.1",
        PROMISEWATCH_WORKER_SERVICE_PORT_HTTP="6066",
        PROMISEWATCH_PORT="tcp://10.0.0.1:6066",
        PROMISEWATCH_PORT_6066_TCP_ADDR="10.0.0.1",
    )
    assert (done.code, done.err) == (0, "")
    assert config("worker", PROMISEWATCH_PORT="6066").code == 78


def test_the_generated_reference_is_up_to_date() -> None:
    """docs/settings.md and docs/metrics.md say what the code says."""
    for name, page in reference.PAGES.items():
        assert (reference.DOCS / name).read_text() == page(), "run `python -m promisewatch.reference`"


def test_every_setting_says_what_it_is_for() -> None:
    """One place defines each with its help text; one name means one thing in all commands."""
    kinds: dict[str, Any] = {}
    for model in PROCESSES.values():
        for option in options(model):
            assert len(option.help) > 15, option
            assert kinds.setdefault(option.variable, option.kind) is option.kind, option.variable
