"""The longest chain of round trips against the plain definition of it."""

from hypothesis import given
from hypothesis import strategies as st

from redis_perf.trace import longest_chain

INTERVALS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 12)).map(lambda pair: (pair[0], sum(pair))), max_size=40
)


def slowly(intervals):
    """The longest path under "ends before the other starts", by dynamic programming over all pairs."""
    intervals = sorted(intervals, key=lambda interval: (interval[1], interval[0]))
    lengths = []
    for start, _ in intervals:
        before = [lengths[at] for at in range(len(lengths)) if intervals[at][1] <= start]
        lengths.append(1 + max(before, default=0))
    return max(lengths, default=0)


@given(INTERVALS)
def test_the_greedy_choice_finds_a_longest_chain(intervals):
    assert longest_chain(intervals) == slowly(intervals)


@given(INTERVALS, st.randoms())
def test_the_order_they_are_given_in_does_not_matter(intervals, random):
    shuffled = list(intervals)
    random.shuffle(shuffled)
    assert longest_chain(shuffled) == longest_chain(intervals)
