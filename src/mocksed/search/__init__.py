"""The search: from what the relations ask of a galaxy to the parameters of a model that follows them.

`parent` makes points in the parameter space of FSPS and computes what they look like; `metric` says what near means;
`kdtree` and `tree` find the points near a galaxy; `draw` is what the relations ask; `choice` takes one of the points,
with weights that `balance` makes such that the population follows every relation; `neighbours` puts these together,
and `assign` gathers the parameters of what was taken. Both classes of galaxies go the same way.
"""

KINDS = ("star_forming", "quiescent")
"""The classes of galaxies, each with a parent, trees and a metric of its own."""
