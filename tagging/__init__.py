"""Text in, tagged text out: reading inputs, loading a model, tagging, scoring, writing results.

`tagger.Tagger` is the library; `infer.py` is the command built on this package. Nothing here needs
`datasets` or `evaluate`.
"""
