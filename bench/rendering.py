"""The last figures, as Markdown between two markers of README.md."""

from pathlib import Path

from bench.results import Part, goal_line, load

README = Path(__file__).parent / "README.md"
BEGIN = "<!-- figures: begin; written by `make bench` -->"
END = "<!-- figures: end -->"
ORDER = (
    "throughput", "before", "transactions", "burst", "running", "recovery", "delay", "profile", "promises",
    "conditions", "state", "calendars",
)  # fmt: skip


def write() -> None:
    """Put the figures of results/latest.json between the markers. Raises ValueError if a marker is missing."""
    text = README.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{README}: found no pair of markers, expected {BEGIN} and {END}")
    parts = load()
    names = [name for name in ORDER if name in parts] + sorted(set(parts) - set(ORDER))
    body = "\n".join(markdown(parts[name]) for name in names)
    README.write_text(f"{before}{BEGIN}\n\n{body}\n{END}{after}")


def markdown(part: Part) -> str:
    """One part as a section."""
    lines = [f"### {part.title}", "", _row(part.columns), _row(["---", *["---:"] * (len(part.columns) - 1)])]
    lines += [_row(row) for row in part.rows]
    lines += ["", *(f"- {goal_line(goal)}" for goal in part.goals)]
    lines += [f"- {note}" for note in part.notes]
    where = f"{part.at}, {part.machine}, load average before and after {part.load[0]} and {part.load[1]}"
    lines += [f"- measured {where}, {part.rounds} round{'s' if part.rounds != 1 else ''}, commit {part.commit}", ""]
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
