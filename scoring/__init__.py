"""Tags to evidence: counts and scores of tags, their table, and a survey of the mistakes.

Everything here works on lists of tags and words; nothing knows models, files or pages.
"""
