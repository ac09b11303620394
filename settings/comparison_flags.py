"""The flags of `compare.py`.

Nothing heavy is imported here, so that `--help` responds immediately.
"""

from dataclasses import dataclass

from settings.flags import flag


@dataclass
class ComparisonFlags:
    """The flags of `compare.py` as given; None is a default that the script decides on."""

    # Sides
    runs: list[str] = flag(
        [],
        "Two runs, A and B: output folders of a training script, or prediction files. With "
        "--against, all of them are runs of A. The folder of `study.py seeds` stands for its runs.",
        group="sides",
        positional=True,
        nargs="*",
        metavar="A B",
    )
    against: list[str] | None = flag(
        None, "The runs of B, such as those with other seeds.", group="sides", metavar="B"
    )
    input: list[str] | None = flag(
        None,
        "Labelled files that the models A and B tag now, in any format that training reads. "
        "Default: compare the saved predictions of the runs, for the test split if all have it, "
        "otherwise for the validation split.",
        "-i",
        group="sides",
        metavar="FILE",
    )
    text_column_name: str | None = flag(
        None, "Column of the words of --input: a name or a number.", group="sides", metavar="COLUMN"
    )
    label_column_name: str | None = flag(
        None, "Column of the labels of --input.", group="sides", metavar="COLUMN"
    )

    # Statistics
    resamples: int = flag(2000, "Bootstrap resamples for the intervals.", group="statistics")
    shuffles: int = flag(9999, "Shuffles for the p values.", group="statistics")

    # Output
    output: list[str] | None = flag(
        None,
        "Files to write: .json for all numbers and every mistake that changed, .html for a page.",
        "-o",
        group="output",
        metavar="FILE",
    )
