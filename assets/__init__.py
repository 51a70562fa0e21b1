"""The graph in Dagster: one module per group, each asset a table of the store, each run one workspace.

No rule of the product, no SQL and no prompt lives here: an asset calls its step and reports what came of it.
"""
