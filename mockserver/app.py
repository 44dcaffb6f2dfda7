"""The web application: every surface, and where it is served, on one screen."""

from collections.abc import Iterator, Sequence

from aiohttp import hdrs, web
from aiohttp.http import SERVER_SOFTWARE

from mockserver.admin import Admin, guarded
from mockserver.cassettes.desk import Desk
from mockserver.dialects import Dialect
from mockserver.dialects.azure import Azure
from mockserver.dialects.openai import OpenAI
from mockserver.performing import register
from mockserver.pipeline import Pipeline, Route
from mockserver.realtime import handshake
from mockserver.realtime import operations as realtime
from mockserver.state import State
from mockserver.surfaces import (
    Operation,
    Place,
    audio,
    batches,
    chat,
    completions,
    embeddings,
    files,
    images,
    models,
    moderations,
    picture_files,
    responses,
    stored_chat,
    uploads,
)

# order matters where paths overlap: the first that fits is taken
SURFACES = (
    *(chat, stored_chat, completions, responses, embeddings, models, moderations, images, audio, realtime),
    *(files, uploads, batches),
)

PLACES: dict[Place, tuple[str, Dialect]] = {
    "openai": ("/v1", OpenAI()),
    "azure_v1": ("/openai/v1", Azure()),
    "deployment": ("/openai/deployments/{deployment}", Azure()),
    "resource": ("/openai", Azure()),
}


AdminRoutes = Sequence[web.RouteDef]


def operations() -> Iterator[Operation]:
    """Everything that is served."""
    for surface in SURFACES:
        yield from surface.OPERATIONS


def routes() -> Iterator[Route]:
    """Everything that is served, at every place."""
    for place, (root, dialect) in PLACES.items():
        for operation in operations():
            if place in operation.places:
                yield Route(root + operation.path, dialect, place, operation)


def pipeline_of(state: State) -> Pipeline:
    """What answers for `state`: the surfaces, or cassettes and the real API."""
    if not state.settings.is_taped:
        return Pipeline(state)
    from mockserver.cassettes.pipeline import TapedPipeline  # loads the recorder

    return TapedPipeline(state)


def create_app(pipeline: Pipeline, *, admin: AdminRoutes | None = None) -> web.Application:
    """The application that answers by `pipeline`; `admin` are the routes of `/__admin` where they are not its own."""
    app = web.Application(client_max_size=pipeline.state.settings.body_limit)
    app.on_response_prepare.append(_unsigned)
    app.on_cleanup.append(lambda _app: pipeline.close())
    app.router.add_routes(admin_routes(pipeline.state) if admin is None else admin)
    app.router.add_get(picture_files.ROUTE, picture_files.serve)
    if not pipeline.state.settings.is_taped:  # what is spoken over a socket is neither recorded nor played
        app.router.add_routes(handshake.routes(pipeline, PLACES))
    served = list(routes())
    register(served)
    for route in served:
        app.router.add_route(route.operation.method, route.path, pipeline.serve(route))
    for path, dialect in {route.path: route.dialect for route in served}.items():
        app.router.add_route("*", path, pipeline.refuse_method(dialect))
    app.router.add_route("*", "/{path:.*}", pipeline.refuse_path)
    return app


def admin_routes(state: State) -> list[web.RouteDef]:
    """Everything below `/__admin`; the last of them takes whatever no other does."""
    return [*guarded(Desk(state).routes()), *Admin(state).routes()]


async def _unsigned(_request: web.Request, response: web.StreamResponse) -> None:
    """Take back aiohttp's name: OpenAI's answers are signed by Cloudflare, Azure's recorded ones by nobody."""
    if response.headers.get(hdrs.SERVER) == SERVER_SOFTWARE:
        del response.headers[hdrs.SERVER]
