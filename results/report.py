"""The report of a run: an HTML page and pictures.

    write_report("bert-finetuned-ner", run)           # report.html and its pictures as PNG

`scoring.mistakes` counts the mistakes and `charts` draws the pictures. The modules `report_*`,
`verdict` and `advice` prepare plain data for the page; its words and layout are in
`templates/report.html.jinja`.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from common import are_entity_tags
from results.advice import advice
from results.charts import (
    Chart,
    chart_svg,
    confusion_png,
    curves_png,
    reliability_svg,
    training_charts,
)
from results.history import HistoryTable, history_table, scored_history
from results.report_configuration import argument_rows, command_line, run_facts, sorted_rows
from results.report_corpus import label_table, length_rows, length_svg
from results.report_mistakes import (
    SURE,
    confusion_table,
    confusions,
    kind_tables,
    mistakes_shown,
)
from results.report_scores import (
    HIGH_SCORE,
    group_tables,
    one_surface,
    reliability_table,
    score_rows,
    score_tiles,
    type_tables,
)
from results.verdict import Run, date_of, nouns_of, scored_split, scores_of, title_of, verdict
from scoring.mistakes import Survey, confusion_cells, survey_examples
from scoring.table import interval_notes
from support.files import written_whole
from support.html import page_environment
from support.type_colours import type_hues

TEMPLATES = Path(__file__).parent / "templates"
TOP_CONFUSIONS = 3  # named in a sentence


def write_report(folder: str | os.PathLike[str], run: Run) -> None:
    """Write `report.html`, `training_curves.png` and `confusion_matrix.png` into `folder`.

    Keys of `run`, each of which may be absent: `title`, `run_id` (which begins with the date),
    `base_model`, `corpus_name`, `corpus_fingerprint`, `task`, `entity_tags`, `label_names`,
    `replaced` (sentences about stand-ins), `script`, `command`, `output_name`, `arguments`,
    `versions`, `suite_version`, `duration_s`, `device`, `precision`, `processes`; `step_losses`
    (`step`, `loss`, `learning_rate`); `history` (`step`, `train_loss`, `eval_loss`, `eval_f1`,
    `eval_accuracy`, …); `score_intervals` (see `training.progress.Progress`); `epoch_steps`,
    `more_epochs` (why there are more than usual), `kept_step`, `still_improved`, `patience_ended`
    (evaluations without a better score that ended training); `scores` (by split: `overall`,
    `per_type`, `words`, `loss`, and what `scoring.evidence` adds); `calibration` (see
    `calibration_rows`); `label_errors` (`report_label_errors.LabelErrorStudy`); `label_counts` (by
    split and label); `lengths` (by split: sentences by number of sub-words), `max_seq_length`,
    `windowed` (sentences cut, by split); of the split `examples_split` (default: the last one of
    `scores`) the `survey` (`scoring.mistakes.Survey`), or the `examples` to make it of, read once
    as a stream.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    entity_tags = is_entity_run(run)
    survey = run.get("survey") or survey_examples(
        run.get("examples") or (), entity_tags, run.get("label_names")
    )
    step_losses = run.get("step_losses") or []
    charts = training_charts(scored_history(run), step_losses, entity_tags, run.get("kept_step"))
    _write_picture(folder / "training_curves.png", curves_png(charts) if charts else None)
    names, cells = confusion_cells(survey)
    _write_picture(folder / "confusion_matrix.png", confusion_png(names, cells) if names else None)
    with written_whole(folder / "report.html") as file:
        file.writelines(render_report(run, survey, charts))


def _write_picture(path: Path, picture: bytes | None) -> None:
    """Write a picture whole; None removes the picture of an earlier run."""
    if picture is None:
        path.unlink(missing_ok=True)
        return
    with written_whole(path, "wb") as file:
        file.write(picture)


def render_report(run: Run, survey: Survey, charts: list[Chart]) -> Iterator[str]:
    """Yield the pieces of the page."""
    template = page_environment(TEMPLATES).get_template("report.html.jinja")
    entity_tags, scores = survey.entity_tags, scores_of(run)
    mistakes, reliability = mistakes_shown(survey), reliability_table(run)
    confused = confusions(survey)
    return template.generate(
        title=title_of(run),
        date=date_of(run),
        verdict=verdict(run, entity_tags),
        hues=type_hues(run.get("label_names") or scores.get("per_type") or ()),
        entity_tags=entity_tags,
        nouns=nouns_of(run),
        split=scored_split(run),
        tiles=score_tiles(run, entity_tags),
        scores=score_rows(run),
        interval_notes=interval_notes(scores, nouns_of(run)) if "intervals" in scores else [],
        types=type_tables(run, entity_tags),
        groups=group_tables(run),
        one_surface=one_surface(run),
        confusion=confusion_table(survey),
        survey=survey if survey.sentences else None,
        kinds=kind_tables(survey),
        mistakes=mistakes,
        sure=SURE,
        high_score=HIGH_SCORE,
        advice=advice(run, entity_tags, mistakes.sure, confused),
        confusions=confused[:TOP_CONFUSIONS],
        suspects=run.get("label_errors"),
        reliability=reliability,
        reliability_svg=reliability_svg(reliability.rows) if reliability else None,
        charts=[chart_svg(chart) for chart in charts],
        banded=next((name for chart in charts for name in chart.bands), None),
        history=evaluations(run),
        labels=label_table(run.get("label_counts") or {}, run.get("label_names")),
        lengths=length_rows(run),
        length_svg=length_svg(run),
        window=run.get("max_seq_length"),
        facts=run_facts(run, entity_tags),
        command=command_line(run),
        arguments=argument_rows(run.get("arguments") or {}),
        versions=sorted_rows(run.get("versions") or {}),
    )


def is_entity_run(run: Run) -> bool:
    """Return whether the tags of a run are entity tags."""
    return run.get("entity_tags", are_entity_tags(run.get("label_names") or []))


def evaluations(run: Run) -> HistoryTable:
    """Return the scores of every evaluation during training."""
    table = history_table(scored_history(run), run.get("epoch_steps"))
    return HistoryTable([column.replace("_", " ") for column in table.columns], table.rows)
