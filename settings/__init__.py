"""Flags to settings: what the command line says becomes frozen values that the rooms take."""
