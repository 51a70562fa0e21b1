"""Scores of the product on labelled files, with the models in use. Nothing here changes a workspace."""
