"""A template and all that it includes, compiled once, and what that says about it before it is rendered."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from jinja2 import nodes
from jinja2.exceptions import TemplateSyntaxError

from llmkit.templates.engine import Environment
from llmkit.templates.front_matter import split
from llmkit.templates.roles import tagged
from llmkit.templates.sources import Directory, Source
from llmkit.templates.variables import Use, bound, has_blocks, may_lack, references, uses

MAIN = "\0"
"""The name of a template among those that it includes: no file can have it."""

_PARSING = Environment({})


@dataclass(frozen=True, slots=True)
class Member:
    """A template, or one that it includes: its `text` has tags for roles, and it `sees` the variables or not."""

    name: str
    source: Source
    text: str
    sees: bool
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class Compiled:
    """A template that is ready to be rendered any number of times.

    `may_lack` are variables that the template looks after where they are missing; `perhaps` those that it reads where
    another of its parts may have set them, as in a file that is included in a loop: only a rendering can tell.
    """

    environment: Environment
    sources: Mapping[str, Source]
    uses: tuple[Use, ...]
    may_lack: frozenset[str]
    perhaps: frozenset[str]
    has_roles: bool

    def first_use(self, name: str) -> Use | None:
        """The first place that reads the variable, None where none does."""
        return next((use for use in self.uses if use.name == name), None)

    @property
    def names(self) -> dict[str, Use]:
        """The variables that it reads, in the order of the template, with the first place."""
        found: dict[str, Use] = {}
        for use in self.uses:
            found.setdefault(use.name, use)
        return found


def gathered(body: Source, directory: Directory, *, as_prompty: bool) -> tuple[Member, ...]:
    """The template and those that it includes, at any depth; raises TemplateInvalid for one that can't be read."""
    found: dict[str, Member] = {}
    waiting = [Member(MAIN, body, tagged(body, prompty=as_prompty), sees=True)]
    while waiting:
        member = waiting.pop(0)
        before = found.get(member.name)
        if before is None or (member.sees and not before.sees):
            found[member.name] = member
            waiting += _included(member, directory, as_prompty=as_prompty)
    return tuple(found.values())


@lru_cache(maxsize=256)
def compiled(members: tuple[Member, ...]) -> Compiled:
    """The members compiled; raises TemplateInvalid for what jinja2 refuses."""
    environment = Environment({member.name: member.text for member in members})
    trees = {member.name: parsed(member) for member in members}
    read: list[Use] = []
    for member in members:
        here = _compiled_uses(member, trees[member.name], environment)
        _check_seen(member, here, trees[member.name])
        read += here if member.sees else []
    elsewhere = {member.source: _set_elsewhere(member, trees) for member in members}
    return Compiled(
        environment=environment,
        sources={member.name: member.source for member in members},
        uses=tuple(read),
        may_lack=frozenset().union(*(may_lack(tree) for tree in trees.values())),
        perhaps=frozenset(use.name for use in read if use.name in elsewhere[use.source]),
        has_roles=any(_begins_messages(tree) for tree in trees.values()),
    )


def parsed(member: Member) -> nodes.Template:
    """The syntax tree of a template; raises TemplateInvalid."""
    try:
        return _PARSING.parse(member.text)
    except TemplateSyntaxError as error:
        raise member.source.error(f"its syntax is wrong: {error.message}", line=error.lineno) from None
    except RecursionError:
        raise member.source.error("it is nested too deeply") from None


def _included(member: Member, directory: Directory, *, as_prompty: bool) -> Iterator[Member]:
    for reference in references(parsed(member), member.source):
        try:
            source, file = directory.read(reference.name, asked_by=member.source, line=reference.line)
        except FileNotFoundError:
            if reference.may_lack:
                continue
            raise member.source.error(
                f"it includes {reference.name!r}, which is not there: {str(directory.path)!r} has no such file",
                line=reference.line,
            ) from None
        head, body = split(source)
        if head.values:
            raise source.error(
                "an included template has no head of its own: it takes the variables of the other", line=1
            )
        text = tagged(body, prompty=as_prompty)
        yield Member(reference.name, source, text, sees=member.sees and reference.sees, file=file)


def _set_elsewhere(here: Member, trees: Mapping[str, nodes.Template]) -> set[str]:
    """The names that the other parts set for the one that reads variables; a block's own template is such a part."""
    if has_blocks(trees[here.name]):
        return set().union(*map(bound, trees.values()))
    if here.name == MAIN:
        return set()
    return set().union(*(bound(tree) for name, tree in trees.items() if name != here.name))


def _compiled_uses(member: Member, tree: nodes.Template, environment: Environment) -> list[Use]:
    try:
        environment.get_template(member.name)
        return uses(tree, member.source, environment)
    except TemplateSyntaxError as error:  # an unknown filter, a name assigned twice: found only now
        raise member.source.error(f"its syntax is wrong: {error.message}", line=error.lineno) from None
    except (RecursionError, SyntaxError) as error:
        raise member.source.error(f"it cannot be compiled: {error}") from None


def _check_seen(member: Member, here: Iterable[Use], tree: nodes.Template) -> None:
    """Raises TemplateInvalid where a template reads variables that it is imported without."""
    unseen = [] if member.sees else [use for use in here if use.name not in may_lack(tree)]
    if unseen:
        raise member.source.error(
            f"it reads {unseen[0].name!r}, but is imported without the variables: give it to the macro, or import "
            "`with context`",
            line=unseen[0].line,
        )


def _begins_messages(tree: nodes.Template) -> bool:
    return any(node.name == "begin" for node in tree.find_all(nodes.ExtensionAttribute))
