"""The points, bins and pictures of a report."""

from results import charts, report_corpus


def test_thinned_lines_have_the_means_of_neighbours():
    line = [(n, 2.0 * n) for n in range(1200)]
    thin = charts.thinned(line)
    assert len(thin) == charts.STEP_POINTS == 300
    assert thin[0] == (1.5, 3.0)
    assert charts.thinned(line[:10]) == line[:10]


def test_points_without_a_finite_number_are_left_out():
    rows = [{"x": 1, "y": 2}, {"x": 2}, {"x": 3, "y": float("nan")}, {"x": 4, "y": None}]
    assert charts.points(rows, "x", "y") == [(1, 2)]


def test_length_chart_equals_one_computed_by_hand():
    lengths = {"train": {0: 1, 3: 1, 79: 2}, "test": {"5": 4}, "empty": {}}
    lengths = report_corpus.sentence_lengths({"lengths": lengths})
    chart = charts.length_chart(lengths, 40)
    assert chart.mark == ("window", 40)
    train, test = dict(chart.series["train"]), dict(chart.series["test"])
    assert list(chart.series) == ["train", "test"]
    assert list(train) == list(test) == list(range(0, 80, 2))
    assert {start: share for start, share in train.items() if share} == {0: 25, 2: 25, 78: 50}
    assert {start: share for start, share in test.items() if share} == {4: 100}
    assert charts.length_chart(lengths, 512).mark is None


def test_the_step_of_the_weights_is_marked():
    history = [{"step": step, "eval_loss": 0.5, "eval_f1": 0.5} for step in (10, 20)]
    steps = [{"step": 10, "loss": 0.5}]
    marks = {chart.title: chart.mark for chart in charts.training_charts(history, steps, True, 10)}
    kept = ("weights kept", 10)
    assert marks == {"Loss": kept, "Scores on validation": kept, "Training loss by step": None}
    (loss, *_) = charts.training_charts(history, steps, True, 10)
    assert "weights kept" in charts.chart_svg(loss)
    assert "weights kept" not in charts.chart_svg(loss._replace(mark=None))


def test_scores_with_intervals_have_bands():
    history = [
        {"step": 1, "eval_f1": 0.5, "eval_f1_interval": [0.4, 0.6], "eval_recall": 0.5},
        {"step": 2, "eval_f1": 0.6, "eval_f1_interval": [0.5, 0.7], "eval_recall": 0.6},
    ]
    (chart,) = charts.training_charts(history, [], entity_tags=True)
    assert chart.bands == {"F1": [(1, 0.4, 0.6), (2, 0.5, 0.7)]}
    assert "opacity" not in charts.chart_svg(chart._replace(bands={}))
    for rows in (chart.bands["F1"], chart.bands["F1"][:1]):
        svg = charts.chart_svg(chart._replace(bands={"F1": rows}))
        assert "opacity: 0.13" in svg and "#1f5fb4" not in svg
