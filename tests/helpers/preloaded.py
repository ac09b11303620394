"""Imported by the fork server alone, after the libraries: what each run would do again."""

import gc

from transformers.conversion_mapping import get_checkpoint_conversion_mapping

get_checkpoint_conversion_mapping("bert")  # builds the table of all models, and keeps it
gc.freeze()  # or the garbage collector of a run would copy the memory of all libraries
