"""Slates as values: what may be asked for, which rung replaces what is missing, what receipts say. Nobody is asked."""
