"""`promisewatch backtest --against`: what would change if another book took the place of the one in force."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import ROOT, Run, promisewatch

AS_OF = "2026-05-01T00:00:00Z"
NOW = """
sources: {shop: {topic: t, format: json, id: id, type: type, time: at}}
defaults: {timezone: UTC, key: order}
promises:
- {id: answer, when: {event: asked}, due: {within: 1h}, expect: {event: answered}, breach: {audience: employee}}
- {id: thanks, when: {event: answered}, due: {within: 1h}, expect: {event: thanked}}
"""


def event(number: int, kind: str, order: str, at: str) -> str:
    return json.dumps({"id": f"e{number}", "type": kind, "order": order, "at": f"2026-04-30T{at}:00Z"})


EVENTS = [
    event(1, "asked", "soon", "08:00"),
    event(2, "answered", "soon", "08:10"),
    event(3, "asked", "later", "09:00"),
    event(4, "answered", "later", "09:40"),
    event(5, "asked", "late", "10:00"),
    event(6, "answered", "late", "11:30"),
    event(7, "asked", "never", "12:00"),
    event(8, "asked", "open", "23:10"),
]


class Comparer:
    """Compares a changed book with the one above, on one recording."""

    def __init__(self, folder: Path) -> None:
        self.now, self.then, self.recording = folder / "now.yaml", folder / "then.yaml", folder / "shop.jsonl"
        self.now.write_text(NOW)
        self.recording.write_text("\n".join(EVENTS) + "\n")

    def run(self, then: str, *arguments: str | Path) -> Run:
        self.then.write_text(then)
        files = arguments or (self.recording,)
        return promisewatch("backtest", "--book", self.now, "--against", self.then, "--as-of", AS_OF, *files)

    def found(self, then: str, code: int = 0) -> dict[str, Any]:
        """The document for programs; each promise under its id."""
        run = self.run(then, "--output", "json", self.recording)
        assert run.code == code, run.err
        document: dict[str, Any] = json.loads(run.out)
        return {**document, "promises": {one.pop("promise"): one for one in document["promises"]}}


@pytest.fixture
def compare(tmp_path: Path) -> Comparer:
    return Comparer(tmp_path)


def changes(promise: dict[str, Any]) -> dict[tuple[str, str], int]:
    return {(one["now"], one["then"]): one["cycles"] for one in promise["changes"]}


def test_of_equal_books_nothing_changes_and_that_is_said(compare: Comparer) -> None:
    """Another layout, title or severity judges nothing otherwise; that is no error."""
    same = NOW.replace("- {id: thanks,", "- {id: thanks, title: Somebody says thanks,")
    found = compare.found(same)
    assert found["equal"] is True
    assert found["promises"]["answer"] | {"dues": None} == {
        "presence": "both", "same_status": 5, "alike": 5, "changes": [], "dues": None
    }  # fmt: skip
    assert found["promises"]["thanks"]["alike"] == 3
    run = compare.run(same)
    assert run.code == 0, run.err
    assert "nothing changes: both books judge every cycle alike (8)" in run.out


def test_a_changed_due_moves_dues_and_verdicts(compare: Comparer) -> None:
    """Each kind of change with how many cycles and the earliest ones of them; a due may move and change no verdict."""
    found = compare.found(NOW.replace("{event: asked}, due: {within: 1h}", "{event: asked}, due: {within: 30m}"))
    answer = found["promises"]["answer"]
    assert found["equal"] is False
    assert changes(answer) == {("kept", "fulfilled_late"): 1, ("open", "breached"): 1}
    assert (answer["same_status"], answer["alike"]) == (3, 0)
    assert answer["changes"][0]["examples"] == [
        {
            "subject": "later",
            "cycle": "e3",
            "due_now": "2026-04-30T10:00:00.000Z",
            "due_then": "2026-04-30T09:30:00.000Z",
        }
    ]
    dues = answer["dues"]
    assert (dues["earlier"], dues["later"], dues["furthest_ms"]) == (5, 0, 1_800_000)
    assert [example["subject"] for example in dues["examples"]] == ["soon", "later", "late"]
    assert changes(found["promises"]["thanks"]) == {}
    assert found["promises"]["thanks"]["alike"] == 3


def test_an_added_and_a_removed_promise_are_named(compare: Comparer) -> None:
    """Their cycles are opened by one book only; the same promise under another id is a removal and an addition."""
    found = compare.found(NOW.replace("id: thanks", "id: gratitude"))
    assert {name: one["presence"] for name, one in found["promises"].items()} == {
        "answer": "both", "thanks": "removed", "gratitude": "added"
    }  # fmt: skip
    assert changes(found["promises"]["thanks"]) == {("breached", "not opened"): 3}
    assert changes(found["promises"]["gratitude"]) == {("not opened", "breached"): 3}
    (change,) = found["promises"]["gratitude"]["changes"]
    assert change["examples"][0] == {
        "subject": "soon", "cycle": "e2", "due_now": None, "due_then": "2026-04-30T09:10:00.000Z"
    }  # fmt: skip


def test_an_added_promise_that_nothing_opens_is_a_difference_all_the_same(compare: Comparer) -> None:
    """The books are not equal: on another recording they would differ."""
    more = NOW + "- {id: more, when: {event: moved}, due: {within: 1h}, expect: {event: told}}\n"
    found = compare.found(more)
    assert (found["equal"], found["promises"]["more"]["presence"]) == (False, "added")
    assert "more (added)" in compare.run(more).out


def test_a_narrower_opening_leaves_cycles_out_and_is_no_removal(compare: Comparer) -> None:
    """The promise is in both books; what it does not open any more is counted as such."""
    found = compare.found(NOW.replace("when: {event: answered}", "when: {event: answered, where: {kind: letter}}"))
    assert found["promises"]["thanks"]["presence"] == "both"
    assert changes(found["promises"]["thanks"]) == {("breached", "not opened"): 3}


def test_subjects_are_told_by_audience_and_each_once(compare: Comparer) -> None:
    """A late fulfilment was a breach too; two broken promises on one order tell its customer once."""
    then = NOW.replace("audience: employee", "audience: [customer, employee]").replace(
        "expect: {event: thanked}}", "expect: {event: thanked}, breach: {audience: customer}}"
    )
    told = {one.pop("audience"): one for one in compare.found(then)["told"]}
    assert told == {
        "customer": {"now": 0, "then": 4, "newly": 4, "no_longer": 0},
        "employee": {"now": 2, "then": 2, "newly": 0, "no_longer": 0},
        "none named": {"now": 3, "then": 0, "newly": 0, "no_longer": 3},
    }


def test_another_audience_alone_is_a_difference(compare: Comparer) -> None:
    """Every cycle is judged alike, and somebody else would hear of it."""
    found = compare.found(NOW.replace("audience: employee", "audience: operator"))
    assert found["promises"]["answer"]["alike"] == 5
    assert found["equal"] is False


def test_the_table_shows_each_kind_of_change_with_subjects(compare: Comparer) -> None:
    """Verdicts, dues and audiences, for people."""
    run = compare.run(NOW.replace("{event: asked}, due: {within: 1h}", "{event: asked}, due: {within: 30m}"))
    assert run.code == 0, run.err
    lines = [line.split() for line in run.out.splitlines()]
    assert lines[:2] == [["now:", str(compare.now)], ["then:", str(compare.then)]]
    assert ["answer", "kept", "fulfilled_late", "1", "later"] in lines
    assert ["open", "breached", "1", "open"] in lines
    assert ["thanks", "the", "same", "status", "3"] in lines
    assert "30 min" in run.out
    assert "late: 2026-04-30T11:00:00.000Z -> 2026-04-30T10:30:00.000Z" in run.out
    assert ["employee", "2", "4", "2", "0"] in lines


def test_a_line_that_neither_book_can_use_is_counted_and_shown_once(compare: Comparer) -> None:
    """As without --against: file, line and reason, the rest is judged, and the exit code is 65."""
    compare.recording.write_text("\n".join(["{broken", *EVENTS]) + "\n")
    found = compare.found(NOW, code=65)
    assert found["lines"] == {"read": 9, "later": 0, "unknown": 0, "bad": 1}
    assert found["promises"]["answer"]["alike"] == 5
    run = compare.run(NOW)
    assert run.err.count(f"{compare.recording}:1: bad_json") == 1
    assert "1 bad line" in run.err


def test_a_line_that_one_book_can_use_says_which_cannot(compare: Comparer) -> None:
    """It is a bad line all the same: what is compared there is not what the events say."""
    then = NOW.replace("time: at", "time: when")
    run = compare.run(then, "--output", "json", compare.recording)
    assert run.code == 65
    assert json.loads(run.out)["lines"]["bad"] == 8
    assert f"{compare.recording}:1: by {compare.then}: missing_time: time 'when' is missing" in run.err
    assert run.err.count(f"{compare.recording}:1: ") == 1


def test_a_source_that_the_other_book_lacks_is_one_message(compare: Comparer) -> None:
    """It names the book that cannot read the recording."""
    run = compare.run(NOW.replace("shop:", "store:"), f"shop={compare.recording}")
    assert (run.code, run.out) == (66, "")
    assert f"{compare.then}: " in run.err
    assert "the book's sources are store" in run.err


def test_errors_of_the_other_book_are_shown_with_their_place(compare: Comparer) -> None:
    """File, line and column, as lint shows them."""
    run = compare.run(NOW.replace("within: 1h", "within: soon", 1))
    assert (run.code, run.out) == (65, "")
    assert f"{compare.then}:5:" in run.err


def test_the_handbook_shows_what_the_command_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example in docs/operations.md is the real thing."""
    monkeypatch.chdir(ROOT)
    handbook = (ROOT / "docs" / "operations.md").read_text()
    (command, _, printed) = (
        handbook.split("$ promisewatch backtest ", 1)[1].split("```", 1)[0].partition("orders.jsonl\n")
    )
    arguments = [part for part in f"backtest {command}orders.jsonl".split() if part != "\\"]
    run = promisewatch(*arguments)
    assert run.code == 0, run.err
    assert [line.rstrip() for line in run.out.splitlines()] == printed.splitlines()
