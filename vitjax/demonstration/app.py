"""The page as a web application. The only importer of FastAPI and uvicorn."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vitjax.demonstration.batching import Batcher
from vitjax.demonstration.mistakes import Mistakes
from vitjax.demonstration.recognizer import Recognition, Recognizer, png_url
from vitjax.errors import UserError
from vitjax.inference.predictor import most_probable

if TYPE_CHECKING:
    from fastapi import FastAPI, Request, Response

PAGE = Path(__file__).parent / "page"
MAX_BYTES = 20 * 2**20  # of an image file that is sent
_BATCH, _TOP, _NUM_MISTAKES = 8, 5, 6
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class _TooLarge(UserError):
    pass


class Shown(NamedTuple):
    """What the page is about."""

    recognizer: Recognizer
    mistakes: Mistakes | None  # None where the test split is not at hand
    about: dict[str, Any]  # as `about.describe` makes it


def make_app(shown: Shown, hosts: Sequence[str]) -> "FastAPI":
    """Returns the application, which answers requests that name one of `hosts` ("*": any)."""
    from fastapi import FastAPI, Request, Response
    from fastapi.responses import JSONResponse
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    app = FastAPI(title="vitjax", docs_url=None, redoc_url=None, openapi_url=None)
    # Another site's name that is led to this address is no way to this page.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    recognized = Batcher[Any, Recognition](shown.recognizer.recognize, _BATCH)

    @app.middleware("http")
    async def secure(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        """Adds what tells browsers to run nothing of others."""
        response = await call_next(request)
        response.headers.update(_HEADERS)
        return response

    @app.exception_handler(UserError)
    async def say(request: Request, error: UserError) -> Response:
        status = 413 if isinstance(error, _TooLarge) else 400
        return JSONResponse({"error": str(error)}, status)

    @app.get("/about.json")
    async def about() -> Response:
        return JSONResponse(shown.about)

    @app.post("/recognize")
    async def recognize(request: Request, drawing: bool = False) -> Response:
        """Answers an image, drawn or as a file, with its classes."""
        content = await _body(request)
        image = await asyncio.to_thread(shown.recognizer.read, content, drawing)
        found = await recognized.ask(image)
        return JSONResponse(await asyncio.to_thread(_answer, shown, found))

    @app.get("/{name:path}")
    async def page(name: str) -> Response:
        return _file(name or "index.html")

    return app


async def _body(request: "Request") -> bytes:
    """Returns what was sent, no longer than an image file may be."""
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > MAX_BYTES:
            raise _TooLarge(f"the file is larger than {MAX_BYTES // 2**20} MiB")
    return bytes(content)


def _answer(shown: Shown, found: Recognition) -> dict[str, Any]:
    names = shown.recognizer.predictor.class_names
    nearest = shown.mistakes.nearest(found.probabilities, _NUM_MISTAKES) if shown.mistakes else []
    return {
        "image": png_url(found.image),
        "classes": [
            {"name": name, "probability": probability}
            for name, probability in most_probable(found.probabilities, names, _TOP)
        ],
        "attention": None if found.attention is None else found.attention.tolist(),
        "mistakes": [
            {"image": png_url(image), "truth": truth, "predicted": predicted}
            for image, truth, predicted in nearest
        ],
    }


def _file(name: str) -> "Response":
    from fastapi import Response

    path = PAGE / name
    if path.name != name or path.suffix not in _TYPES or not path.is_file():
        return Response("not found", 404, media_type="text/plain")
    return Response(path.read_bytes(), media_type=_TYPES[path.suffix])


def serve(app: "FastAPI", host: str, port: int, say: Callable[[str], None]) -> None:
    """Answers requests until it is interrupted; UserError where the port is taken."""
    import uvicorn

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
            listening.listen()  # who comes once the address is known waits, and is not refused
        except OSError as error:
            raise UserError(
                f"cannot listen on {host}:{port}: {error.strerror or error}; choose another "
                "--port (0: any that is free) or --host"
            ) from None
        shown = f"[{host}]" if ":" in host else host
        say(f"http://{shown}:{listening.getsockname()[1]} (Ctrl-C ends it)")
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2)
        uvicorn.Server(config).run(sockets=[listening])
