"""Making code of a model: what is fixed, what is frozen, what a lane computes."""
