"""promisewatch: tells a company that a promise to one customer was broken, before that customer calls."""

__version__ = "0.1.0"
