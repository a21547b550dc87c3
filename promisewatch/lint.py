"""`promisewatch lint`: everything that is wrong in promise books, at once, with its place."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from promisewatch.console import OutputFormat, OutputOption, print_json, stderr, stdout
from schemas.book import load_book
from schemas.book_model import Book
from schemas.errors import BookError, BookProblem, InputError
from schemas.exits import ExitCode

Checked = Book | BookError | InputError
"""What became of one book: read, found wrong, or not to be opened."""


def lint(
    books: Annotated[list[Path], typer.Argument(metavar="BOOK", help="Promise books (YAML).", show_default=False)],
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Check promise books and show every error at once, as FILE:LINE:COLUMN: what was found and expected.

    Exit codes: 0 all books are in order, 1 there are errors, 66 a book cannot be opened.
    """
    results = [(path, check(path)) for path in books]
    if output is OutputFormat.JSON:
        print_json(as_json(results))
    else:
        show(results)
    raise typer.Exit(exit_code([result for _, result in results]))


def check(path: Path) -> Checked:
    """Load one book; its errors are results here, not exceptions."""
    try:
        return load_book(path)
    except (BookError, InputError) as error:
        return error


def problems_of(result: Checked) -> tuple[BookProblem, ...]:
    return result.problems if isinstance(result, BookError) else ()


def exit_code(results: list[Checked]) -> ExitCode:
    """A book that cannot be opened outweighs one that is wrong: it has not been checked at all."""
    if any(isinstance(result, InputError) for result in results):
        return ExitCode.NO_INPUT
    return ExitCode.DIFFERENT if any(isinstance(result, BookError) for result in results) else ExitCode.OK


def as_json(results: list[tuple[Path, Checked]]) -> dict[str, object]:
    """One document: whether all is well, and for each book its problems (or why it was not read)."""
    return {
        "ok": all(isinstance(result, Book) for _, result in results),
        "books": [
            {
                "book": str(path),
                "ok": isinstance(result, Book),
                "digest": result.digest if isinstance(result, Book) else None,
                "promises": len(result.promises) if isinstance(result, Book) else None,
                "error": str(result) if isinstance(result, InputError) else None,
                "problems": [asdict(problem) for problem in problems_of(result)],
            }
            for path, result in results
        ],
    }


def show(results: list[tuple[Path, Checked]]) -> None:
    """Problems one a line, as compilers print them, so that editors can jump to them."""
    for path, result in results:
        if isinstance(result, InputError):
            stderr.print(f"promisewatch: {result}")
        elif isinstance(result, Book):
            stdout.print(f"{path}: ok, {counted(len(result.promises), 'promise')}")
        for problem in problems_of(result):
            stdout.print(str(problem))
        if isinstance(result, BookError):
            stderr.print(f"{path}: {counted(len(result.problems), 'error')}")


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
