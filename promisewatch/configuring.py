"""How settings are read: flags of a command, PROMISEWATCH_* variables, defaults; and where each value came from.

`configured(WorkerSettings)` gives a command's function one option a setting, and hands it the finished settings. What
the settings are is said in promisewatch/settings/ and nowhere else.
"""

import difflib
import inspect
import os
import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar, Union, get_args, get_origin

import typer
from pydantic import BeforeValidator, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from schemas.errors import SettingsError
from schemas.exits import ExitCode

PREFIX = "PROMISEWATCH_"
FILE_SUFFIX = "_file"
MASK = "********"

NOT_SETTINGS = frozenset({"PROMISEWATCH_SHARED_DATA"})
"""Variables that others read: this one says where the project's tests find sample data."""

SERVICE_LINK = re.compile(r"PROMISEWATCH_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)")
"""What Kubernetes puts into every pod's environment for a Service whose name begins with "promisewatch"."""

SettingsT = TypeVar("SettingsT", bound=BaseSettings)


class Option(NamedTuple):
    """One flag of a command: a setting, or the file that holds a secret one."""

    name: str
    field: str
    kind: Any
    help: str
    default: str | None
    metavar: str | None

    @property
    def flag(self) -> str:
        """The option as it is typed."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """The environment variable."""
        return PREFIX + self.name.upper()

    @property
    def of_file(self) -> bool:
        """Whether this names the file of a secret."""
        return self.name != self.field


def inner_type(annotation: Any) -> Any:
    """The type itself, of `T | None` and of `Annotated[T, ...]`."""
    if get_origin(annotation) is Annotated:
        return inner_type(get_args(annotation)[0])
    if get_origin(annotation) in {Union, types.UnionType}:
        return inner_type(next(kind for kind in get_args(annotation) if kind is not type(None)))
    return annotation


def is_secret(field: FieldInfo) -> bool:
    """Whether nobody may see the value."""
    return inner_type(field.annotation) is SecretStr


def options(model: type[BaseSettings]) -> Iterator[Option]:
    """Every flag of the settings: the required ones first, then in the order of their definition."""
    for name, field in sorted(model.model_fields.items(), key=lambda item: not item[1].is_required()):
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        metavar = str(extra["metavar"]) if "metavar" in extra else None
        text = field.description or ""
        if is_secret(field):
            yield Option(
                name + FILE_SUFFIX, name, Path, f"{text[:1].upper()}{text[1:]} Read from this file.", None, None
            )
            continue
        kind = str if written_as_text(field.annotation, field.metadata) else inner_type(field.annotation)
        yield Option(name, name, kind, text, shown_default(field), metavar)


def written_as_text(annotation: Any, metadata: Iterable[Any] = ()) -> bool:
    """Whether a validator reads the value from text (a duration, an instant), so that no number is expected."""
    if any(isinstance(item, BeforeValidator) for item in metadata):
        return True
    args = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return written_as_text(args[0], args[1:])
    return any(written_as_text(arg) for arg in args if arg is not type(None))


def shown_default(field: FieldInfo) -> str | None:
    """The default as one would type it, None where there is none."""
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    if "shown" in extra:
        return str(extra["shown"])
    if field.is_required() or field.default is None or field.default == "":
        return None
    return spelled(field.default)


def spelled(value: Any) -> str:
    """A value as one would type it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value.value if isinstance(value, Enum) else value)


class SecretFiles(PydanticBaseSettingsSource):
    """Secrets from the files that PROMISEWATCH_<NAME>_FILE names."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return a secret's value from its file. Raises SettingsError for both a value and a file, or no such file."""
        path = os.environ.get(variable(field_name + FILE_SUFFIX))
        if not path or not is_secret(field):
            return None, field_name, False
        if os.environ.get(variable(field_name)):
            raise SettingsError(
                f"found both {variable(field_name)} and {variable(field_name + FILE_SUFFIX)}, expected one of them"
            )
        return read_secret(Path(path), variable(field_name + FILE_SUFFIX)), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return every secret that has a file."""
        fields = self.settings_cls.model_fields
        found = {name: self.get_field_value(field, name)[0] for name, field in fields.items()}
        return {name: value for name, value in found.items() if value is not None}


def read_secret(path: Path, where: str) -> str:
    """Return what the file holds, without a newline at its end. Raises SettingsError, which never shows content."""
    try:
        secret = path.read_text().removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{where}: cannot read {path}: {getattr(error, 'strerror', 'no text')}") from error
    if not secret:
        raise SettingsError(f"{where}: {path} is empty")
    return secret


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def check_environment(environment: Mapping[str, str], known: Iterable[str]) -> None:
    """Raise SettingsError naming every PROMISEWATCH_* variable that is no setting, with what may have been meant."""
    known = sorted(known)
    problems = []
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name in NOT_SETTINGS or name in known:
            continue
        if SERVICE_LINK.fullmatch(name) and ("SERVICE_" in name or "://" in environment[name] or "_PORT_" in name):
            continue
        meant = difflib.get_close_matches(name.removeprefix(PREFIX), [each.removeprefix(PREFIX) for each in known], n=1)
        hint = f"did you mean {PREFIX}{meant[0]}?" if meant else "`promisewatch config` lists the settings"
        problems.append(f"{name}: unknown setting; {hint}")
    if problems:
        raise SettingsError("\n".join(problems))


def known_variables(models: Iterable[type[BaseSettings]]) -> set[str]:
    """The variables of all settings: one environment may serve several commands."""
    return {name for model in models for name in _variables(model)}


def _variables(model: type[BaseSettings]) -> Iterator[str]:
    for option in options(model):
        yield option.variable
        yield variable(option.field)


def read(model: type[SettingsT], flags: Mapping[str, Any]) -> SettingsT:
    """Build the settings from flags (None: not given), environment and defaults.

    Raises SettingsError with every problem: exit code 2 when a flag is wrong or something is missing, else 78.
    """
    from promisewatch.settings import PROCESSES

    check_environment(os.environ, known_variables([*PROCESSES.values(), model]))
    given: dict[str, Any] = {}
    for option in options(model):
        value = flags.get(option.name)
        if value is not None:
            given[option.field] = read_secret(value, option.flag) if option.of_file else value
    try:
        return model(**given)
    except ValidationError as error:
        raise _explained(model, given, error) from None


def _explained(model: type[BaseSettings], given: Mapping[str, Any], error: ValidationError) -> SettingsError:
    lines, code = [], ExitCode.CONFIG
    for problem in error.errors(include_url=False, include_context=False):
        name = str(problem["loc"][0]) if problem["loc"] else ""
        text = problem["msg"].removeprefix("Value error, ")
        if not name:
            lines.append(text)
            continue
        flag, field = "--" + name.replace("_", "-"), model.model_fields[name]
        if problem["type"] == "missing":
            lines.append(f"missing option {flag} (or the environment variable {variable(name)})")
            code = ExitCode.USAGE
            continue
        where = flag if name in given else variable(name)
        code = ExitCode.USAGE if name in given else code
        value = "" if is_secret(field) else f"found {spelled(given.get(name, os.environ.get(variable(name))))!r}; "
        lines.append(f"{where}: {text}" if text.startswith(("found", "clock")) else f"{where}: {value}{_lower(text)}")
    return SettingsError("\n".join(lines), code)


def _lower(text: str) -> str:
    return (text[:1].lower() + text[1:]).replace("input should", "it should")


class Origin(NamedTuple):
    """One setting in force: its value as one may show it, and where it comes from."""

    name: str
    value: str | None
    source: str


def origins(settings: BaseSettings, flags: Mapping[str, Any]) -> list[Origin]:
    """Every setting in force with its source; secrets are masked."""
    found = []
    for option in options(type(settings)):
        value = getattr(settings, option.field)
        if option.of_file:
            value = None if value is None else MASK
        shown = None if value is None else spelled(value)
        found.append(Origin(option.field, shown, _source(option, flags)))
    return found


def _source(option: Option, flags: Mapping[str, Any]) -> str:
    file = f" (file {flags.get(option.name) or os.environ.get(option.variable)})" if option.of_file else ""
    if flags.get(option.name) is not None:
        return f"flag {option.flag}{file}"
    if os.environ.get(option.variable):
        return f"environment {option.variable}{file}"
    if os.environ.get(variable(option.field)):
        return f"environment {variable(option.field)}"
    return "default"


def parameters(model: type[BaseSettings]) -> list[inspect.Parameter]:
    """One typer option a setting; none has a default of its own, so that 'not given' can be told."""
    made = []
    for option in options(model):
        switch = f"{option.flag}/--no-{option.flag[2:]}" if option.kind is bool else option.flag
        required = model.model_fields[option.field].is_required()
        info = typer.Option(
            switch,
            help=option.help + (" Required." if required else ""),
            show_default=False if option.default is None else option.default,
            metavar=option.metavar,
        )
        made.append(
            inspect.Parameter(
                option.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[option.kind | None, info],
            )
        )
    return made


def configured(model: type[BaseSettings]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command one option a setting of `model`; its first parameter, `settings`, gets what is in force."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = [each for name, each in inspect.signature(command).parameters.items() if name != "settings"]
        generated = parameters(model)

        def run(**given: Any) -> None:
            flags = {each.name: given.pop(each.name) for each in generated}
            command(settings=read(model, flags), **given)

        run.__doc__, run.__name__, run.__module__ = command.__doc__, command.__name__, command.__module__
        signature = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own] + generated
        run.__signature__ = inspect.Signature(signature)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in signature}
        return run

    return decorate
