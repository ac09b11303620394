"""Readers of corpus files.

`detect` detects the format of a file and opens it. `columns` reads a file into sentences; `json`
and `tables` read it into records. `exports` converts the records of annotation tools, with
`label_studio`, `argilla`, `gliner` and `spacy`. `record_layout` decides which fields of the records
hold words and tags; `lists`, `rows` and `spans` turn the records into sentences. `sentence`,
`records`, `offset_units`, `hypertext` and `text` hold what the readers share.
"""
