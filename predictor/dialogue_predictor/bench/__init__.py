"""Decoding beside its peers: the same weights and sources through Hugging Face, CTranslate2, ONNX Runtime and us.

May live here: the peers themselves (transformers, ctranslate2 and onnxruntime are imported nowhere else), models of
random weights, measuring, judging against the floors, the page. May not: anything that serving needs.
"""
