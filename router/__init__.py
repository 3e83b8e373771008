"""Requests in, slates out: who there is, whom to ask, the ladder, merging. Decisions are pure; the shell is thin.

Its rooms, and which of them may import which, are in ARCHITECTURE.md.
"""
