"""Does the work of one benchmark in the interpreter of the tool that is measured.

    python worker.py VERB SUBJECT RESULT OPTIONS

A tool imports whatever its environment holds, so this folder and its plain names are on the path
only until our own modules are loaded."""

import importlib
import sys

from subjects import work

if __name__ == "__main__":
    _, verb, name, result, options = sys.argv
    subject = importlib.import_module(f"subjects.{name}")
    del sys.path[0]
    work.main(subject.open_store, verb=verb, result=result, options=options)
