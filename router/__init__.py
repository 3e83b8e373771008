"""Requests in, slates out: topology, selection, fan-out, the ladder, merging. Decisions are pure; the shell is thin."""
