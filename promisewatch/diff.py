"""`promisewatch diff`: what differs between two promise books, in words."""

from pathlib import Path
from typing import Annotated, Any

import typer

from promisewatch.console import OutputFormat, OutputOption, print_json, stdout
from schemas.book import load_book
from schemas.book_diff import BookDiff, Difference, PartChange, compare, title
from schemas.book_model import Book
from schemas.exits import ExitCode
from streams.clock import SystemClock


def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="Promise book (YAML) as it was.", show_default=False)],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Promise book (YAML) as it is to be.", show_default=False)],
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Show what differs between two promise books, in words, and what that means for promises that run.

    Books are compared by what they mean: layout, order and spelling are no difference. A warning says what is most
    likely not meant, such as a version in force whose text has changed under the same number.

    Exit codes: 0 the books mean the same, 1 they differ, 65 a book has errors, 66 a book cannot be opened.
    """
    before, after = load_book(old), load_book(new)
    found = compare(before, after, SystemClock().now_ms())
    if output is OutputFormat.JSON:
        print_json(as_json(before, after, found))
    else:
        show(found)
    raise typer.Exit(ExitCode.DIFFERENT if found.differences else ExitCode.OK)


def as_json(old: Book, new: Book, found: BookDiff) -> dict[str, Any]:
    """One document for programs."""
    return {
        "equal": not found.differences,
        "old": {"book": old.path, "digest": old.digest},
        "new": {"book": new.path, "digest": new.digest},
        "differences": [
            {
                "about": one.about,
                "name": one.name,
                "version": one.version,
                "change": one.kind,
                "compared_with": one.compared_with,
                "judged": one.judged,
                "parts": [part._asdict() for part in one.parts],
                "notes": one.notes,
                "warnings": one.warnings,
            }
            for one in found.differences
        ],
        "warnings": found.warnings,
    }


def show(found: BookDiff) -> None:
    """The same for people."""
    if not found.differences:
        stdout.print("no difference")
    for one in found.differences:
        stdout.print(headline(one))
        for part in one.parts:
            for line in lines_of(part):
                stdout.print(f"  {line}")
        for note in one.notes:
            stdout.print(f"  {note}")
        for warning in one.warnings:
            stdout.print(f"  WARNING: {warning}")


def headline(one: Difference) -> str:
    """What it is about, and what has become of it."""
    if one.compared_with is not None:
        return f"{title(one)}: added; where it differs from version {one.compared_with}:"
    return f"{title(one)}: {one.kind}"


def lines_of(change: PartChange) -> list[str]:
    """A part that is new, gone or different. Long texts stand below each other."""
    part, before, after = change
    if before is None or after is None:
        return [f"{'+' if before is None else '-'} {part}: {after if before is None else before}"]
    return [f"- {part}: {before}", f"+ {part}: {after}"]
