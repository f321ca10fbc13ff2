"""Docks of this plugin in a real window."""

from __future__ import annotations

from qtpy.QtWidgets import QDockWidget


def test_widgets_of_the_menu_become_tabs_of_one_place(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    window = viewer.window._qt_window
    docks = []
    for name in ("Place", "Contact sheet", "Error map"):
        dock, _ = viewer.window.add_plugin_dock_widget("napari-landmark", name)  # as the menu does
        qtbot.wait(60)
        docks.append(dock)
        assert not dock.visibleRegion().isEmpty()  # in front
    assert set(window.tabifiedDockWidgets(docks[0])) == set(docks[1:])
    others = [dock for dock in window.findChildren(QDockWidget) if dock not in docks]
    assert not any(set(window.tabifiedDockWidgets(dock)) & set(docks) for dock in others)
