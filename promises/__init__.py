"""The decision: calendars, due dates, verdicts and the detector that composes them. No I/O, no clock, no chance."""
