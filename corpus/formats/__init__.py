"""Readers of corpus files.

`detect` decides on the form of a file and opens it. `columns`, `json` and `tables` read the forms:
the first into sentences, the others into records. `record_layout` decides which fields of the
records hold words and tags; `lists`, `rows` and `spans` make sentences of them. `sentence`,
`layout`, `records` and `text` hold what they share.
"""
