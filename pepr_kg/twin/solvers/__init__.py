"""Solving a block of lanes: steps, crossings, events, doses, delays, linear models exactly."""
