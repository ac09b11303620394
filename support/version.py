"""The version of the suite, which `run.json` and the model card record."""

VERSION = "0.4.0"
