"""Five class-imbalance papers, replicated: one module a step, from images to verdicts (docs/architecture.md)."""
