"""Graphs of SOPs: kinds of nodes and their parameters (kinds), the shape of a graph and what is wrong with one (shape),
how one reads in words and what differs between two (words), when a wait ends (times). Pure: no query, no clock.

    {"nodes": [{"id": "n1", "kind": "entry", "x": 0, "y": 0, "title": "", …parameters}],
     "edges": [{"from": "n1", "out": "next", "to": "n2"}],
     "settings": {"reentry": "never", …}}
"""

from campaigns.graph import shape, times, words
from campaigns.graph.kinds import KINDS, SETTINGS, Kind, Param
from campaigns.graph.shape import Checks, Graph, outs_of, problem, tidy, validate

__all__ = [
    "KINDS",
    "SETTINGS",
    "Checks",
    "Graph",
    "Kind",
    "Param",
    "outs_of",
    "problem",
    "shape",
    "tidy",
    "times",
    "validate",
    "words",
]
