"""One seam; behind it torch, CUDA graphs, ONNX Runtime and TensorRT; before them the gate."""
