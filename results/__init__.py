"""A run to its folder: result files, model card, report, figures."""
