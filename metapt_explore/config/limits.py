"""Largest numbers and lists of a study: far beyond any real study, so that a typing error is reported at once instead
of filling memory or running for years.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

#: Clusterings, methods, baselines, tasks: entries of each list, sweeps written out.
MOST_ENTRIES = 1000
#: Values of a list of seeds or of steps.
MOST_VALUES = 10_000
#: Learning rates, and other values that are searched.
MOST_SEARCHED = 100
#: More texts than this are many: their vectors are stored in half precision, and algorithms work on parts of them.
MANY_TEXTS = 200_000
#: Classes of a task.
MOST_CLASSES = 1000
#: Scores of a study: methods and baselines × tasks × pairs of seeds × numbers of shots.
MOST_SCORES = 1_000_000
#: What numpy and scikit-learn take as a seed.
LARGEST_SEED = 2**32 - 1
#: Characters of a template, a description, a label word, a name.
LONGEST_TEXT, LONGEST_NAME = 10_000, 200

#: A step size, or another positive number of common size.
Rate = Annotated[float, Field(gt=0, le=1000)]
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
#: Rows, steps, tokens: a number of things that are computed one after the other or together.
Count = Annotated[int, Field(ge=1, le=1_000_000)]
#: A count that its own field says more about.
Size = Annotated[int, Field(le=1_000_000)]
#: A cluster by its number; -1 is what belongs to none.
ClusterId = Annotated[int, Field(ge=-1, le=1_000_000)]
Share = Annotated[float, Field(ge=0, le=1)]
