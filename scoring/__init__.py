"""Tags to evidence: counts and scores of tags, their table, and a survey of the mistakes.

Everything here works on lists of tags and words; nothing depends on models, files or pages.
"""
