"""Workers killed while they follow promises of every general kind: the second opinion agrees with what they publish."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from promisewatch.brokers import ApacheKafka
from tests.chaos.cluster import cluster, one_a_partition
from tests.chaos.stories import AT_RISK, BOOK, LAST, Stories, problems
from tests.chaos.test_kills import WORKERS, survive_kills

pytestmark = [pytest.mark.kafka]


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=[pytest.mark.full, pytest.mark.timeout(900)])])
async def test_workers_killed_under_load_judge_every_kind_of_promise_and_repeat_nothing(
    broker: ApacheKafka, tmp_path: Path, unique: Callable[[str], str], seed: int, kills: int
) -> None:
    """kill -9 while events wait: the verdicts folded by revision are right, and no event nor warning comes twice."""
    run = unique("general")
    async with cluster(broker, tmp_path, run, frontier="markers", book=BOOK) as one:
        stories = Stories(seed, run)
        for name in WORKERS:
            one.start(name)
        waited = await survive_kills(one, lambda: one.feed_all(stories.burst()), Random(seed), kills)
        print(f"events waiting at each kill: {waited}")
        subjects = one_a_partition(run).values()
        last, frontier = stories.ending(subjects)
        await one.feed(last, frontier)
        ended = {(LAST, subject) for subject in subjects}
        await one.until(
            "the last breach of every partition",
            lambda: ended <= {(breach.promise, breach.subject) for breach in one.breaches},
        )
        seen, expected = await one.published(), stories.verdicts(frontier)
        found = problems(seen, expected)
        assert not found, f"{len(found)} problems, the first: " + "\n".join(found[:20])
        assert {promise for promise, _, _ in expected} == stories.promises, "stories so tame prove nothing"
        warnings = [breach for breach in seen.breaches if breach.type == AT_RISK]
        print(f"{len(expected)} verdicts, {len(warnings)} warnings")
        assert warnings
