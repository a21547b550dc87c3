"""Conditions in CEL: what is refused when they are compiled, what they look at, and that no event can do harm."""

# ruff: noqa: E501 - a row of a table stays one line

import pickle
import time

import pytest

from schemas.cel_syntax import Look, looks_of
from schemas.conditions import (
    CHARACTERS_MAX,
    RESULTS_REMEMBERED_MAX,
    ConditionError,
    Variables,
    compile_condition,
)
from schemas.instants import parse_instant

EVENT = Variables(("data", "opened"))
AGREE = Variables(("p", "q"), event=False)


def holds(text, data=None, opened=None, kind="e", at="2026-05-01T12:00:00Z"):
    variables = {"data": data or {}, "opened": opened or {}, "type": kind, "time": parse_instant(at, None)}
    return compile_condition(text, EVENT).holds(variables)


def value(text, **data):
    return compile_condition(text, EVENT, "amount").value({"data": data})


@pytest.mark.parametrize(
    ("text", "data", "expected"),
    [
        ("data.sims == 2", {"sims": 2}, True),
        ("data.sims == 2", {"sims": 2.0}, True),
        ("data.sims == 2", {"sims": "2"}, False),
        ("data.sims == 2", {"sims": True}, False),
        ("data.sims == 2", {"sims": None}, False),
        ("data.sims == null", {"sims": None}, True),
        ("data.sims == true", {"sims": True}, True),
        ("data.sims == true", {"sims": 1}, False),
        ("data.sims > 1 && data.name.startsWith('A')", {"sims": 2, "name": "Ann"}, True),
        ('data["item"].sku == "x"', {"item.sku": "x"}, True),
        ("data.item.sku == 'x' && data.item.size.cm > 3", {"item.sku": "x", "item.size.cm": 4}, True),
        ("data.tags.exists(t, t == 'new')", {"tags": ["old", "new"]}, True),
        ("data.items.all(i, i.cents > 0)", {"items": [{"cents": 1}, {"cents": 0}]}, False),
        ("size(data.tags) == 2", {"tags": ["a", "b"]}, True),
        ("data.kind in ['a', 'b']", {"kind": "b"}, True),
        ("data.mail.matches('.*@example[.]org')", {"mail": "a@example.org"}, True),
        ("timestamp(data.at) > timestamp('2026-01-01T00:00:00Z')", {"at": "2026-02-01T00:00:00Z"}, True),
        ("has(data.vip)", {"vip": False}, True),
        ("has(data.vip)", {}, False),
        ("!has(data.person.vip)", {}, True),
        ("has(data.vip) && data.vip == true", {}, False),
    ],
)  # fmt: skip
def test_a_condition_is_true_or_false(text, data, expected):
    """Numbers by their value, text and booleans by their kind; nested fields as facts hold them, by dotted path."""
    assert holds(text, data) is expected


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("data.sims == 2", {}),
        ("!(data.sims == 2)", {}),
        ("data.sims > 2", {"sims": "3"}),
        ("data.item.sku == 'x'", {"item": {"sku": "x"}}),  # facts hold it under "item.sku"
        ("data.sims / data.zero == 1", {"sims": 1, "zero": 0}),
        ("data.sims + 1 > 0", {"sims": 2**63 - 1}),
        ("data.sims == 1", {"sims": 2**64}),
        ("timestamp(data.at) > time", {"at": "soon"}),
        ("data.name.matches(data.pattern)", {"name": "a", "pattern": "("}),
        ("data.tags.exists(t, t == 1)", {"tags": 5}),
        ("data.name == 'a'", {"name": "\ud800"}),
        ("data.n == 1", {"n": object()}),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_neither_true_nor_false(text, data):
    """The library would give an error whose text passes for true; nothing of the kind gets out, and nothing is raised."""
    assert holds(text, data) is None


def test_a_missing_key_is_settled_by_what_is_known():
    """As CEL has it: `or` with something true is true, `and` with something false is false, whatever is missing."""
    assert holds("data.a == 1 || data.b == 1", {"b": 1}) is True
    assert holds("data.a == 1 && data.b == 1", {"b": 2}) is False
    assert holds("data.a == 1 || data.b == 1", {"b": 2}) is None


def test_a_condition_sees_the_opening_the_type_and_the_time():
    """`type` is the event's, not CEL's own, which is still there as a function."""
    assert holds("data.n > opened.n", {"n": 2}, {"n": 1}) is True
    assert holds("type == 'order.placed'", kind="order.placed") is True
    assert holds("type(data.n) == int && type == 'e'", {"n": 1}) is True
    assert holds("time < timestamp('2026-05-01T12:00:00.001Z')") is True
    assert holds("time.getHours('Europe/Amsterdam') == 14") is True
    assert compile_condition("opened.n == 1", EVENT).holds({"data": {}}) is None


def test_a_time_that_no_calendar_has_makes_a_condition_untellable():
    """Years before 1 and after 9999 are no timestamps."""
    condition = compile_condition("time > timestamp('2026-01-01T00:00:00Z')", EVENT)
    assert condition.holds({"type": "e", "time": 10**17}) is None
    assert condition.holds({"type": "e", "time": 10**30}) is None


def test_values_agree_over_aliases():
    """Each is the payload of the newest such event."""
    condition = compile_condition("p.cents == q.cents", AGREE)
    assert condition.holds({"p": {"cents": 5}, "q": {"cents": 5}}) is True
    assert condition.holds({"p": {"cents": 5}, "q": {"cents": 6}}) is False
    assert condition.holds({"p": {"cents": 5}}) is None
    assert condition.fields == {"p": frozenset({"cents"}), "q": frozenset({"cents"})}


@pytest.mark.parametrize(
    ("text", "data", "expected"),
    [
        ("data.cents", {"cents": 1250}, 1250),
        ("data.cents / 100.0", {"cents": 12.5}, 0.125),
        ("double(data.cents) / 100.0", {"cents": 1250}, 12.5),
        ("data.currency + ' ' + string(data.cents)", {"currency": "EUR", "cents": 5}, "EUR 5"),
        ("data.vip ? 'many' : 'few'", {"vip": True}, "many"),
        ("data.cents", {}, None),
        ("data.cents", {"cents": None}, None),
        ("data.cents", {"cents": True}, None),
        ("data.cents", {"cents": [1]}, None),
        ("1.0 / data.cents", {"cents": 0.0}, None),
        ("data.cents + 1", {"cents": "x"}, None),
    ],
)  # fmt: skip
def test_an_impact_is_a_number_or_text(text, data, expected):
    """Anything else, an error's own text above all, is no amount."""
    found = value(text, **data)
    assert (found, type(found)) == (expected, type(expected))


WHOLE = "found 'data' as a whole, expected its fields: data.x, data[\"x\"] or has(data.x)"
LOOP = "found a loop in the body or range of another one, expected one loop at a time"
KNOWN = "known are data, opened, type, time"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data.x + 1", ["found a condition that gives a number, expected true or false"]),
        ("data.x", ["found a condition that gives whatever the field holds, expected true or false; compare it: data.x == true"]),
        ("time", ["found a condition that gives an instant, expected true or false"]),
        ("[data.x]", ["found a condition that gives list<dyn>, expected true or false"]),
        ('1 == "a"', ["not valid CEL at character 3: found no matching overload for '_==_' applied to '(int, string)'"]),
        ("type == 1", ["not valid CEL at character 6: found no matching overload for '_==_' applied to '(string, int)'"]),
        ("dta.x == 1", [f"not valid CEL at character 4: undeclared reference to 'dta.x'; {KNOWN}"]),
        ("data.x == 1 &&\n dta.y == 2", [f"not valid CEL at character 5 of line 2: undeclared reference to 'dta.y'; {KNOWN}"]),
        ("foo(data.x)", [f"not valid CEL at character 4: undeclared reference to 'foo'; {KNOWN}"]),
        ("data.?x == 1", ["not valid CEL at character 1: unsupported syntax '.?'"]),
        ("data == opened", [WHOLE, WHOLE.replace("data", "opened")]),
        ("data[type] == 1", [WHOLE]),
        ("'x' in data", [WHOLE]),
        ("size(data) > 0", [WHOLE]),
        ("data.exists(k, k == 'x')", [WHOLE]),
        ('data["a.b"] == 1', ["found the field 'a.b' of 'data', expected a name without a dot"]),
        ('data[""] == 1', ["found the field '' of 'data', expected a name without a dot"]),
        ("true", [f"found a condition that looks at no event, expected one about {KNOWN.removeprefix('known are ')}"]),
        ("[1].exists(data, data == 1)", [f"found a condition that looks at no event, expected one about {KNOWN.removeprefix('known are ')}"]),
        ("data.a.exists(x, data.b.exists(y, x == y))", [LOOP]),
        ("data.a.map(x, x + x).map(x, x + x) == []", [LOOP]),
        ("data.a.filter(x, x > 1).exists(x, x > 2)", [LOOP]),
        ("data.x == '\ud800'", ["found a character that is none in Unicode, expected text"]),
        ("(" * 40 + "data.x == 1" + ")" * 40, ["not valid CEL: Expression recursion limit exceeded. limit: 32"]),
        ("data.x == 1 || " * 70 + "true", ["found a condition of 1054 characters, expected at most 1000"]),
    ],
)  # fmt: skip
def test_what_is_no_condition_is_refused_when_it_is_compiled(text, expected):
    """With CEL's own words where they are CEL's, and the character they are about."""
    with pytest.raises(ConditionError) as refusal:
        compile_condition(text, EVENT)
    assert refusal.value.problems == expected


def test_where_values_agree_an_event_has_no_type():
    """`type` is a name of CEL's own there, which would compare with nothing."""
    with pytest.raises(ConditionError, match="found 'type', which is none of an event here; known are p, q"):
        compile_condition("p.x == type", AGREE)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("data.a == 1", {"data": {"a"}}),
        ('data.a.b == 1 && data["a"]["c"] == 2', {"data": {"a.b", "a.c"}}),
        ("has(data.a.b)", {"data": {"a.b"}}),
        ("data.a == opened.b.c", {"data": {"a"}, "opened": {"b.c"}}),
        ("data.a.b == 1 && has(data.a)", {"data": {"a"}}),
        ("data.items[0].sku == 'x'", {"data": {"items"}}),
        ("data.items[data.n].sku == 'x'", {"data": {"items", "n"}}),
        ("data.items.exists(i, i.sku == opened.sku)", {"data": {"items"}, "opened": {"sku"}}),
        ("data.x.exists(data, data.y == 1)", {"data": {"x"}}),
        ("type == 'a' || time == timestamp(data.at)", {"data": {"at"}}),
        ("{'a': data.b}.a == 1", {"data": {"b"}}),
        ("data.f ? data.g == 1 : -data.h > 2.5", {"data": {"f", "g", "h"}}),
        ("data.größe == 1", None),
        ('data["größe"] == 1', {"data": {"größe"}}),
    ],
)  # fmt: skip
def test_a_condition_tells_which_fields_it_looks_at(text, fields):
    """Only these are stored with a fact; an object that is looked at as a whole comes with its members."""
    if fields is None:
        with pytest.raises(ConditionError):
            compile_condition(text, EVENT)
    else:
        assert compile_condition(text, EVENT).fields == fields


def test_looking_is_told_per_place_and_loop():
    """What is looked at in a loop costs as often as the loop turns."""
    from cel_expr_python import cel

    environment = cel.NewEnv(variables={"data": cel.Type.Map(cel.Type.STRING, cel.Type.DYN)})
    looks = looks_of(environment.compile("data.l.exists(i, i == data.n) && data.l.all(i, i > 1)").serialize())
    assert looks.found == [
        Look("data", ("l",), in_loop=False), Look("data", ("n",), in_loop=True), Look("data", ("l",), in_loop=False),
    ]  # fmt: skip
    assert (looks.loops, looks.depth) == (2, 1)


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("data.l.exists(x, x == -1)", {"l": list(range(100_000))}),
        ("data.l.map(x, data.l).size() > 0", {"l": list(range(9_000))}),
        ("data.l.all(x, " + " || ".join(["x in data.m"] * 60) + ")", {"l": list(range(9_000)), "m": list(range(9_000))}),
        ("size(" + "+".join(["data.s"] * 25) + ") == 0", {"s": "x" * 100_000_000}),
        ("data.l.map(x, data.s + data.s).size() > 0", {"l": list(range(1_000)), "s": "x" * 1_000_000}),
        ("data.o == data.o", {"o": [[0] * 1000] * 1001}),
        ("data.o == data.o", {"o": nested(50_000)}),
    ],
)  # fmt: skip
def test_an_evaluation_is_bounded(text, data):
    """A large event cannot stop a worker: it makes the condition untellable, at once."""
    condition = compile_condition(text, EVENT)
    start = time.process_time()
    assert condition.holds({"data": data}) is None
    assert time.process_time() - start < 0.5


def test_a_large_but_honest_list_is_looked_through():
    """Two thousand order lines are no attack."""
    lines = [{"sku": f"s{number}", "count": 1} for number in range(2_000)]
    assert holds("data.lines.exists(l, l.sku == opened.sku)", {"lines": lines}, {"sku": "s1999"}) is True


def test_results_are_remembered_by_value_and_kind():
    """The same facts are judged again and again; 1, 1.0 and true are one key to a dict, and not one value to CEL."""
    condition = compile_condition("type(data.n) == int", EVENT)
    assert [condition.holds({"data": {"n": n}}) for n in (1, True, 1.0, 1)] == [True, False, False, True]
    zero = compile_condition("1.0 / data.n > 0.0", EVENT)
    assert [zero.holds({"data": {"n": n}}) for n in (0.0, -0.0, 0.0)] == [True, False, True]
    missing = compile_condition("data.n == null", EVENT)
    assert [missing.holds({"data": data}) for data in ({"n": None}, {}, {"n": None})] == [True, None, True]


def test_what_is_remembered_is_bounded():
    """Past the bound the memory starts anew, and answers stay right."""
    condition = compile_condition("data.n % 2 == 0", EVENT)
    for n in range(2 * RESULTS_REMEMBERED_MAX + 10):
        assert condition.holds({"data": {"n": n}}) is (n % 2 == 0)
    assert len(condition._results) <= RESULTS_REMEMBERED_MAX


def test_conditions_are_equal_by_what_they_say():
    """Two readings of one book are the same book; and a book can be handed to another process."""
    one, other = compile_condition("data.n == 1", EVENT), compile_condition("data.n == 1", EVENT)
    assert (one == other, hash(one) == hash(other), repr(one)) == (True, True, "Condition('data.n == 1')")
    assert one != compile_condition("data.n == 2", EVENT)
    assert one != compile_condition("data.n == 1", Variables(("data",)))
    assert pickle.loads(pickle.dumps(one)) == one


def test_the_longest_condition_is_still_one():
    """The bound is on the text as it is written."""
    text = "data.x == 1 || "
    text *= CHARACTERS_MAX // len(text) - 1
    assert holds(text + "data.y == 1", {"y": 1}) is True
