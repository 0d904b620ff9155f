"""Encoders as ONNX files: writing, checking and serving them without torch."""
