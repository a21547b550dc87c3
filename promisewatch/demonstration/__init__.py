"""A web shop's week through the whole pipeline, and a calculation beside it that says what must come out.

`week.py` writes the events, `expected.py` judges them on its own, `stage.py` starts the broker, the topics, the worker
and the notifier, `feeder.py` publishes on a scaled clock, `watch.py` reads what the pipeline published, `report.py`
compares and `table.py` prints.
"""
