"""One module a paper: its parameters, its cells and how a cell is run (docs/architecture.md)."""
