"""A page on this machine alone: choose a method, a latent and its control; upload a picture and have it translated."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from benchmark.api import Control
from benchmark.domains.pictures.images import read_picture
from benchmark.errors import BenchmarkError, ConfigError, DataError
from benchmark.results import ResultStore
from benchmark.sources.inversion import Inversion, Search
from benchmark.use.adapted import Adapted, from_run, own
from benchmark.use.translate import draw, inverted

if TYPE_CHECKING:
    import gradio

HOST = "127.0.0.1"
HERE = (HOST, "localhost")
"""Names under which a browser may ask for the page."""
MOST_BYTES, MOST_PIXELS = 10 * 2**20, 25_000_000
"""Of an uploaded file."""
WAITING = 8
"""Requests that may wait for the one in hand."""
KEPT = 3600
"""Seconds after which an uploaded file is removed, and what the page drew."""
SHOWN_PX = 384
POLICY = (
    f"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; connect-src 'self' ws://{HOST}:* data: blob:; "
    "frame-ancestors 'none'; base-uri 'self'; form-action 'self'"
)
"""Content-Security-Policy: the page asks nobody but this machine, whatever its library would like to load."""
QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "GRADIO_SSR_MODE": "False",
}
"""Variables of the environment that keep the library from telling anybody that it runs; read when it is imported."""

Found = tuple[str, Inversion]
"""The sha256 of a source, and pictures in it."""


class Networks:
    """The adapted networks of a run by what the page calls them; the last two stay loaded."""

    def __init__(self, run: Path, cache: Path, plugins: Sequence[str] = ()) -> None:
        done = [r for r in ResultStore(run).read_all()[0] if own(r) and r.is_default_control]
        self.records = {f"{r.method} on {r.domain}, seed {r.seed}": r for r in done if not r.zero_step}
        if not self.records:
            raise DataError(f"{run} has no finished records of a method; run a suite first.")

        @lru_cache(maxsize=2)
        def load(name: str) -> Adapted:
            r = self.records[name]
            return from_run(run, cache, r.method, r.domain, r.seed, plugins)

        self.load = load

    def source(self, name: str) -> str:
        """The sha256 of the source of a network."""
        return self.records[name].source_sha256

    def controls(self, name: str) -> list[str]:
        """The values of the control that the page offers: the grid, and tenths where it moves smoothly."""
        grid = self.load(name).method.controls
        numbers = [value for value in grid if isinstance(value, float)]
        if len(numbers) < 2:
            return [str(value) for value in grid]
        low, high = min(numbers), max(numbers)
        return [f"{value:g}" for value in sorted({*numbers, *np.linspace(low, high, 11).round(4).tolist()})]

    def control(self, name: str, text: str | None) -> Control:
        """The value that a text of the page means. Raises ConfigError for another one."""
        method = self.load(name).method
        if text is None or method.controls == (None,):
            return method.default_control
        found = next((value for value in method.controls if str(value) == text), None)
        if found is not None:
            return found
        try:
            value = float(text)
        except ValueError:
            raise ConfigError(f"{text!r} is no value of this control.") from None
        return self.load(name).check(value)


def uploaded(path: str | None, px: int) -> np.ndarray:
    """An uploaded picture, uint8 [1, 3, px, px]. Raises DataError for what is none, or larger than a page takes."""
    if path is None:
        raise DataError("choose a picture first.")
    file = Path(path)
    try:
        size = file.stat().st_size
    except OSError:
        raise DataError("this picture is no longer kept: upload it again.") from None
    if size > MOST_BYTES:
        raise DataError(f"this file has more than {MOST_BYTES // 2**20} MB; make it smaller.")
    try:
        with Image.open(file) as image:
            pixels = image.width * image.height
    except Exception:  # read_picture says what it is
        pixels = 0
    if pixels > MOST_PIXELS:
        raise DataError(f"this picture has {pixels} pixels, more than {MOST_PIXELS}; make it smaller.")
    return read_picture(file, px)[None]


def shown(image: np.ndarray) -> Image.Image:
    """uint8 [3, R, R], large enough for a page."""
    picture = Image.fromarray(image.transpose(1, 2, 0))
    times = max(1, SHOWN_PX // picture.width)
    return picture.resize((times * picture.width, times * picture.height), Image.Resampling.NEAREST)


class Handlers:
    """What the page's buttons do."""

    def __init__(self, networks: Networks, cache: Path, search: Search | None = None) -> None:
        self.networks, self.cache, self.search = networks, cache, search

    def offer(self, name: str) -> Any:
        """The values of a network's control."""
        texts, method = self.networks.controls(name), self.networks.load(name).method
        default = next((text for text in texts if self.networks.control(name, text) == method.default_control), None)
        what = method.control_name or "control"
        return library().Dropdown(choices=texts, value=default, label=what, visible=len(texts) > 1)

    def generate(self, name: str, seed: float | None, control: str | None, psi: float) -> Image.Image:
        """A picture of a latent."""
        if seed is None:
            raise ConfigError("there is no seed: give a whole number.")
        net = self.networks.load(name)
        return shown(net.pictures([int(seed)], self.networks.control(name, control), psi)[0])

    def find(self, name: str, path: str | None) -> tuple[Found, Image.Image, Image.Image, str]:
        """An uploaded picture where it was found, its inversion, and how near that is."""
        net = self.networks.load(name)
        picture = uploaded(path, net.source.cfg.resolution)
        found = inverted(net, picture, self.search, cache=self.cache)
        away = f"Found to ST-LPIPS {found.distances[0]:.4f} and {found.rms[0]:.0f} grey levels."
        return (self.networks.source(name), found), shown(picture[0]), shown(found.images[0]), away

    def translate(self, name: str, control: str | None, found: Found | None) -> Image.Image | None:
        """What was found last, by the network; None where it was found in another network's source."""
        if found is None or found[0] != self.networks.source(name):
            return None
        return shown(draw(self.networks.load(name), found[1].code, self.networks.control(name, control))[0])


def told(work: Callable[..., Any]) -> Callable[..., Any]:
    """The work, its errors as the page shows them."""

    def call(*given: Any) -> Any:
        try:
            return work(*given)
        except BenchmarkError as error:
            raise library().Error(str(error), duration=None, print_exception=False) from None

    return call


def page(networks: Networks, cache: Path, search: Search | None = None) -> gradio.Blocks:
    """The page, not served yet."""
    gr, does = library(), Handlers(networks, cache, search)
    names = list(networks.records)

    def picture(label: str) -> Any:
        return gr.Image(label=label, format="png", interactive=False, buttons=["download"])

    with gr.Blocks(title="Adapted networks", analytics_enabled=False, delete_cache=(600, KEPT)) as made:
        gr.Markdown("# Adapted networks\nThis page is served by this machine and talks to nobody else.")
        with gr.Row():
            name = gr.Dropdown(names, value=names[0], label="network")
            control = does.offer(names[0])
        with gr.Tab("Generate"):
            with gr.Row():
                seed = gr.Number(0, label="latent (a seed)", precision=0, minimum=0, maximum=2**32 - 1)
                psi = gr.Slider(0, 1, 1, step=0.05, label="truncation psi (1 is none)")
            go = gr.Button("Generate", variant="primary")
            image = picture("generated")
        with gr.Tab("Translate a picture"):
            gr.Markdown(
                "It should look like the pictures that the source was trained on, framed like them: its centre is cut "
                "out, nothing is aligned. Finding it takes some seconds."
            )
            state, file = gr.State(None), gr.File(label="picture", type="filepath")
            look = gr.Button("Translate", variant="primary")
            with gr.Row():
                three = [picture(label) for label in ("picture", "inversion", "translation")]
            away = gr.Markdown()
        one: dict[str, Any] = {"concurrency_id": "one", "concurrency_limit": 1, "api_visibility": "private"}
        go.click(told(does.generate), [name, seed, control, psi], image, **one)
        again = told(does.translate), [name, control, state], three[2]
        look.click(told(does.find), [name, file], [state, three[0], three[1], away], **one).success(*again, **one)
        name.change(told(does.offer), name, control, **one).then(*again, **one)
        name.change(lambda: None, None, image, **one)
        control.input(*again, **one)
    return made.queue(max_size=WAITING, default_concurrency_limit=1)


@contextmanager
def served(networks: Networks, cache: Path, search: Search | None = None, port: int | None = None) -> Iterator[str]:
    """The page at an address of this machine alone, until the end of the block; uploads go with it.

    Once in a process: the library takes the folder of uploads when it is imported.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-demo-", ignore_cleanup_errors=True) as uploads:
        os.environ["GRADIO_TEMP_DIR"] = uploads
        gr, made = library(), page(networks, cache, search)
        from starlette.middleware import Middleware

        try:
            _, address, _ = made.launch(
                server_name=HOST,
                server_port=port,
                share=False,
                prevent_thread_lock=True,
                quiet=True,
                inbrowser=False,
                max_file_size=MOST_BYTES,
                max_threads=2,
                ssr_mode=False,
                pwa=False,
                mcp_server=False,
                enable_monitoring=False,
                run_history=False,
                footer_links=[],
                theme=gr.themes.Base(font=["sans-serif"], font_mono=["monospace"]),
                app_kwargs={"middleware": [Middleware(Guard)]},
            )
        except OSError as error:
            raise ConfigError(f"--port {port}: {error}; choose another one.") from None
        try:
            yield address
        finally:
            made.close(verbose=False)


class Guard:
    """ASGI middleware that adds POLICY to every answer, and answers pages of this machine alone.

    A page of elsewhere whose name was turned to this machine (DNS rebinding) says so in Host, a foreign one in Origin.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """As ASGI has it."""
        if scope["type"] in ("http", "websocket") and not from_here(scope["headers"]):
            if scope["type"] == "http":
                await send({"type": "http.response.start", "status": 403, "headers": []})
                await send({"type": "http.response.body", "body": b"this page is for this machine alone"})
            else:
                await send({"type": "websocket.close", "code": 1008})
            return

        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", POLICY.encode())]
            await send(message)

        await self.app(scope, receive, guarded if scope["type"] == "http" else send)


def from_here(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a request's Host and Origin, where it has them, are this machine."""
    named = [value.decode("latin-1") for name, value in headers if name.lower() in (b"host", b"origin")]
    try:
        return all(urlsplit(text if "//" in text else f"//{text}").hostname in HERE for text in named)
    except ValueError:  # no address
        return False


def library() -> Any:
    """Gradio, told before it is imported to keep quiet. Raises ConfigError where it is not installed."""
    for name, value in QUIET.items():
        os.environ[name] = value
    try:
        import gradio
    except ImportError:
        raise ConfigError("the demo needs Gradio: pip install 'stylegan-transfer-benchmark[demo]'.") from None
    return gradio
