"""The table of a run's evaluations."""

from results.history import history_table, scored_history


def rows_of(*steps):
    return [{"epoch": 0, "step": step, "eval_f1": step / 1000} for step in steps]


def test_a_row_for_each_evaluation_with_the_epochs_done():
    table = history_table(rows_of(0, 1, 100, 150, 12_345), 100)
    assert table.columns == ["step", "epochs done", "eval_f1"]
    assert [row[0] for row in table.rows] == [0, 1, 100, 150, 12_345]
    assert [row[1] for row in table.rows] == ["0", "0.01", "1", "1.5", "123.45"]


def test_a_column_without_values_is_left_out():
    history = [{"step": 1, "train_loss": None, "eval_f1": 0.5}, {"step": 2, "eval_f1": 0.5}]
    assert history_table(history, 1).columns == ["step", "epochs done", "eval_f1"]


def test_epochs_are_counted_from_1_where_their_steps_are_unknown():
    table = history_table([{"epoch": 0, "eval_f1": 0.5}, {"epoch": 1, "eval_f1": 0.6}], None)
    assert table.columns == ["epochs done", "eval_f1"]
    assert [row[0] for row in table.rows] == ["1", "2"]


def test_a_long_history_is_thinned_and_keeps_the_last_row():
    for number in (1, 19, 20, 21, 39, 40, 41, 1000):
        table = history_table(rows_of(*range(number)), 10, longest=20)
        assert len(table.rows) <= 20
        assert table.rows[-1][0] == number - 1
        gaps = {b[0] - a[0] for a, b in zip(table.rows, table.rows[1:], strict=False)}
        assert len(gaps) <= 1


def test_a_run_without_evaluations_has_no_table():
    assert history_table([], 10, longest=20) == ([], [])


def test_a_score_is_followed_by_the_interval_of_its_step():
    run = {
        "history": [{"step": 1, "eval_loss": 0.5, "eval_f1": 0.25}, {"step": 2, "eval_f1": 0.75}],
        "score_intervals": [{"step": 2, "eval_f1_interval": [0.7, 0.8125]}],
    }
    table = history_table(scored_history(run), None)
    assert table.columns == ["step", "eval_loss", "eval_f1"]
    assert [row[-1] for row in table.rows] == [0.25, "0.7500 (0.700-0.812)"]
    assert scored_history({}) == []
