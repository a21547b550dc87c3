"""The examples in `schemas/asyncapi.yaml` are what the detector publishes of the story they tell."""

import json

from schemas import samples
from schemas.encoding import encode_event
from schemas.publications import AT_RISK, BREACHED, FULFILLED_LATE, RETRACTED
from tests.promises.builders import Partition, book, fact

NEXT_DAY = """
- id: next-day
  version: 2
  title: Ordered before 18:00, delivered the next working day
  when: {event: order.placed, where: {speed: next}}
  due: {cutoff: "18:00", of: warehouse, plus: 1, unit: day, calendar: carrier, at: end_of_day}
  expect: {event: parcel.delivered}
  warn: [-6h]
  breach: {severity: high, group_by: carrier, impact: opened.amount}
"""


def test_the_examples_are_what_the_detector_says():
    """Ids, revisions, instants and sentences included: an example that no consumer will ever see would mislead."""
    partition = Partition(book(NEXT_DAY))
    partition.learn(
        fact("order.placed", "2026-04-24 17:59:59", "e-1001", speed="next", carrier="northern", amount=19.95),
        about=samples.SUBJECT,
    )
    (at_risk,) = partition.frontier("2026-04-25 18:00:00")
    (breached,) = partition.frontier("2026-04-26 00:00:00")
    (late,) = partition.learn(fact("parcel.delivered", "2026-04-26 10:00:00", "e-1044"), about=samples.SUBJECT)
    (retracted,) = partition.learn(fact("parcel.delivered", "2026-04-25 18:20:00", "e-1043"), about=samples.SUBJECT)
    told = {AT_RISK: at_risk, BREACHED: breached, FULFILLED_LATE: late, RETRACTED: retracted}
    assert told.keys() == samples.PUBLISHED.keys()
    for kind, said in told.items():
        sample, detected = samples.PUBLISHED[kind]
        assert json.loads(encode_event(sample, detected, "live")) == json.loads(encode_event(said, detected, "live"))
        assert sample.outcome_id == said.outcome_id
