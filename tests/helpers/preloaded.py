"""Work that each run would repeat; imported by the fork server alone, after the libraries."""

import gc

from transformers.conversion_mapping import get_checkpoint_conversion_mapping

get_checkpoint_conversion_mapping("bert")  # builds the table of all models, and keeps it
gc.freeze()  # otherwise the garbage collector of a run would copy the memory of all libraries
