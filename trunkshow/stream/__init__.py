"""What the stream of events knows: features, what trends, what a user is up to, what has been shown too often.

Pure: no I/O and no clock of its own; moments are arguments. Everything is bounded. Who reads the log, and what is
shown of this, is left to those who serve.
"""
