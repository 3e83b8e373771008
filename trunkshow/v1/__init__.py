"""Generated code, committed, and checked against protos/ by `make protos-check`. Never edited by hand."""
