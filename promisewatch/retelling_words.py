"""What `promisewatch explain --facts` prints for people."""

from promises.civil import Civil
from promises.wording import moment_text, subject_text
from promisewatch.console import stdout
from promisewatch.lint import counted
from promisewatch.retelling import CycleTold, History, PromiseTold
from schemas.instants import parse_instant

STYLES = {"breached": "bold red", "fulfilled_late": "bold yellow", "kept": "bold green"}
REFUSED_NAMED_MAX = 5


def show_history(found: History) -> None:
    """A section a promise that has something to tell, and one line for all others."""
    noticed = "".join(f", {count} {reason}" for reason, count in found.counted.items())
    stdout.print(f"{subject_text(**found.subject)}: {counted(found.facts, 'event')}{noticed}", style="bold")
    complete = "the recording is complete" if found.at is None else f"as known at {found.at}"
    stdout.print(f"{complete}: everything before {found.frontier} is known")
    for event in found.taken_back:
        stdout.print(f"taken back: {event['type']} {event['id']} of {event['time']}")
    silent = []
    for promise in found.promises:
        if promise.cycles or promise.refused:
            show_promise(promise)
        else:
            silent.append(promise.promise)
    if silent:
        stdout.print(f"\nNothing here opens {', '.join(silent)}.")


def show_promise(promise: PromiseTold) -> None:
    title = "" if promise.title == promise.promise else f": {promise.title}"
    stdout.print(f"\n{promise.promise}{title}", style="bold")
    for cycle in promise.cycles:
        show_cycle(cycle)
    for reason, count in promise.not_opened.items():
        refused = [one for one in promise.refused if one.reason == reason]
        named = ", ".join(f"{one.event['type']} {one.event['id']}" for one in refused[:REFUSED_NAMED_MAX])
        more = ", ..." if count > REFUSED_NAMED_MAX else ""
        stdout.print(f"  opened nothing: {named}{more} ({count} {reason}): {refused[0].text}")


def show_cycle(cycle: CycleTold) -> None:
    """The verdict, then the steps in local time, then what is to come and what has been published."""
    version = "" if cycle.version == 1 else f"version {cycle.version}, "
    stdout.print(f"  {version}{cycle.cycle}: {cycle.text}", style=STYLES.get(cycle.status, "bold"))
    civil = Civil(cycle.timezone)
    for step in cycle.steps:
        stdout.print(f"    {moment_text(civil, parse_instant(step.at, None))}  {step.text}")
        for detail in step.details:
            stdout.print(f"      - {detail}")
    rows = []
    if cycle.due != cycle.first_due:
        rows.append(("due", f"{cycle.local['due']}, first promised for {cycle.local['first_due']}"))
    if cycle.paused != "0s":
        rows.append(("paused", f"for {cycle.paused} in all"))
    if cycle.awaited:
        rows.append(("awaited", cycle.awaited))
    if cycle.proved_from:
        rows.append(("proved", f"what does not come is proved from {cycle.proved_from} on"))
    rows += [("at risk", f"{warning['at']} ({warning['warn']})") for warning in cycle.warnings]
    rows += [("published", f"{one['kind']}: {one['text']}") for one in cycle.published if one["text"]]
    for name, text in rows:
        stdout.print(f"    {name + ':':<11}{text}")
