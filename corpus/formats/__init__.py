"""Readers of corpus files.

`detect` detects the format of a file and opens it. `columns`, `webanno` and `conll2012` read it
into sentences; `json`, `tables`, `brat`, `pubtator` and `doc_bin` into records, which
`record_source` opens. `exports` converts the records of annotation tools, with `label_studio`,
`argilla`, `gliner`, `dataturks`, `spacy` and `nested`. `record_layout` decides which fields of the
records hold words and tags, with `label_field` and `field_types`; `lists`, `rows` and `spans` turn
the records into sentences. `foreign` names formats that are not read. `sentence`, `records`,
`cells`, `offset_units`, `hypertext` and `text` hold what the readers share.
"""
