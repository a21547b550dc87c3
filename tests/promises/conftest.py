"""What the tests of the core start from."""

import pytest

from tests.promises.builders import Partition, book


@pytest.fixture
def partition() -> Partition:
    """A partition of the book that promises a confirmation within 15 minutes, before its first event."""
    return Partition(book())
