"""Measurements. They print, and decide nothing."""
