"""Pictures of atlases and squares, and what may not be read as one."""

import asyncio
import io
import os
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import mrcfile
import numpy as np
import pytest
import tifffile
from PIL import Image
from sqlalchemy import update
from sqlmodel import SQLModel

from api.app import create_app
from core.image_settings import ImageSettings
from messaging.doorbell import LocalDoorbell
from models.cryoem.smartem.picture_places import Places
from models.cryoem.tables import Acquisition, Atlas, Grid, Square
from models.database import Database
from tasks.cryoem.imaging.gallery import Gallery, GalleryBusy
from tasks.cryoem.imaging.reading import PictureUnreadable
from tasks.cryoem.imaging.rendering import Look, Png
from tests.integration.models.factories import Site, apply, atlas_message, plant
from tests.session_fixtures import test_settings as short_settings

#: Rows count by tens, columns by one: each part tells where it is from.
RAMP = (10 * np.arange(40)[:, None] + np.arange(60)[None, :]).astype(np.uint16)
LIMITS = {"max_pixels": 100_000, "max_file_bytes": 1_000_000, "max_side": 512}


class Exhibition:
    """A grid of one square, an API that shows it, and a folder with its pictures."""

    def __init__(self, database: Database, folder: Path, client: httpx.AsyncClient) -> None:
        self.database = database
        self.folder = folder
        self.client = client
        self.site: Site = plant(database)
        apply(database, atlas_message(self.site.grid))

    def say(self, table: type[SQLModel], **values: Any) -> None:
        """Let a client have said something of grid, atlas, square or acquisition."""
        with self.database.transaction() as session:
            session.execute(update(table).values(**values))

    async def square(self, **query: Any) -> httpx.Response:
        path = f"/gridsquares/{self.site.squares[0]}/gridsquare_image"
        return await self.client.get(path, params=query)

    async def atlas(self, headers: dict[str, str] | None = None, **query: Any) -> httpx.Response:
        path = f"/grids/{self.site.grid}/atlas_image"
        return await self.client.get(path, params=query, headers=headers)

    async def show_square(self, path: Path | str, **query: Any) -> httpx.Response:
        self.say(Square, image_path=str(path))
        return await self.square(**query)


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    """Where paths are kept makes no difference to them."""
    with closing(Database(sqlite_url)) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "epu"
    made.mkdir()
    return made


@pytest.fixture
async def shown(database: Database, folder: Path) -> AsyncIterator[Exhibition]:
    images = ImageSettings(roots=(folder,), path_map=(rf"Z:\visit={folder}",), **LIMITS)
    settings = short_settings(images=images)
    app = create_app(settings, database=database, doorbell=LocalDoorbell(), launcher=None)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(base_url="http://api", transport=transport) as client:
        yield Exhibition(database, folder, client)


def pixels(answer: httpx.Response) -> np.ndarray[Any, Any]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    image = Image.open(io.BytesIO(answer.content))
    assert (image.format, image.mode) == ("PNG", "L")
    return np.asarray(image)


def mrc(path: Path, values: np.ndarray[Any, Any] = RAMP) -> Path:
    with mrcfile.new(path) as made:
        made.set_data(values)
    return path


def tiff(path: Path, values: np.ndarray[Any, Any] = RAMP, **how: Any) -> Path:
    tifffile.imwrite(path, values, **how)
    return path


def packed_tiff(path: Path) -> Path:
    Image.fromarray(RAMP).save(path, compression="tiff_lzw")
    return path


def jpeg(path: Path) -> Path:
    grey = (RAMP / RAMP.max() * 255).astype(np.uint8)
    Image.fromarray(grey).convert("RGB").save(path, quality=95)
    return path


MADE: dict[str, Callable[[Path], Path]] = {
    "a.mrc": mrc,
    "b.tiff": lambda path: tiff(path, RAMP.astype(np.float32) * 1e35 - 1e38),
    "c.mrc": lambda path: mrc(path, RAMP[None]),
    "big endian.mrc": lambda path: mrc(path, RAMP.astype(">f4")),
    "big endian.tiff": lambda path: tiff(path, RAMP, byteorder=">"),
    "d.tiff": tiff,
    "e.TIF": lambda path: tiff(path, RAMP.astype(np.float64)),
    "f.tiff": packed_tiff,
    "g.tiff": lambda path: tiff(path, np.stack([RAMP] * 3, axis=-1), photometric="rgb"),
    "h.jpg": jpeg,
}


async def test_each_format_becomes_an_8_bit_picture_of_full_contrast(shown: Exhibition):
    for name, make in MADE.items():
        path = make(shown.folder / name)
        found = pixels(await shown.show_square(path))
        assert found.shape == RAMP.shape, name
        assert (found.min(), found.max()) == (0, 255), name
        # As bright in the middle as the values are, but for what JPEG loses.
        assert abs(int(found[20, 30]) - 255 * RAMP[20, 30] / RAMP.max()) < 8, name


async def test_a_few_hot_pixels_do_not_hide_the_picture(shown: Exhibition):
    values = RAMP.astype(np.float32)
    values[0, 0], values[0, 1], values[0, 2] = 1e9, np.nan, -np.inf
    found = pixels(await shown.show_square(tiff(shown.folder / "hot.tiff", values)))
    assert np.median(found) > 100
    assert (found[0, 0], found[0, 1], found[0, 2]) == (255, 0, 0)


async def test_a_picture_without_contrast_is_black(shown: Exhibition):
    flat = mrc(shown.folder / "flat.mrc", np.full((20, 30), 7, np.float32))
    assert pixels(await shown.show_square(flat)).max() == 0


async def test_a_part_of_the_atlas_is_cut_out_around_its_centre(shown: Exhibition):
    shown.say(Atlas, path=str(shown.folder / "Atlas.dm"))
    mrc(shown.folder / "Atlas_1.mrc")
    answer = await shown.atlas()
    whole = pixels(answer)
    assert (answer.headers["X-Picture-Width"], answer.headers["X-Picture-Height"]) == ("60", "40")
    part = pixels(await shown.atlas(x=30, y=20, w=10, h=6))
    assert np.array_equal(part, whole[17:23, 25:35])
    # What lies beyond the picture's edges is left out.
    assert np.array_equal(pixels(await shown.atlas(x=0, y=0, w=10, h=6)), whole[:3, :5])
    assert np.array_equal(pixels(await shown.atlas(x=30, y=20, w=999, h=999)), whole)
    for wrong in (
        {"x": 500, "y": 20, "w": 10, "h": 6},
        {"x": 30, "y": 20},
        {"x": 30, "y": 20, "w": 0, "h": 6},
        {"x": 30, "y": 20, "w": 10, "h": -6},
        {"x": 10**20, "y": 20, "w": 10, "h": 6},
        {"max_size": 1},
    ):
        assert (await shown.atlas(**wrong)).status_code == 422, wrong


async def test_large_pictures_are_made_smaller(shown: Exhibition):
    path = mrc(shown.folder / "large.mrc", np.tile(RAMP[:, :50], (2, 12)))
    assert pixels(await shown.show_square(path)).shape == (68, 512)
    assert pixels(await shown.square(max_size=60)).shape == (8, 60)
    assert pixels(await shown.square(max_size=4_000)).shape == (68, 512)


async def test_the_newest_of_the_best_pictures_is_the_atlas(shown: Exhibition):
    sample = shown.folder / "Sample1" / "Atlas"
    sample.mkdir(parents=True)
    jpeg(sample / "Atlas_9.jpg")
    older, newer = mrc(sample / "Atlas_1.mrc"), mrc(sample / "Atlas_2.mrc", RAMP[::-1].copy())
    os.utime(older, (1e9, 1e9))
    os.utime(newer, (2e9, 2e9))
    # As the agent tells it, and as a client of SmartEM does: a file that need not be there.
    for table, said in (
        (Atlas, {"path": str(sample / "Atlas.dm")}),
        (Grid, {"atlas_dir": str(sample / "Atlas.dm")}),
        (Grid, {"atlas_dir": str(sample)}),
        (Atlas, {"storage_folder": r"Z:\visit\Sample1\Atlas"}),
    ):
        shown.say(Atlas, path=None, storage_folder=None)
        shown.say(Grid, atlas_dir=None)
        shown.say(table, **said)
        found = pixels(await shown.atlas())
        assert found[0, 0] > found[-1, 0], said


async def test_a_square_is_found_where_its_session_lies(shown: Exhibition):
    images = shown.folder / "session" / "Images-Disc1" / "GridSquare_1"
    images.mkdir(parents=True)
    shown.say(Acquisition, path=str(shown.folder / "session" / "EpuSession.dm"))
    tiff(images / "GridSquare_1.tiff")
    said = r"C:\EPU\session\Images-Disc1\GridSquare_1\GridSquare_1.tiff"
    assert pixels(await shown.show_square(said)).shape == RAMP.shape
    # EPU writes one format or another.
    mapped = r"Z:\visit\session\Images-Disc1\GridSquare_1\GridSquare_1.mrc"
    assert pixels(await shown.show_square(mapped)).shape == RAMP.shape


async def test_what_did_not_change_is_not_sent_again(shown: Exhibition):
    path = mrc(shown.folder / "Atlas_1.mrc")
    shown.say(Atlas, path=str(shown.folder / "Atlas.dm"))
    etag = (await shown.atlas()).headers["ETag"]
    again = await shown.atlas(headers={"If-None-Match": etag})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)
    part = await shown.atlas(x=30, y=20, w=10, h=6, headers={"If-None-Match": etag})
    assert part.status_code == 200
    before = pixels(await shown.atlas())
    path.unlink()
    mrc(path, RAMP[::-1].copy())
    os.utime(path, (1e9, 1e9))
    changed = await shown.atlas(headers={"If-None-Match": etag})
    assert not np.array_equal(pixels(changed), before)


async def test_what_is_not_there_is_named(shown: Exhibition):
    missing = shown.folder / "missing.mrc"
    answer = await shown.show_square(missing)
    assert answer.status_code == 404
    assert str(missing) in answer.json()["detail"]
    shown.say(Square, image_path=None)
    assert "not imaged yet" in (await shown.square()).json()["detail"]
    shown.say(Atlas, path=None, storage_folder=None)
    assert "nobody told where it is" in (await shown.atlas()).json()["detail"]
    nobody = "00000000-0000-0000-0000-000000000009"
    for path in (f"/grids/{nobody}/atlas_image", f"/gridsquares/{nobody}/gridsquare_image"):
        assert (await shown.client.get(path)).status_code == 404


async def test_nothing_outside_of_the_folders_is_read(shown: Exhibition, tmp_path: Path):
    secret = mrc(tmp_path / "secret.mrc")
    (tmp_path / "epu-too").mkdir()
    beside = mrc(tmp_path / "epu-too" / "Atlas_1.mrc")
    (shown.folder / "link.mrc").symlink_to(secret)
    (shown.folder / "out").symlink_to(tmp_path, target_is_directory=True)
    (shown.folder / "circle.mrc").symlink_to(shown.folder / "circle.mrc")
    os.mkfifo(shown.folder / "pipe.mrc")
    (shown.folder / "folder.mrc").mkdir()
    refused = [
        str(secret),
        str(beside),
        f"{shown.folder}/../secret.mrc",
        r"Z:\visit\..\secret.mrc",
        f"{shown.folder}/link.mrc",
        f"{shown.folder}/out/secret.mrc",
        f"{shown.folder}/circle.mrc",
        f"{shown.folder}/pipe.mrc",
        f"{shown.folder}/folder.mrc",
        f"{shown.folder}/{'x' * 300}.mrc",
        "/etc/passwd",
        "/dev/zero",
        "/proc/self/environ",
        "relative/secret.mrc",
        "file:///etc/passwd",
        r"\\server\share\secret.mrc",
        "/",
        "..",
    ]
    answers = {path: await shown.show_square(path) for path in refused}
    assert {path: one.status_code for path, one in answers.items()} == dict.fromkeys(refused, 404)
    # Whether something is there is not told.
    outside = [answers[str(secret)], await shown.show_square(tmp_path / "nothing.mrc")]
    assert len({one.json()["detail"].replace("nothing", "secret") for one in outside}) == 1
    for folder in (tmp_path, beside.parent, shown.folder / "out" / "epu-too"):
        shown.say(Atlas, path=f"{folder}/Atlas.dm", storage_folder=str(folder))
        assert (await shown.atlas()).status_code == 404, folder


def lying_mrc(path: Path, *numbers: int, at: int = 0) -> Path:
    """Write an MRC file with other numbers in its header, from a place on: columns and rows."""
    mrc(path)
    data = bytearray(path.read_bytes())
    data[at : at + 4 * len(numbers)] = struct.pack(f"<{len(numbers)}i", *numbers)
    path.write_bytes(data)
    return path


def cut(path: Path, keep: int) -> Path:
    path.write_bytes(path.read_bytes()[:keep])
    return path


def scribbled(path: Path) -> Path:
    data = bytearray(path.read_bytes())
    data[8:200] = bytes(range(192))
    path.write_bytes(data)
    return path


def bomb(path: Path) -> Path:
    Image.new("1", (20_000, 20_000)).save(path, compression="group4")
    return path


HARMFUL: dict[str, Callable[[Path], Path]] = {
    "empty.mrc": lambda path: (path.write_bytes(b""), path)[1],
    "text.mrc": lambda path: (path.write_text("no picture" * 200), path)[1],
    "cut.mrc": lambda path: cut(mrc(path), 2_000),
    "scribbled.mrc": lambda path: scribbled(mrc(path)),
    "lying.mrc": lambda path: lying_mrc(path, 2**31 - 1, 2**31 - 1),
    "longer.mrc": lambda path: lying_mrc(path, 300, 300),
    "extended.mrc": lambda path: lying_mrc(path, 2**31 - 1, at=92),
    "negative.mrc": lambda path: lying_mrc(path, -60, 40),
    "complex.mrc": lambda path: mrc(path, RAMP.astype(np.complex64)),
    "stack.mrc": lambda path: mrc(path, np.stack([RAMP, RAMP])),
    "many.mrc": lambda path: mrc(path, np.zeros((400, 300), np.int8)),
    "heavy.mrc": lambda path: (path.write_bytes(bytes(1_000_001)), path)[1],
    "text.tiff": lambda path: (path.write_text("no picture" * 200), path)[1],
    "cut.tiff": lambda path: cut(tiff(path), 3_000),
    "scribbled.tiff": lambda path: scribbled(tiff(path)),
    "packed.tiff": lambda path: cut(packed_tiff(path), 1_000),
    "bomb.tiff": bomb,
    "cut.jpg": lambda path: cut(jpeg(path), 700),
    "bomb.png": lambda path: (Image.new("L", (4_000, 4_000)).save(path), path)[1],
    "text.jpg": lambda path: (path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n"), path)[1],
}


async def test_what_is_damaged_or_harmful_is_refused(shown: Exhibition):
    for name, make in HARMFUL.items():
        path = make(shown.folder / name)
        answer = await shown.show_square(path)
        assert answer.status_code == 422, name
        assert str(path) in answer.json()["detail"], name


async def test_pictures_are_made_once_and_few_are_kept(folder: Path):
    files = {name: mrc(folder / name) for name in ("a.mrc", "b.mrc")}
    plenty = Gallery(ImageSettings(roots=(folder,)))
    a, b = [await plenty.find(Places("it", (str(path),)), Look()) for path in files.values()]
    one, same = await asyncio.gather(plenty.show(a), plenty.show(a))
    assert one is same
    small = Gallery(ImageSettings(roots=(folder,), cache_bytes=len(one.content) + 10))
    for found in (a, b):
        await small.show(found)
    for path in files.values():
        path.unlink()
    assert (await small.show(b)).content == one.content
    # There was no room for both, and the files are gone.
    with pytest.raises(PictureUnreadable):
        await small.show(a)


async def test_when_too_many_wait_others_are_refused(folder: Path):
    path = mrc(folder / "a.mrc")
    gallery = Gallery(ImageSettings(roots=(folder,), waiting=1))
    found = [await gallery.find(Places("it", (str(path),)), Look(max_side=n)) for n in (20, 30)]
    first, second = await asyncio.gather(*map(gallery.show, found), return_exceptions=True)
    assert isinstance(first, Png)
    assert isinstance(second, GalleryBusy)
    assert isinstance(await gallery.show(found[1]), Png)


async def test_the_event_loop_goes_on_meanwhile(folder: Path):
    path = tiff(folder / "a.tiff", np.zeros((2_000, 2_000), np.float32))
    gallery = Gallery(ImageSettings(roots=(folder,)))
    found = await gallery.find(Places("it", (str(path),)), Look())
    making = asyncio.create_task(gallery.show(found))
    turns = 0
    while not making.done():
        await asyncio.sleep(0)
        turns += 1
    # Made on the loop, it would be there after a few.
    assert turns > 20
