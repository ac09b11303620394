"""Problems: codes, places, groups, and their rendering."""

from syrupy.assertion import SnapshotAssertion

from corpus.problems import (
    MAX_SHOWN,
    TITLES,
    CorpusError,
    GroupedProblems,
    Place,
    Problem,
    ProblemKind,
    Problems,
)
from support.errors import UserError


def row_width(line: int, file: str = "a.conll") -> Problem:
    return Problem(ProblemKind.ROW_WIDTH, Place(file, line), "1 column", "2")


def test_every_kind_has_a_title() -> None:
    assert set(TITLES) == set(ProblemKind)
    assert all(TITLES.values())


def test_places_name_file_and_line() -> None:
    assert str(Place("a.conll")) == "a.conll"
    assert str(Place("a.conll", 3)) == "a.conll:3"
    assert str(Place("a.jsonl", 3, record_id="17")) == "a.jsonl:3 (record '17')"


def test_a_word_has_a_line_of_its_own_where_the_format_has() -> None:
    record = Place("a.jsonl", 3, "17", "news")
    assert record.at(2) == record and Place("a").at(2) == Place("a")
    assert Place("a.conll", 3, "s1", "news", line_step=1).at(2) == Place("a.conll", 5, "s1", "news")
    with_gaps = Place("a.conllu", 3, lines=(3, 5, 8))
    assert [with_gaps.at(word).line for word in range(3)] == [3, 5, 8]


def test_problems_of_a_kind_are_counted_and_the_first_are_listed() -> None:
    problems = GroupedProblems()
    assert not problems
    for line in range(1, MAX_SHOWN + 6):
        problems.add(row_width(line))
    (group,) = problems.groups
    assert (group.kind, group.count) == (ProblemKind.ROW_WIDTH, MAX_SHOWN + 5)
    assert [problem.place.line for problem in group.shown] == list(range(1, MAX_SHOWN + 1))


def test_counted_problems_join_their_group() -> None:
    problems = GroupedProblems()
    problems.add(row_width(1))
    problems.add_counted([row_width(line) for line in range(2, MAX_SHOWN + 12)], 100)
    problems.add_counted([], 0)
    (group,) = problems.groups
    assert (group.count, len(group.shown)) == (101, MAX_SHOWN)


def test_titles_with_different_values_are_different_groups() -> None:
    problems = GroupedProblems()
    for split in ("validation", "test", "validation"):
        place = Place(f"{split}.conll", 1)
        kind = ProblemKind.UNTRAINED_LABEL
        problems.add(Problem(kind, place, "'B-X' of 'x'", title_values=(split,)))
    assert [group.count for group in problems.groups] == [2, 1]


def test_a_file_is_matched_by_its_whole_name() -> None:
    problems = Problems()
    problems.add(row_width(1, "a.conll"))
    problems.warnings.add(row_width(1, "b.conll"))
    assert problems.concern("a.conll")
    assert not problems.concern("a.con") and not problems.concern("b.conll")


def test_rendering(snapshot: SnapshotAssertion) -> None:
    problems = Problems()
    for line in range(1, MAX_SHOWN + 3):
        problems.add(row_width(line))
    problems.add(Problem(ProblemKind.NO_SENTENCE, Place("b.conll"), "the file has none"))
    problems.warnings.add(row_width(1, "c.conll"))
    assert str(problems) == snapshot
    error = CorpusError(problems)
    assert isinstance(error, UserError)
    assert (str(error), error.problems) == (str(problems), problems)
