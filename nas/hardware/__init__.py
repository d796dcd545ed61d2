"""From an export folder to other machines: NIR graphs, ONNX files, integer weights."""
