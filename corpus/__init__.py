"""The corpus room: from labelled files or data sets to checked splits of words and label ids.

`load` gives the splits, `check` the report of `--check`. Both find the files in `sources`, read
them through `formats`, keep what was read in `splits`, hold out a validation split in `hold_out`,
and settle the labels in `labels` with the tag schemes of `schemes`. Everything that is wrong with
a corpus becomes a `problems.Problem`. `words` splits raw text into words.
"""
