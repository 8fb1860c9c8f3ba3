"""The search: from draws of the relations to the parameters of a model for each galaxy.

`parent` makes points in the parameter space of FSPS and computes their observable quantities; `metric` defines
distances; `kdtree` and `tree` find the points near a galaxy; `draw` draws from the relations; `choice` takes one of the
points, with weights that `balance` chooses such that the population follows every relation; `neighbours` combines
these, and `assign` collects the parameters of the points taken. Both classes of galaxies go through the same steps.
"""

KINDS = ("star_forming", "quiescent")
"""The classes of galaxies, each with a parent, trees and a metric of its own."""
