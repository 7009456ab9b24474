"""Show pictures without holding up anything else, and keep those that were asked for last."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, TypeVar

from core.errors import AthanorError
from core.image_settings import ImageSettings
from models.cryoem.smartem.picture_places import Places
from tasks.cryoem.imaging.files import Finder, PictureFile
from tasks.cryoem.imaging.rendering import Look, Png, render

P = ParamSpec("P")
T = TypeVar("T")


class GalleryBusy(AthanorError):
    """Too many pictures wait to be made already: ask again in some seconds."""


@dataclass(frozen=True, slots=True)
class Found:
    """A picture that is there, and how its state now and the look at it are called."""

    file: PictureFile
    look: Look

    @property
    def etag(self) -> str:
        """An ETag: another one when the file changes, or something else is asked of it."""
        return f'"{self.file.version}-{self.look.name}"'


class Gallery:
    """Finds and makes pictures in threads of its own, of which there are few.

    Who asks for a picture that is being made waits for that one.
    """

    def __init__(self, settings: ImageSettings) -> None:
        """Take limits and folders; nothing is opened."""
        self._settings = settings
        self._finder = Finder(settings)
        self._threads = ThreadPoolExecutor(settings.at_once, thread_name_prefix="pictures")
        self._made: OrderedDict[str, Png] = OrderedDict()
        self._bytes = 0
        self._making: dict[str, asyncio.Task[Png]] = {}

    async def find(self, places: Places, look: Look) -> Found:
        """Return where a picture is, and what it would be called.

        Raises:
            PictureMissing: It is nowhere.
        """
        return Found(await self._in_thread(self._finder.find, places), look)

    async def show(self, found: Found) -> Png:
        """Return a picture, made now or before.

        Raises:
            PictureUnreadable: The file is damaged or too large.
            PartOutside: The part is not on the picture.
            GalleryBusy: Too many others wait to be made.
        """
        made = self._made.get(found.etag)
        if made is not None:
            self._made.move_to_end(found.etag)
            return made
        making = self._making.get(found.etag)
        if making is None:
            if len(self._making) >= self._settings.waiting:
                raise GalleryBusy
            making = asyncio.create_task(self._make(found), name="picture")
            self._making[found.etag] = making
            making.add_done_callback(partial(self._end, found.etag))
        # Who asked may go; others may wait for the same.
        return await asyncio.shield(making)

    async def _make(self, found: Found) -> Png:
        png = await self._in_thread(render, found.file, found.look, self._settings)
        self._keep(found.etag, png)
        return png

    def _keep(self, name: str, png: Png) -> None:
        if len(png.content) > self._settings.cache_bytes:
            return
        self._made[name] = png
        self._bytes += len(png.content)
        while self._bytes > self._settings.cache_bytes:
            _, oldest = self._made.popitem(last=False)
            self._bytes -= len(oldest.content)

    def _end(self, name: str, making: asyncio.Task[Png]) -> None:
        del self._making[name]
        if not making.cancelled():
            # It is told to those who wait, if there are any left.
            making.exception()

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(work, *args, **kwargs))
