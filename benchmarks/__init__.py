"""Benchmarks: what recipes cost, against `cp`, `sha256sum` and plain Keras, measured on any Linux machine.

`python -m benchmarks --help` says how to run them. Everything that is measured runs as a process of its own, so that
the operating system counts its time and memory; the process that starts them imports nothing but the standard library.
"""
