"""The worked examples of the promise language: all in one book, and each in one of its own.

An example that follows the breach of another brings that one along.
"""

# ruff: noqa: E501 - the spelling is the contract: it stays as it is

import re
from functools import cache

from schemas.book import Book, parse_book

SOURCE = """\
sources:
  shop: {topic: shop.events, format: json, id: event_id, type: type, time: occurred_at}
"""

COMMON = """\
defaults: {timezone: Europe/Amsterdam, settle: 2m, skew: 5m, key: order_id}
calendars:
  warehouse: {days: [mon, tue, wed, thu, fri, sat], hours: "00:00-24:00", holidays: NL}
  carrier:   {days: [mon, tue, wed, thu, fri, sat], hours: "00:00-24:00", holidays: NL, remove: ["2026-04-03"], add: ["2026-12-31"]}   # delivers on Good Friday, not on New Year's Eve
  office:    {days: [mon, tue, wed, thu, fri], hours: "09:00-17:00", holidays: NL, timezone: Europe/Amsterdam}
"""

PROMISES = """\
- {id: next-day, when: {event: order.placed, where: {speed: next}}, due: {cutoff: "18:00", of: warehouse, plus: 1, unit: day, calendar: carrier, at: end_of_day},
   expect: {event: parcel.delivered}, release: {event: order.cancelled}, warn: [-6h]}
- {id: pickup-2d, when: {event: order.shipped, where: {method: pickup}}, due: {plus: 2, unit: day, calendar: carrier, at: end_of_day}, expect: {event: parcel.at_pickup}}
- {id: confirm-15m, when: {event: order.placed}, due: {within: 15m}, expect: {event: message.sent, where: {kind: confirmation}}}
- {id: confirm-mutation, key: customer_id, when: {event: mutation.accepted, again: true}, due: {within: 1h}, expect: {event: message.sent, where: {kind: mutation}, match: [mutation_id]}}
- {id: stuck-4h, when: {event: order.status, field: status, enter: [paid, picking], again: true}, due: {within: 4h}, expect: {leave: status}}
- {id: two-sims, when: {event: appointment.made, if: "data.sims == 2"}, due: {field: slot_end}, not_before: slot_start,
   expect: {event: sim.delivered, count: 2, distinct: sim_id}, repromise: {event: appointment.moved, field: slot_end, max: 1}}
- {id: told-before-visit, when: {event: appointment.made}, due: {field: slot_start, offset: -24h}, expect: {event: message.sent, where: {kind: visit_info}},
   repromise: {event: appointment.moved, field: slot_start, max: 3}}
- {id: debit-notice, key: invoice_id, when: {event: debit.executed, again: true}, due: {within: -3d}, expect: {event: message.sent, where: {kind: debit_notice}, early: true}}
- {id: no-dunning, key: invoice_id, when: {event: correction.agreed}, forbid: {event: dunning.sent}, until: {event: invoice.corrected}, due: {plus: 60, unit: day}}
- {id: charged-once, key: subscription_id, when: {event: payment.charged, again: true}, forbid: {event: payment.charged}, due: {plus: 27, unit: day}}
- {id: same-price, when: {event: payment.charged}, due: {within: 10m}, expect: {holds: "p.cents == q.cents", from: {p: payment.charged, q: quote.accepted}}}
- {id: same-address, key: customer_id, when: {event: [oms.address, crm.address, carrier.address], again: true}, due: {within: 1h},
   expect: {holds: "o.addr == c.addr && c.addr == k.addr", from: {o: oms.address, c: crm.address, k: carrier.address}}}
- {id: callback, key: case_id, when: {event: callback.agreed}, due: {field: slot_end}, not_before: slot_start, expect: {event: call.connected},
   repromise: {event: message.sent, where: {kind: callback_moved}, field: slot_end, max: 1}}
- {id: complaint-ack, key: case_id, when: {event: complaint.received}, due: {plus: 1, unit: day, calendar: office, at: closing}, expect: {event: complaint.acked}}
- {id: complaint-10bd, key: case_id, when: {event: complaint.received}, due: {plus: 10, unit: day, calendar: office, at: closing},
   expect: {event: complaint.resolved}, pause: {event: info.requested, until: info.received, max: 30d}}
- {id: handover-4h, key: case_id, when: {event: agreement.made, where: {channel: social}}, due: {within: 4h, calendar: office}, expect: {event: agreement.booked}}
- {id: no-third-call, key: case_id, when: {event: contact.started}, forbid: {event: contact.started, count: 2}, due: {plus: 14, unit: day}}
- {id: cancel-everywhere, when: {event: order.cancelled}, due: {within: 1h}, expect: {event: cancellation.confirmed, count: 2, distinct: system}}
- {id: refund-14d, when: {breach_of: next-day}, due: {plus: 14, unit: day, at: end_of_day}, expect: {event: refund.paid}, release: {event: parcel.delivered}}
"""

_NEEDS = {"refund-14d": ("next-day",)}
"""Which other promises an example speaks about."""

EXAMPLES: dict[str, str] = {
    re.findall(r"id: ([a-z0-9-]+)", text)[0]: text for text in re.split(r"(?m)^(?=- )", PROMISES) if text
}
"""Each promise as it is written, by its id."""


def text_of(promise_id: str) -> str:
    """The YAML of a book with this worked example, and those it speaks about."""
    wanted = (*_NEEDS.get(promise_id, ()), promise_id)
    return SOURCE + COMMON + "promises:\n" + "".join(EXAMPLES[each] for each in wanted)


def whole() -> str:
    """The YAML of the book with all of them: promises about orders, customers, invoices, cases and subscriptions."""
    return SOURCE + COMMON + "promises:\n" + PROMISES


@cache
def book_of(promise_id: str) -> Book:
    """That book, loaded."""
    return parse_book(text_of(promise_id), f"{promise_id}.yaml")
