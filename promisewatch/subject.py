"""`promisewatch subject`: what is known and promised about an order or a customer, with the customer on the phone."""

import asyncio
from typing import Annotated

import msgspec
import typer

from promisewatch.configuring import configured
from promisewatch.console import OutputFormat, print_json
from promisewatch.settings.commands import SubjectSettings
from schemas.book_model import Book
from schemas.errors import PromisewatchError
from schemas.exits import ExitCode
from schemas.facts import Subject


@configured(SubjectSettings)
def subject(
    settings: SubjectSettings,
    subject_id: Annotated[
        str, typer.Argument(metavar="ID", help="The order, invoice or customer.", show_default=False)
    ],
) -> None:
    """Show what is known and promised about one order or customer: asked from the worker that has it.

    Its events, what each running promise waits for, dues as first and as last promised, warnings, and what has been
    published. The worker is found by its consumer group, or named with --worker. Workers answer their own machine, and
    others who show their subject token.

    Exit codes: 0 shown; 1 nothing is kept about it; 2 the command line is wrong; 65, 66 the book is wrong or absent;
    69 no broker or no worker answers; 78 a setting is wrong, the token is not the workers', or Kafka refuses us.
    """
    from promisewatch.direct import direct_source, reads_facts
    from promisewatch.subject_asking import ask
    from promisewatch.subject_words import show_subject
    from schemas.book import load_book
    from streams.logs import configure_logging

    configure_logging("console", "warning")
    if not settings.workers and not settings.bootstrap_server:
        expected = "--bootstrap-server, to find the worker by its group, or --worker"
        raise PromisewatchError(f"missing option: expected {expected}", ExitCode.USAGE)
    book = load_book(settings.book)
    wanted = Subject(chosen_key(book, settings.key), subject_id)
    from_facts = reads_facts(book, settings.input)
    topic = settings.facts_topic if from_facts else direct_source(book).topic
    told = asyncio.run(ask(settings, wanted, topic, from_facts=from_facts))
    if settings.output is OutputFormat.JSON:
        print_json(msgspec.to_builtins(told))
    else:
        show_subject(told, book.timezone)


def chosen_key(book: Book, wanted: str | None) -> str:
    """What the id is the value of. Raises PromisewatchError if the book does not know it, or knows several."""
    keys = list(dict.fromkeys(promise.key for promise in book.promises))
    if wanted is None and len(keys) == 1:
        return keys[0]
    if wanted in keys:
        return wanted
    found = "no --key" if wanted is None else f"--key {wanted!r}"
    raise PromisewatchError(f"{book.path}: found {found}, expected one of {', '.join(keys)}", ExitCode.USAGE)
