"""Measurements: ratios between contenders in one run, on one machine. Nothing here is a test."""
