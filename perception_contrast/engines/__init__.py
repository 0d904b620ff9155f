"""What runs an encoder: torch, CUDA graphs, ONNX Runtime, TensorRT; their choice and the accuracy gate."""
