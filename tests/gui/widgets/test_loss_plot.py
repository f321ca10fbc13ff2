"""Curves of the loss."""

from __future__ import annotations

from napari_landmark.gui.widgets.loss_plot import LossPlot
from napari_landmark.progress import ProgressEvent


def test_the_plot_takes_any_progress(qtbot):
    plot = LossPlot()
    qtbot.addWidget(plot)
    for step, loss in ((1, None), (2, 3.0), (2, 3.0), (4, float("nan")), (5, 1.0)):
        plot.add(ProgressEvent("learning", 0.1, loss=loss, step=step))
    assert plot.stages == {"learning": [(2, 3.0), (5, 1.0)]}
    plot.resize(200, 120)
    plot.grab()
    plot.clear()
    plot.grab()
