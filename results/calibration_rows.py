"""The calibration and the operating point of a model, as text for terminal, card and report."""

from collections.abc import Mapping
from typing import Any

from scoring.evidence import FEW


def calibration_rows(
    calibration: Mapping[str, Any], with_scores: bool = True
) -> list[tuple[str, str]]:
    """Return (name, text) of each; nothing for a model whose scores are not calibrated.

    `calibration`: as in run.json: `temperature`, `offset`, `fitted_to_entities`, `requested` (the
    flag that asks for an operating point, or ""), `operating_point`. `with_scores`: name those on
    validation, where they do not stand beside it with their intervals.
    """
    if not calibration:
        return []
    temperature, count = calibration["temperature"], calibration["fitted_to_entities"]
    text = "probabilities, not calibrated: no predicted entities in a validation split"
    is_rough = 0 < count < FEW
    if count:
        text = (
            f"probabilities, calibrated on {'only ' * is_rough}{count:,} predicted entities of the "
            f"validation split (temperature {temperature:.3f}, offset {calibration['offset']:+.3f})"
            + ": treat as rough"
            * is_rough
        )
    rows = [("Entity scores", text)]
    if requested := calibration["requested"]:
        point = calibration["operating_point"]
        text = "not reached on the validation split with enough entities; no tag is changed"
        if point:
            text = f"bias {point['outside_bias']:+.2f} on O, minimum score {point['min_score']:.3f}"
        if point and with_scores:
            text += (
                f"; on the validation split precision {point['precision']:.4f}, recall "
                f"{point['recall']:.4f}, F1 {point['f1']:.4f}"
            )
        if point and is_rough:
            text += "; chosen on few entities: treat as rough"
        rows.append(("Operating point", f"{requested}: {text}"))
    return rows
