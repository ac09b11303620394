"""Helpers for every room: errors, files, processes, secrets, text, reachability of the Hub."""
