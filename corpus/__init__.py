"""The corpus room: from labelled files or data sets to checked splits of words and label ids.

`load` returns the splits; `check` returns the report of `--check`. Both locate the files with
`sources`, read them through `formats`, store the sentences with `splits`, hold out a validation
split with `hold_out`, and determine the labels with `labels` and the tag schemes of `schemes`.
Everything that is wrong with a corpus becomes a `problems.Problem`; `tag_problems` reports the
problems of tags. `words` splits raw text into words.
"""
