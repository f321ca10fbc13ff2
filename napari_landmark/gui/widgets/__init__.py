"""Dock widgets, and the tables and plots in them."""
