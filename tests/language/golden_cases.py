"""The golden cases of the promise language.

A case is a worked example, what happened in local time, and what each of its cycles comes to: status, and where it
matters due and instants.
"""

from typing import NamedTuple

THE_NEXT_DAY = "slot_start=2026-05-05T10:00:00 slot_end=2026-05-05T12:00:00"

Cycles = dict[str, str]


class Case(NamedTuple):
    """`story`: lines of "local time, event, id, field=value..."; `cycles`: by the opening's id, what it comes to."""

    example: str
    name: str
    story: list[str]
    cycles: Cycles


CASES = [
    Case(
        "next-day", "ordered before the cut-off on a Friday",
        ["2026-04-24 17:59:59  order.placed  o speed=next"],
        {"o": "breached due 2026-04-25 23:59:59.999"},
    ),
    Case(
        "next-day", "ordered at the cut-off on a Friday: Monday is King's Day",
        ["2026-04-24 18:00  order.placed  o speed=next"],
        {"o": "breached due 2026-04-28 23:59:59.999"},
    ),
    Case(
        "next-day", "ordered on Christmas Eve",
        ["2026-12-24 18:30  order.placed  o speed=next"],
        {"o": "breached due 2026-12-29 23:59:59.999"},
    ),
    Case(
        "next-day", "delivered in the last millisecond of the day",
        ["2026-04-24 17:59:59  order.placed  o speed=next", "2026-04-25 23:59:59.999  parcel.delivered  d"],
        {"o": "kept at 2026-04-25 23:59:59.999"},
    ),
    Case(
        "next-day", "delivered in the first millisecond of the next",
        ["2026-04-24 17:59:59  order.placed  o speed=next", "2026-04-26 00:00  parcel.delivered  d"],
        {"o": "fulfilled_late at 2026-04-26 00:00"},
    ),
    Case(
        "next-day", "cancelled by the customer",
        ["2026-04-24 17:00  order.placed  o speed=next", "2026-04-25 09:00  order.cancelled  x"],
        {"o": "released"},
    ),
    Case(
        "pickup-2d", "shipped on a Friday: Saturday is the first day, Tuesday the second",
        ["2026-04-24 12:00  order.shipped  s method=pickup"],
        {"s": "breached due 2026-04-28 23:59:59.999"},
    ),
    Case(
        "confirm-15m", "at exactly fifteen minutes",
        ["2026-04-24 12:00  order.placed  o", "2026-04-24 12:15  message.sent  m kind=confirmation"],
        {"o": "kept at 2026-04-24 12:15"},
    ),
    Case(
        "confirm-15m", "a second later",
        ["2026-04-24 12:00  order.placed  o", "2026-04-24 12:15:01  message.sent  m kind=confirmation"],
        {"o": "fulfilled_late due 2026-04-24 12:15 at 2026-04-24 12:15:01"},
    ),
    Case(
        "stuck-4h", "entered in the night in which the clocks go forward",
        ["2026-03-29 00:30  order.status  s status=paid"],
        {"s": "breached due 2026-03-29 05:30"},
    ),
    Case(
        "stuck-4h", "paid at ten, picking at three",
        [
            "2026-05-04 09:58  order.status  n status=new",
            "2026-05-04 10:00  order.status  a status=paid",
            "2026-05-04 15:00  order.status  b status=picking",
            "2026-05-04 16:00  order.status  c status=sent",
        ],
        {"a": "fulfilled_late due 2026-05-04 14:00 at 2026-05-04 15:00", "b": "kept at 2026-05-04 16:00"},
    ),
    Case(
        "stuck-4h", "the same status told again enters nothing",
        [
            "2026-05-04 10:00  order.status  a status=paid",
            "2026-05-04 13:00  order.status  b status=paid",
            "2026-05-04 13:30  order.status  c status=sent",
        ],
        {"a": "kept at 2026-05-04 13:30"},
    ),
    Case(
        "two-sims", "one SIM scanned twice",
        [
            "2026-05-04 10:00  appointment.made  a sims=2 slot_start=2026-05-06T09:00:00 slot_end=2026-05-06T12:00:00",
            "2026-05-06 10:00  sim.delivered  x sim_id=1",
            "2026-05-06 10:01  sim.delivered  y sim_id=1",
        ],
        {"a": "breached due 2026-05-06 12:00"},
    ),
    Case(
        "two-sims", "both SIMs, one of them before the slot",
        [
            "2026-05-04 10:00  appointment.made  a sims=2 slot_start=2026-05-06T09:00:00 slot_end=2026-05-06T12:00:00",
            "2026-05-06 08:59:59.999  sim.delivered  x sim_id=1",
            "2026-05-06 10:01  sim.delivered  y sim_id=2",
        ],
        {"a": "breached due 2026-05-06 12:00"},
    ),
    Case(
        "two-sims", "both SIMs in the slot",
        [
            "2026-05-04 10:00  appointment.made  a sims=2 slot_start=2026-05-06T09:00:00 slot_end=2026-05-06T12:00:00",
            "2026-05-06 09:00  sim.delivered  x sim_id=1",
            "2026-05-06 12:00  sim.delivered  y sim_id=2",
        ],
        {"a": "kept at 2026-05-06 12:00"},
    ),
    Case(
        "two-sims", "an appointment with one SIM promises nothing",
        ["2026-05-04 10:00  appointment.made  a sims=1 slot_start=2026-05-06T09:00:00 slot_end=2026-05-06T12:00:00"],
        {},
    ),
    Case(
        "two-sims", "the appointment is moved in time",
        [
            "2026-05-04 10:00  appointment.made  a sims=2 slot_start=2026-05-06T09:00:00 slot_end=2026-05-06T12:00:00",
            "2026-05-06 11:00  appointment.moved  m slot_start=2026-05-07T09:00:00 slot_end=2026-05-07T12:00:00",
            "2026-05-07 10:00  sim.delivered  x sim_id=1",
            "2026-05-07 10:00  sim.delivered  y sim_id=2",
        ],
        {"a": "kept due 2026-05-07 12:00 at 2026-05-07 10:00"},
    ),
    Case(
        "two-sims", "the appointment is moved after it was due",
        [
            "2026-05-04 10:00  appointment.made  a sims=2 slot_start=2026-05-06T09:00:00 slot_end=2026-05-06T12:00:00",
            "2026-05-06 13:00  appointment.moved  m slot_start=2026-05-07T09:00:00 slot_end=2026-05-07T12:00:00",
        ],
        {"a": "breached due 2026-05-06 12:00"},
    ),
    Case(
        "told-before-visit", "the visit is moved: told a day before the new slot",
        [
            "2026-05-01 10:00  appointment.made  a slot_start=2026-05-06T09:00:00",
            "2026-05-04 10:00  appointment.moved  m slot_start=2026-05-08T09:00:00",
            "2026-05-07 09:00  message.sent  i kind=visit_info",
        ],
        {"a": "kept due 2026-05-07 09:00 at 2026-05-07 09:00"},
    ),
    Case(
        "told-before-visit", "booked twenty hours ahead: nothing to be told in time",
        ["2026-05-05 13:00  appointment.made  a slot_start=2026-05-06T09:00:00"],
        {},
    ),
    Case(
        "charged-once", "charged on 1 May and on 20 May",
        ["2026-05-01 10:00  payment.charged  a", "2026-05-20 10:00  payment.charged  b"],
        {"a": "breached since 2026-05-20 10:00", "b": "kept"},
    ),
    Case(
        "charged-once", "charged on 1 May and on 1 June",
        ["2026-05-01 10:00  payment.charged  a", "2026-06-01 10:00  payment.charged  b"],
        {"a": "kept", "b": "kept"},
    ),
    Case(
        "no-third-call", "two calls are allowed, the third one is not",
        [
            "2026-05-01 10:00  contact.started  a",
            "2026-05-02 10:00  contact.started  b",
            "2026-05-03 10:00  contact.started  c",
        ],
        {"a": "breached since 2026-05-03 10:00"},
    ),
    Case(
        "no-third-call", "the second call breaks nothing",
        ["2026-05-01 10:00  contact.started  a", "2026-05-02 10:00  contact.started  b"],
        {"a": "kept"},
    ),
    Case(
        "no-dunning", "a reminder at the instant of the correction, and one after it",
        [
            "2026-05-01 10:00  correction.agreed  a",
            "2026-05-10 10:00  dunning.sent  d",
            "2026-05-10 10:00  invoice.corrected  i",
            "2026-05-11 10:00  dunning.sent  e",
        ],
        {"a": "kept"},
    ),
    Case(
        "no-dunning", "a reminder before the correction",
        [
            "2026-05-01 10:00  correction.agreed  a",
            "2026-05-10 09:59  dunning.sent  d",
            "2026-05-10 10:00  invoice.corrected  i",
        ],
        {"a": "breached since 2026-05-10 09:59"},
    ),
    Case(
        "confirm-mutation", "two mutations, one confirmation",
        [
            "2026-05-01 10:00  mutation.accepted  a mutation_id=m1",
            "2026-05-01 10:05  mutation.accepted  b mutation_id=m2",
            "2026-05-01 10:20  message.sent  c kind=mutation mutation_id=m2",
        ],
        {"a": "breached", "b": "kept at 2026-05-01 10:20"},
    ),
    Case(
        "confirm-mutation without match", "June's notice is missed, July's comes in time",
        [
            "2026-06-01 10:00  mutation.accepted  a",
            "2026-07-01 10:00  mutation.accepted  b",
            "2026-07-01 10:20  message.sent  c kind=mutation",
        ],
        {"a": "breached", "b": "kept at 2026-07-01 10:20"},
    ),
    Case(
        "debit-notice", "four days' notice",
        ["2026-05-16 12:00  message.sent  n kind=debit_notice", "2026-05-20 12:00  debit.executed  d"],
        {"d": "kept at 2026-05-16 12:00"},
    ),
    Case(
        "debit-notice", "two days' notice is a day late",
        ["2026-05-18 12:00  message.sent  n kind=debit_notice", "2026-05-20 12:00  debit.executed  d"],
        {"d": "fulfilled_late due 2026-05-17 12:00 at 2026-05-18 12:00"},
    ),
    Case(
        "same-price", "charged what was quoted",
        ["2026-05-01 10:00  quote.accepted  q cents=100", "2026-05-02 10:00  payment.charged  p cents=100"],
        {"p": "kept at 2026-05-02 10:00"},
    ),
    Case(
        "same-price", "charged something else, and a new quote three months later changes nothing",
        [
            "2026-05-01 10:00  quote.accepted  q cents=100",
            "2026-05-02 10:00  payment.charged  p cents=100",
            "2026-08-02 10:00  quote.accepted  r cents=200",
        ],
        {"p": "kept at 2026-05-02 10:00"},
    ),
    Case(
        "same-price", "charged too much",
        ["2026-05-01 10:00  quote.accepted  q cents=100", "2026-05-02 10:00  payment.charged  p cents=101"],
        {"p": "breached due 2026-05-02 10:10"},
    ),
    Case(
        "same-address", "all agree, then one changes and the carrier never hears of it",
        [
            "2026-05-01 09:00  oms.address  a addr=x", "2026-05-01 09:10  crm.address  b addr=x",
            "2026-05-01 09:20  carrier.address  c addr=x", "2026-05-04 10:00  oms.address  d addr=y",
            "2026-05-04 10:10  crm.address  e addr=y",
        ],
        {"a": "kept at 2026-05-01 09:20", "d": "breached due 2026-05-04 11:10"},
    ),
    Case(
        "same-address", "all agree, then one changes and the carrier follows",
        [
            "2026-05-01 09:00  oms.address  a addr=x", "2026-05-01 09:10  crm.address  b addr=x",
            "2026-05-01 09:20  carrier.address  c addr=x", "2026-05-04 10:00  oms.address  d addr=y",
            "2026-05-04 10:10  crm.address  e addr=y", "2026-05-04 10:30  carrier.address  f addr=y",
        ],
        {"a": "kept at 2026-05-01 09:20", "d": "kept due 2026-05-04 11:10 at 2026-05-04 10:30"},
    ),
    Case(
        "callback", "called before the agreed slot, and again in the slot it was moved to",
        [
            "2026-05-01 09:00  callback.agreed  a slot_start=2026-05-04T10:00:00 slot_end=2026-05-04T12:00:00",
            "2026-05-04 09:30  call.connected  c",
            f"2026-05-04 11:00  message.sent  m kind=callback_moved {THE_NEXT_DAY}",
            "2026-05-05 10:00  call.connected  d",
        ],
        {"a": "kept due 2026-05-05 12:00 at 2026-05-05 10:00"},
    ),
    Case(
        "complaint-ack", "received before King's Day",
        ["2026-04-24 16:50  complaint.received  r"],
        {"r": "breached due 2026-04-28 17:00"},
    ),
    Case(
        "complaint-10bd", "ten working days skip King's Day",
        ["2026-04-24 16:50  complaint.received  r"],
        {"r": "breached due 2026-05-11 17:00"},
    ),
    Case(
        "complaint-10bd", "paused for three working days: Ascension Day is skipped",
        [
            "2026-04-24 16:50  complaint.received  r",
            "2026-05-04 10:00  info.requested  q",
            "2026-05-07 10:00  info.received  i",
        ],
        {"r": "breached due 2026-05-15 17:00"},
    ),
    Case(
        "handover-4h", "four working hours over a weekend and King's Day",
        ["2026-04-24 15:30  agreement.made  a channel=social", "2026-04-28 11:30  agreement.booked  b"],
        {"a": "kept due 2026-04-28 11:30 at 2026-04-28 11:30"},
    ),
    Case(
        "cancel-everywhere", "one system confirms twice, the other too late",
        [
            "2026-05-01 10:00  order.cancelled  a",
            "2026-05-01 10:10  cancellation.confirmed  b system=shop",
            "2026-05-01 10:20  cancellation.confirmed  c system=shop",
            "2026-05-01 11:00:00.001  cancellation.confirmed  d system=erp",
        ],
        {"a": "fulfilled_late due 2026-05-01 11:00 at 2026-05-01 11:00:00.001"},
    ),
    Case(
        "refund-14d", "a parcel that never comes is paid back",
        ["2026-04-24 17:00  order.placed  o speed=next", "2026-05-09 23:59  refund.paid  r"],
        {"o": "kept due 2026-05-09 23:59:59.999 at 2026-05-09 23:59"},
    ),
    Case(
        "refund-14d", "a parcel that comes late needs no refund",
        ["2026-04-24 17:00  order.placed  o speed=next", "2026-04-27 12:00  parcel.delivered  d"],
        {"o": "released"},
    ),
    Case(
        "refund-14d", "a parcel in time: nothing to remedy",
        ["2026-04-24 17:00  order.placed  o speed=next", "2026-04-25 12:00  parcel.delivered  d"],
        {},
    ),
]  # fmt: skip

IDS = [f"{case.example}: {case.name}" for case in CASES]
