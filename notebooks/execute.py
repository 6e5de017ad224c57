"""Runs notebooks and keeps their outputs: `python notebooks/execute.py notebooks/*.ipynb`.

`jupyter execute --inplace` would also record when each cell ran, and the kernel's version.
"""

import sys

import nbformat
from nbclient import NotebookClient

for path in sys.argv[1:]:
    notebook = nbformat.read(path, as_version=4)
    language = notebook.metadata.language_info
    NotebookClient(notebook, record_timing=False).execute()
    notebook.metadata.language_info = language
    nbformat.write(notebook, path)
    print(path)
