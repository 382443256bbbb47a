"""Evaluations of the graph's entities: bindings give a model its inputs, a run gives back predictions that say where
they come from.
"""
