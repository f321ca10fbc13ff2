"""Inference on many images side by side."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
import torch

from napari_landmark.data.errors import InputError
from napari_landmark.learning.device import choose_device
from napari_landmark.learning.side_by_side import side_by_side

CPU = choose_device("cpu")


@pytest.fixture
def four_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As on a machine of four cores."""
    monkeypatch.setattr("napari_landmark.learning.side_by_side.computing_threads", lambda: 4)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("four_threads")
def test_results_come_in_the_order_of_the_items_each_computed_with_one_thread() -> None:
    weights = torch.randn(3, 3, 5, 5, generator=torch.Generator().manual_seed(1))

    def work(seed: int) -> tuple[torch.Tensor, int, str]:
        pixels = torch.randn(1, 3, 40, 40, generator=torch.Generator().manual_seed(seed))
        found = torch.nn.functional.conv2d(pixels, weights)
        return found, torch.get_num_threads(), threading.current_thread().name

    with closing(side_by_side(work, range(12), device=CPU)) as results:
        found = [(seed, future.result()) for seed, future in results]
    assert [seed for seed, _ in found] == list(range(12))
    assert len({thread for _, (_, _, thread) in found}) > 1
    assert {count for _, (_, count, _) in found} == {1}
    for seed, (values, _, _) in found:
        torch.testing.assert_close(values, work(seed)[0])


@pytest.mark.usefixtures("four_threads")
def test_two_images_are_worked_on_at_once() -> None:
    both = threading.Barrier(2, timeout=20)
    with closing(side_by_side(lambda _: both.wait(), range(2), device=CPU)) as results:
        assert sorted(future.result() for _, future in results) == [0, 1]


@pytest.mark.usefixtures("four_threads")
def test_the_number_of_threads_afterwards_is_that_of_before() -> None:
    torch.set_num_threads(2)
    with closing(side_by_side(abs, [1, 2, 3], device=CPU)) as results:
        next(results)
    assert torch.get_num_threads() == 2
    inherited: list[int] = []
    later = threading.Thread(target=lambda: inherited.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert inherited == [2]


@pytest.mark.usefixtures("four_threads")
def test_an_error_belongs_to_its_item() -> None:
    def work(number: int) -> int:
        if number == 1:
            raise InputError("b.png: cannot be read")
        return number

    with closing(side_by_side(work, range(3), device=CPU)) as results:
        futures = [future for _, future in results]
    assert (futures[0].result(), futures[2].result()) == (0, 2)
    with pytest.raises(InputError, match=r"b\.png"):
        futures[1].result()


@pytest.mark.usefixtures("four_threads")
def test_few_items_are_begun_before_their_results_are_taken() -> None:
    begun: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1000):
            begun.append(number)
            yield number

    with closing(side_by_side(abs, items(), device=CPU)) as results:
        next(results)
        assert len(begun) <= 8
    assert len(begun) <= 8


@pytest.mark.parametrize("ndim", [2, 3])
def test_volumes_and_single_cores_work_on_one_after_the_other(
    ndim: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cores = 1 if ndim == 2 else 4
    monkeypatch.setattr("napari_landmark.learning.side_by_side.computing_threads", lambda: cores)
    here = threading.current_thread()
    with closing(
        side_by_side(lambda _: threading.current_thread() is here, range(3), device=CPU, ndim=ndim)
    ) as results:
        assert all(future.result() for _, future in results)
