"""A name to a tokenizer and a model: loading them, encoding a corpus for them, making batches.

`encoder.cpu` holds what makes them faster on a CPU. `import encoder.tokenizer` and
`import encoder.batches` import neither torch nor transformers, because a cold `infer.py` needs
parts of them only.
"""
