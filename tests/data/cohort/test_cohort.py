from __future__ import annotations

import errno
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from napari_landmark.data.cohort import cohort as cohort_module
from napari_landmark.data.cohort import drawing as drawing_module
from napari_landmark.data.cohort.cohort import Cohort, working_canvas
from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.cohort.working_grid import resample
from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import read_image
from napari_landmark.progress import Cancelled, CancelToken

SHARED = Path(__file__).parents[3].parent / "shared/data"


@pytest.fixture
def folder(tmp_path):
    """Five smooth pictures of two sizes."""
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for number in (1, 2, 3, 10, 11):
        size = (60, 45) if number < 10 else (80, 66)
        rough = rng.integers(0, 250, (5, 4), dtype=np.uint8)
        Image.fromarray(rough).resize(size).save(tmp_path / "images" / f"image{number}.png")
    return tmp_path / "images"


@pytest.fixture
def gather(tmp_path):
    """Cohort.from_folder with a cache of the test's own."""

    def gather(folder, **options):
        given = {"working_size": 64, "cache_dir": tmp_path / "cache", **options}
        return Cohort.from_folder(folder, **given)

    return gather


class TestGathering:
    def test_names_in_natural_order(self, folder, gather):
        cohort = gather(folder)
        assert cohort.names == tuple(f"image{n}.png" for n in (1, 2, 3, 10, 11))
        assert cohort.paths[3] == folder / "image10.png"
        assert len(cohort) == 5
        assert cohort.ndim == 2
        assert cohort.skipped_files == ()
        assert cohort.index("image3.png") == cohort.index(folder / "image3.png") == 2

    def test_a_name_is_looked_up_and_not_searched(self, folder, gather):
        class Name(str):
            compared = 0

            def __eq__(self, other):
                Name.compared += 1
                return super().__eq__(other)

            __hash__ = str.__hash__

        cohort = gather(folder)
        assert Name("image11.png") in cohort
        assert Name("image12.png") not in cohort
        assert Name.compared <= 2
        assert 3 not in cohort
        assert "e\u0301.png" not in cohort
        os.rename(folder / "image3.png", folder / "\u00e9.png")
        assert "e\u0301.png" in gather(folder)  # composed and decomposed letters are one name

    def test_files_are_found_without_a_search_of_all_for_each(self, folder, gather, monkeypatch):
        cohort, seen = gather(folder), []
        monkeypatch.setattr(cohort_module, "resolved", lambda path: (seen.append(path), path.resolve())[1])
        same = folder.parent / "images" / ".." / "images"
        assert [cohort.index(same / path.name) for path in cohort.paths] == [0, 1, 2, 3, 4]
        assert len(seen) == 2 * len(cohort)
        assert cohort.selection(["image11.png", "image1.png"]).index(folder / "image1.png") == 1
        with pytest.raises(InputError, match=r"image4.png: there is no such image"):
            cohort.index(folder / "image4.png")

    def test_a_selection_is_the_same_images_in_another_order(self, folder, gather):
        cohort = gather(folder)
        some = cohort.selection(["image11.png", "image1.png"])
        assert some.names == ("image11.png", "image1.png")
        assert len(some) == 2
        for number, name in enumerate(some.names):
            other = cohort.index(name)
            assert some.paths[number] == cohort.paths[other]
            assert some.geometry(number) == cohort.geometry(other)
            np.testing.assert_array_equal(some.working(number), cohort.working(other))
            np.testing.assert_array_equal(some.read(number).array, cohort.read(other).array)
        assert len(cohort) == 5
        with pytest.raises(InputError, match=r"nowhere.png: there is no such image"):
            cohort.selection(["nowhere.png"])

    def test_working_images_are_the_placed_ones(self, folder, gather):
        cohort = gather(folder)
        for i, path in enumerate(cohort.paths):
            working = cohort.working(i)
            assert working.dtype == np.float32
            assert working.shape == cohort.canvas == (64, 64)
            np.testing.assert_allclose(
                working, resample(read_image(path), cohort.canvas_transform(i)), atol=1e-3
            )

    def test_a_part_of_a_working_image(self, folder, gather):
        (folder / "image2.png").write_bytes((folder / "image2.png").read_bytes()[:60])
        cohort = gather(folder)
        assert len(cohort) == 4  # rows of the cache and numbers of images differ
        box = (slice(3, 9), slice(60, 64))
        for i in range(len(cohort)):
            part = cohort.working_part(i, box)
            assert part.dtype == np.float32
            np.testing.assert_array_equal(part, cohort.working(i)[box])

    def test_native_images(self, folder, gather):
        cohort = gather(folder, spacing=0.1)
        image = cohort.read(0)
        assert image.name == "image1.png"
        assert image.geometry == cohort.geometry(0)
        assert image.geometry.spacing == (0.1, 0.1)

    def test_bad_files_are_named_and_the_rest_works(self, folder, gather):
        rng = np.random.default_rng(0)
        whole = (folder / "image1.png").read_bytes()
        (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
        (folder / "notes.txt").write_text("hello")
        (folder / "empty.jpg").write_bytes(b"")
        Image.fromarray(rng.integers(0, 255, (50, 40, 3), dtype=np.uint8)).save(folder / "photo.jpg")
        Image.fromarray(rng.integers(0, 60000, (50, 40)).astype(np.uint16)).save(folder / "deep.tif")
        Image.fromarray(np.zeros((1, 1), np.uint8)).save(folder / "dot.png")
        sitk.WriteImage(sitk.GetImageFromArray(np.zeros((9, 9, 9), np.uint8)), str(folder / "volume.nii"))
        os.symlink(folder / "nothing", folder / "link.png")
        cohort = gather(folder)
        assert set(cohort.names) == {f"image{n}.png" for n in (1, 2, 3, 10, 11)} | {"photo.jpg", "deep.tif"}
        reasons = {problem.name: problem.reason for problem in cohort.skipped_files}
        expected = {
            "cut.png": "damaged",
            "notes.txt": "not an image",
            "empty.jpg": "not a picture",
            "dot.png": "1 x 1",
            "volume.nii": "among pictures",
            "link.png": "No such file",
        }
        assert set(reasons) == set(expected)
        for name, part in expected.items():
            assert part in reasons[name]
            assert str(folder) not in reasons[name]
        for i in range(len(cohort)):
            assert cohort.working(i).max() > 0.9
        with pytest.raises(InputError, match=r"cut\.png: cannot be read"):
            cohort.index("cut.png")
        with pytest.raises(InputError, match=r"other\.png: there is no such image"):
            cohort.index("other.png")

    def test_rows_stay_with_their_names_when_one_fails(self, folder, gather):
        expected = gather(folder).working(4)
        (folder / "image2.png").write_bytes((folder / "image2.png").read_bytes()[:100])
        cohort = gather(folder)
        assert cohort.names[-1] == "image11.png"
        np.testing.assert_array_equal(cohort.working(3), expected)

    def test_companions_and_hidden_files_and_folders_are_left_aside(self, folder, gather):
        for name in (".hidden.png", "landmarks.csv", "Thumbs.db", "README.md"):
            (folder / name).write_text("x")
        (folder / "sub.png").mkdir()
        assert gather(folder).skipped_files == ()

    @pytest.mark.parametrize("content", [{}, {"a.txt": "x", "b.png": "x"}])
    def test_nothing_usable(self, tmp_path, gather, content):
        (tmp_path / "f").mkdir()
        for name, text in content.items():
            (tmp_path / "f" / name).write_text(text)
        with pytest.raises(
            InputError, match=r"none of its 2 files.*a\.txt" if content else "holds no images"
        ):
            gather(tmp_path / "f")

    def test_no_folder(self, tmp_path, gather):
        with pytest.raises(InputError, match="gone: there is no such folder"):
            gather(tmp_path / "gone")
        (tmp_path / "a.png").write_text("")
        with pytest.raises(InputError, match="is not a folder"):
            gather(tmp_path / "a.png")
        with pytest.raises(InputError, match="working size"):
            gather(tmp_path, working_size=10)

    def test_volumes(self, tmp_path, gather):
        (tmp_path / "v").mkdir()
        for i in range(2):
            image = sitk.GetImageFromArray(np.random.default_rng(i).random((12, 20, 24)).astype(np.float32))
            image.SetSpacing((1, 1, 2))
            sitk.WriteImage(image, str(tmp_path / "v" / f"{i}.nii.gz"))
        Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "v" / "preview.png")
        cohort = gather(tmp_path / "v")
        assert cohort.canvas == (64, 64, 64)
        assert [problem.name for problem in cohort.skipped_files] == ["preview.png"]

    def test_volumes_are_drawn_smaller_than_pictures(self, tmp_path, gather):
        (tmp_path / "v").mkdir()
        image = sitk.GetImageFromArray(np.zeros((4, 200, 300), np.uint8))
        sitk.WriteImage(image, str(tmp_path / "v" / "volume.nii.gz"))
        Image.fromarray(np.eye(900, 1000, dtype=np.uint8)).save(tmp_path / "picture.png")
        assert max(gather(tmp_path / "v", working_size=None).canvas) == 128
        assert max(gather(tmp_path, working_size=None).canvas) == 768


class TestExtra:
    def test_a_template_from_elsewhere(self, folder, gather, tmp_path):
        shutil.copy(folder / "image1.png", tmp_path / "template.png")
        cohort = gather(folder, extra=[tmp_path / "template.png"])
        assert cohort.names[-1] == "template.png"
        np.testing.assert_array_equal(cohort.working(5), cohort.working(0))

    def test_one_of_the_folder_is_not_added_twice(self, folder, gather, tmp_path):
        assert len(gather(folder, extra=[folder / ".." / "images" / "image1.png"])) == 5

    def test_another_image_of_the_same_name(self, folder, gather, tmp_path):
        (tmp_path / "train").mkdir()
        shutil.copy(folder / "image11.png", tmp_path / "train" / "image1.png")
        cohort = gather(folder, extra=[tmp_path / "train" / "image1.png"])
        assert cohort.names[-1] == "train/image1.png"
        assert cohort.index(tmp_path / "train" / "image1.png") == 5
        np.testing.assert_array_equal(cohort.working(5), cohort.working(4))


class TestCache:
    def test_only_what_changed_is_read(self, folder, gather, monkeypatch):
        first = gather(folder)
        read = []

        def spy(path, **options):
            read.append(path.name)
            return read_image(path, **options)

        monkeypatch.setattr(drawing_module, "read_image", spy)
        second = gather(folder)
        assert read == []
        np.testing.assert_array_equal(second.working(1), first.working(1))
        Image.fromarray(np.tile(np.arange(60, dtype=np.uint8), (45, 1))).save(folder / "image2.png")
        os.utime(folder / "image2.png", ns=(time.time_ns(), time.time_ns() + 10**9))
        assert not np.allclose(gather(folder).working(1), first.working(1))
        assert read == ["image2.png"]

    def test_spacing_is_part_of_it(self, folder, gather):
        square = gather(folder).working(0)
        assert not np.allclose(gather(folder, spacing=(1, 2)).working(0), square)

    def test_progress_tells_each_image(self, folder, gather):
        events = []
        gather(folder, progress=events.append)
        assert [event.step for event in events] == 2 * [1, 2, 3, 4, 5]
        assert [event.stage for event in events] == 5 * ["reading headers"] + 5 * ["reading images"]
        assert events[-1].fraction == 1

    def test_cancelling_keeps_the_images_read_so_far(self, folder, gather, monkeypatch):
        token = CancelToken()

        def cancel(event):
            if event.stage == "reading images" and event.step == 2:
                token.cancel()

        with pytest.raises(Cancelled):
            gather(folder, progress=cancel, cancel=token)
        read = []

        def spy(path, **options):
            read.append(path.name)
            return read_image(path, **options)

        monkeypatch.setattr(drawing_module, "read_image", spy)
        assert len(gather(folder)) == 5
        assert len(read) <= 3

    def test_cancelled_before_it_begins(self, folder, gather):
        token = CancelToken()
        token.cancel()
        with pytest.raises(Cancelled):
            gather(folder, cancel=token)

    def test_an_image_of_a_share_that_fails_is_left_out(self, folder, gather, monkeypatch):
        def failing(path, **options):
            if path.name == "image3.png":
                raise OSError(errno.EIO, "Input/output error")
            return read_image(path, **options)

        monkeypatch.setattr(drawing_module, "read_image", failing)
        cohort = gather(folder)
        assert len(cohort) == 4
        (skipped,) = cohort.skipped_files
        assert (skipped.name, skipped.reason) == ("image3.png", "cannot be read (Input/output error)")
        monkeypatch.undo()
        assert len(gather(folder)) == 5

    def test_large_images_are_read_one_after_the_other(self, folder, gather, monkeypatch):
        lock, now, most = threading.Lock(), [0], [0]

        def slow(path, **options):
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            time.sleep(0.02)
            with lock:
                now[0] -= 1
            return read_image(path, **options)

        monkeypatch.setattr(drawing_module, "read_image", slow)
        monkeypatch.setattr(
            drawing_module, "total_memory", lambda: 16 * 66 * 80
        )  # 0.6 of it: less than an image
        monkeypatch.setattr("os.cpu_count", lambda: 8)
        gather(folder)
        assert most == [1]

    def test_a_file_system_without_memory_maps(self, folder, gather, tmp_path, monkeypatch, caplog):
        """There the cache is in the folder for temporary files, and nothing is left behind."""
        expected = gather(folder).working(4)
        refused, local = tmp_path / "share", tmp_path / "local"
        local.mkdir()
        honest = np.memmap

        class Memmap(honest):
            def __new__(cls, filename, *arguments, **options):
                if Path(filename).is_relative_to(refused):
                    Path(filename).touch()
                    raise OSError(errno.ENODEV, "No such device")
                return honest.__new__(honest, filename, *arguments, **options)

        monkeypatch.setattr(np, "memmap", Memmap)
        monkeypatch.setattr(tempfile, "tempdir", str(local))
        cohort = gather(folder, cache_dir=refused)
        np.testing.assert_array_equal(cohort.working(4), expected)
        assert "no memory maps; the image cache is in" in caplog.text
        assert list(local.rglob("*.npy"))
        assert not list(refused.rglob("*.npy"))

    def test_a_folder_that_cannot_be_written(self, folder, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(InputError, match=r"file.*NAPARI_LANDMARK_CACHE"):
            Cohort.from_folder(folder, cache_dir=tmp_path / "file")


class TestFingerprint:
    def test_same_data_elsewhere_is_the_same(self, folder, gather, tmp_path):
        first = gather(folder).fingerprint()
        shutil.copytree(folder, tmp_path / "copy")
        assert gather(tmp_path / "copy").fingerprint() == first

    def test_other_content_or_name_is_not(self, folder, gather):
        first = gather(folder).fingerprint()
        (folder / "image1.png").rename(folder / "image4.png")
        second = gather(folder).fingerprint()
        with (folder / "image4.png").open("ab") as stream:
            stream.write(b"x")
        assert len({first, second, gather(folder).fingerprint()}) == 3


class TestCanvas:
    @pytest.mark.parametrize(
        ("shapes", "size", "expected"),
        [
            ([(1200, 968)], 768, (768, 640)),
            ([(480, 632)], 768, (512, 640)),
            ([(1200, 968), (968, 1200), (1200, 968)], 768, (768, 640)),
            ([(30, 20)], 768, (64, 64)),
            ([(4, 4000)], 768, (64, 768)),
            ([(640, 640)], 640, (640, 640)),
            ([(100, 100, 20)], 128, (128, 128, 64)),
        ],
    )
    def test_proportions(self, shapes, size, expected):
        assert working_canvas([Geometry(shape) for shape in shapes], size) == expected

    def test_spacing_counts(self):
        assert working_canvas([Geometry((100, 400), (4, 1))], 256) == (256, 256)


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared images")
class TestSharedData:
    def test_wings_are_drawn_quickly(self, gather):
        start = time.monotonic()
        cohort = gather(SHARED / "wings/images", working_size=768)
        assert len(cohort) == 58
        assert cohort.skipped_files == ()
        assert cohort.canvas == (512, 640)
        assert time.monotonic() - start < 15


class TestPoses:
    def test_some_images_are_drawn_in_a_pose_and_the_others_as_before(self, folder, gather):
        cohort = gather(folder)
        pose = Pose(np.array([[0.0, -1.2], [1.2, 0.0]]), np.array([0.1, 0.0]), True)
        posed = cohort.posed({2: pose, 3: Pose.upright(2)})
        assert posed.poses == {2: pose}
        assert posed.pose(3).is_upright
        for number in range(5):
            canvas_transform = posed.canvas_transform(number)
            expected = resample(read_image(posed.paths[number]), canvas_transform)
            np.testing.assert_allclose(posed.working(number), expected, atol=1e-3)
            box = (slice(3, 20), slice(10, 30))
            np.testing.assert_array_equal(posed.working_part(number, box), posed.working(number)[box])
        assert not np.allclose(posed.working(2), cohort.working(2), atol=0.1)
        assert not cohort.poses
        # Poses count from the image as it is, not from an earlier pose.
        again = posed.posed({2: pose, 0: pose})
        np.testing.assert_array_equal(again.working(2), posed.working(2))
        assert not posed.posed({}).poses

    def test_an_image_that_is_gone_is_named(self, folder, gather):
        cohort = gather(folder)
        cohort.paths[1].unlink()
        with pytest.raises(InputError, match=r"image2\.png"):
            cohort.posed({1: Pose.of_rotation(np.eye(2), inverted=True)})
