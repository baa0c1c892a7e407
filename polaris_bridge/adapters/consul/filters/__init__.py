"""The filter language of Consul's ``filter`` parameter: text -> expression -> a function over answers.

``parsing`` reads it (by a grammar, imported with the first filter), ``fields`` says what an answer is made of, ``compiling``
checks an expression against that and turns it into closures. ``Filters`` keeps the ones in use. The language and its errors are
those of go-bexpr 0.1.2, which the real agent uses.
"""

from .compiling import Filter, Filters, Patterns
from .expressions import BadFilter
from .fields import Field, ListOf, MapOf, Record, Scalar

__all__ = ["BadFilter", "Field", "Filter", "Filters", "ListOf", "MapOf", "Patterns", "Record", "Scalar"]
