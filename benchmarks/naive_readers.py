"""The formats of `fuzz.py`, each with its writer and a naive reader.

The readers share no code with the suite. They read their format in the simplest way that is correct
for whole files, and may fail on damaged ones.
"""

import naive_columns
import naive_documents
import naive_exports
import naive_records

FORMATS = (
    *naive_columns.FORMATS,
    *naive_records.FORMATS,
    *naive_exports.FORMATS,
    *naive_documents.FORMATS,
)
