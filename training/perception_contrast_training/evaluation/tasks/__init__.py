"""One task a file: data through the pipeline to figures."""
