"""Masks drawn by ONNX models of the SAM family."""
