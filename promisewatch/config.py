"""`promisewatch config`: the settings in force, and where each comes from."""

from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.table import Table

from promisewatch.configuring import Origin, origins, read
from promisewatch.console import OutputFormat, OutputOption, print_json, stdout
from promisewatch.settings import PROCESSES

Command = StrEnum("Command", {name.upper(): name for name in PROCESSES})  # type: ignore[misc]


def config(
    command: Annotated[Command, typer.Argument(help="Whose settings.")],
    flags: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- FLAGS...]", help="Flags of that command, after '--', to see what they change."),
    ] = None,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Show which settings a command would run with here, and where each value comes from.

    Flags win over PROMISEWATCH_* environment variables, those over defaults. Secrets are masked.

    Exit codes: 0 they are in order; 2 a flag is wrong, or a required setting is missing; 78 an environment variable is
    wrong or unknown.
    """
    model = PROCESSES[command.value]
    given = parse_flags(command.value, flags or [])
    found = origins(read(model, given), given)
    if output is OutputFormat.JSON:
        print_json({"command": command.value, "settings": [origin._asdict() for origin in found]})
    else:
        show(found)


def parse_flags(command: str, flags: list[str]) -> dict[str, Any]:
    """Read flags as the command itself would. Raises click's usage errors."""
    from promisewatch.main import load

    parser = load(command)
    parser.params = [each for each in parser.params if each.param_type_name == "option"]
    context = parser.make_context(command, list(flags))
    return dict(context.params)


def show(found: list[Origin]) -> None:
    """A table for people: one row a setting."""
    table = Table(box=None, pad_edge=False)
    for heading in ("setting", "value", "from"):
        table.add_column(heading, overflow="fold")
    for origin in found:
        style = "dim" if origin.source == "default" else None
        table.add_row(origin.name, "" if origin.value is None else origin.value, origin.source, style=style)
    stdout.print(table)
