"""The web application: every route on one screen."""

from aiohttp import hdrs, web
from aiohttp.http import SERVER_SOFTWARE

from mockserver.admin import Admin
from mockserver.dialects.azure import Azure
from mockserver.dialects.openai import OpenAI
from mockserver.pipeline import Pipeline, Route
from mockserver.surfaces.chat import Chat
from mockserver.surfaces.embeddings import Embeddings
from mockserver.surfaces.models import Models

OPENAI, AZURE = OpenAI(), Azure()
CHAT, EMBEDDINGS, MODELS = Chat(), Embeddings(), Models()

ROUTES = (
    Route("POST", "/v1/chat/completions", OPENAI, CHAT),
    Route("POST", "/v1/embeddings", OPENAI, EMBEDDINGS),
    Route("GET", "/v1/models", OPENAI, MODELS),
    Route("GET", "/v1/models/{model:.+}", OPENAI, MODELS),
    Route("POST", "/openai/deployments/{deployment}/chat/completions", AZURE, CHAT),
    Route("POST", "/openai/deployments/{deployment}/embeddings", AZURE, EMBEDDINGS),
    Route("GET", "/openai/models", AZURE, MODELS),
    Route("GET", "/openai/models/{model:.+}", AZURE, MODELS),
    Route("POST", "/openai/v1/chat/completions", AZURE, CHAT),
    Route("POST", "/openai/v1/embeddings", AZURE, EMBEDDINGS),
    Route("GET", "/openai/v1/models", AZURE, MODELS),
    Route("GET", "/openai/v1/models/{model:.+}", AZURE, MODELS),
)


def create_app(pipeline: Pipeline) -> web.Application:
    """The application that answers by `pipeline`."""
    app = web.Application(client_max_size=pipeline.settings.body_limit)
    app.on_response_prepare.append(_unsigned)
    app.router.add_routes(Admin(pipeline).routes())
    for route in ROUTES:
        app.router.add_route(route.method, route.path, pipeline.serve(route))
        app.router.add_route("*", route.path, pipeline.refuse_method(route.dialect))
    app.router.add_route("*", "/{path:.*}", pipeline.refuse_path)
    return app


async def _unsigned(_request: web.Request, response: web.StreamResponse) -> None:
    """Take back aiohttp's name: OpenAI's answers are signed by Cloudflare, Azure's recorded ones by nobody."""
    if response.headers.get(hdrs.SERVER) == SERVER_SOFTWARE:
        del response.headers[hdrs.SERVER]
