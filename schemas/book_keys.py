"""What each key of a promise book means, a sentence each: for the JSON Schema, and so for editors, and the reference.

By the names of the spelling models of `schemas/book_spelling.py`; a test holds that none is missing and none is left.
"""

_MATCH = {
    "event": "The event type, or a list of types of which any one is meant.",
    "where": "Payload fields by dotted path, each with the one value it must have.",
    "if": "A condition in CEL that must be true; it sees `data`, `opened`, `type` and `time`.",
    "match": "Payload fields that must equal those of the opening event.",
}

MEANINGS: dict[str, dict[str, str]] = {
    "BookSpelling": {
        "sources": "Where the events come from, by a name of your own.",
        "defaults": "What sources and promises take where they say nothing themselves.",
        "calendars": "Opening days and hours, by a name of your own.",
        "promises": "What is promised.",
    },
    "SourceSpelling": {
        "topic": "The Kafka topic of the events.",
        "format": "How an event is written. `cloudevents` and `debezium` have an envelope that says all else.",
        "id": "Path of the event's id: text or a whole number, unique within the source. Required with `json`.",
        "type": "Path of the event's type, or `{const: name}` where all are of one. Required with `json`.",
        "time": "Path of when it happened: RFC 3339; without offset in the zone of `defaults`. Required with `json`.",
        "data": "Path of the payload: with `json` the whole event if left out, with `debezium` the row.",
        "events": "Every type that this source can send: others in a promise are refused as misspelt.",
        "settle": "How late the source may publish an event (default: that of `defaults`).",
        "frontier": "Who says how far the source is complete: the clock, or markers that the producer sends.",
        "heartbeat": "How long the source is silent at most while it is well; past it, what it may send is not judged.",
        "doubt": "When so much of it is bad that what it may send is not judged.",
        "withdraws": (
            "Path of the id of an earlier event of this source that this event takes back; "
            "with `cloudevents` a path of the payload."
        ),
    },
    "DoubtSpelling": {
        "dead_letters": "So many events that nobody can read bring the source into doubt (`never`: none do).",
        "late": "So many facts later than `settle` bring it into doubt (`never`: none do).",
        "share": "Only if they are at least this share of what the source has sent.",
        "window": "Within which they are counted, and for how long the source stays in doubt after the last of them.",
    },
    "DefaultsSpelling": {
        "timezone": "IANA zone of promises and of event times without an offset.",
        "key": "Path of the payload field that names the subject.",
        "settle": "How late a source may publish an event.",
        "skew": "How far clocks may differ: what is dated that much before an opening still belongs to it.",
        "retention": "How long after its due a settled cycle is kept; so long a broken one may still be fulfilled.",
        "orphan_ttl": "How long a fact waits for its opening to become known.",
    },
    "CalendarSpelling": {
        "days": "The weekdays on which it is open.",
        "hours": "From when until when; hours such as `22:00-06:00` end on the next day.",
        "holidays": "Closed on the public holidays of this country (ISO 3166, such as `NL`), or part of it (`DE-BY`).",
        "add": "Further days on which it is closed.",
        "remove": "Days on which it is open though they are public holidays.",
        "timezone": "IANA zone of its hours (default: that of the promise).",
    },
    "MatchSpelling": _MATCH,
    "WhenSpelling": {
        "event": "The event type that opens the promise, or a list of types of which any one does.",
        "where": _MATCH["where"],
        "if": "A condition in CEL that must be true; it sees `data`, `type` and `time`.",
        "field": "The status field of `enter`.",
        "enter": "Opens only when `field` takes on one of these values, coming from another one.",
        "breach_of": "The promise, about the same subject, whose breach opens this one.",
        "again": "Each further opening starts a cycle of its own; without it only the first ever counts.",
    },
    "DueSpelling": {
        "within": "So much time after the opening; with `calendar` open time; before it if negative (needs `early`).",
        "plus": "So many days after the day of the opening.",
        "unit": "What `plus` counts.",
        "cutoff": "From this time of day on an opening counts for the next open day of `of`.",
        "of": "The calendar of the cut-off.",
        "calendar": "Counts open time (`within`) or open days (`plus`) only.",
        "at": "The time of the due day; without it the local time of the opening (`plus`), or the day's end (`field`).",
        "field": "The payload field of the opening that holds the due: an instant, or a date.",
        "offset": "So long after (or before) what `field` says.",
    },
    "ExpectSpelling": {
        **_MATCH,
        "event": "The event type that keeps the promise, or a list of types of which any one does.",
        "count": "How many such events it takes.",
        "distinct": "They count only with different values of this payload field.",
        "early": "A fulfilment dated before the opening counts too, however long before.",
        "shared": "One event may keep several cycles.",
        "leave": "Kept when this payload field, in an event of the opening's type, takes on another value.",
        "holds": "Kept when this condition in CEL is true of the newest events of the names in `from`.",
        "from": "The names in `holds`, and the event type that each stands for.",
    },
    "ForbidSpelling": {
        **_MATCH,
        "event": "The event type that must not come, or a list of types of which none must.",
        "count": "Which such event breaks the promise: 2 allows one.",
    },
    "PauseSpelling": {
        **_MATCH,
        "event": "The event type that starts the pause, or a list of types of which any one does.",
        "until": "What ends it.",
        "max": "The longest it may last; then it ends by itself.",
    },
    "RepromiseSpelling": {
        **_MATCH,
        "event": "The event type that promises again, or a list of types of which any one does.",
        "field": "The payload field of that event that holds the new due: an instant, or a date.",
        "max": "How often the due may be moved.",
    },
    "BreachSpelling": {
        "severity": "How bad a breach is.",
        "audience": "Whom a breach concerns.",
        "template": "A name for what to tell them, for your own notifier.",
        "group_by": "Payload fields of the opening that the breach event carries, so that breaches can be grouped.",
        "impact": "CEL over the opening: what the breach is worth, a number or text that the breach event carries.",
    },
    "PromiseSpelling": {
        "id": "Its name: part of the ids of all events about it, so it never changes.",
        "version": "Which text of the promise this is; several versions stand in the book side by side.",
        "effective_from": "The instant or day from which openings fall under this version (default: ever).",
        "title": "What it is called in messages to people (default: the id).",
        "owner": "Who answers for it.",
        "journey": "The customer journey it belongs to.",
        "step": "The step of that journey.",
        "key": "Path of the payload field that names the subject (default: that of `defaults`).",
        "timezone": "IANA zone in which its dues are computed (default: that of `defaults`).",
        "when": "What opens it.",
        "due": "Until when.",
        "expect": "What keeps it.",
        "forbid": "What must not happen.",
        "until": "What allows the forbidden from then on.",
        "not_before": "Payload field with the instant before which a fulfilment does not count.",
        "pause": "While what its due stands still.",
        "release": "What ends it without a breach.",
        "repromise": "What gives it a new due.",
        "warn": "When to say that it is at risk: so long before the due (`-6h`), or past a share of the time (`80%`).",
        "retention": "How long after its due a settled cycle is kept (default: that of `defaults`).",
        "orphan_ttl": "How long a fact waits for its opening to become known (default: that of `defaults`).",
        "breach": "What a breach means to people.",
    },
}


def described(name: str, schema: dict[str, object]) -> dict[str, object]:
    """A construct's JSON Schema with what each key means. Raises KeyError for a key that has no meaning yet."""
    properties = schema.get("properties")
    assert isinstance(properties, dict), "a construct is a mapping"
    return {
        **schema,
        "properties": {key: {**value, "description": MEANINGS[name][key]} for key, value in properties.items()},
    }
