"""Flags to settings: a command line becomes frozen values, which the other rooms take."""
