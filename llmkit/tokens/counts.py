"""A number of tokens that says how sure it is."""


class TokenCount(int):
    """A number of tokens, and how far from it the bill may lie: `margin` is 0 where the count is exact."""

    margin: int = 0  # most counts have none of their own

    def __new__(cls, tokens: int, margin: int = 0) -> "TokenCount":
        """A count with its margin, both in tokens."""
        count = int.__new__(cls, tokens)
        if margin:
            object.__setattr__(count, "margin", margin)
        return count

    @property
    def tokens(self) -> int:
        """The number itself, as a plain int."""
        return int(self)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"A TokenCount cannot be changed: {name} = {value!r}")

    def __reduce__(self) -> tuple[type["TokenCount"], tuple[int, int]]:
        return TokenCount, (self.tokens, self.margin)

    def __repr__(self) -> str:
        return f"TokenCount({self.tokens}, margin={self.margin})" if self.margin else f"TokenCount({self.tokens})"

    __str__ = int.__repr__


class Tally:
    """A sum of counts that is still going on."""

    __slots__ = ("margin", "tokens")

    def __init__(self, tokens: int = 0) -> None:
        self.tokens = tokens
        self.margin = 0

    def add(self, tokens: int, margin: int = 0) -> None:
        """Add what a part costs."""
        self.tokens += tokens
        self.margin += margin

    def total(self) -> TokenCount:
        """The sum."""
        return TokenCount(max(self.tokens, 0), self.margin)
