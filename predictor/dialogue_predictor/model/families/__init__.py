"""Other people's checkpoints on our one network: BART and its relatives as Hugging Face saves them.

May live here: what a family's settings mean in our terms (`shapes`, without torch) and reading a checkpoint's folder
(`loading`). May not: pickled weights, tokenizers, any import of transformers. What our network cannot do as the
original does it is refused by the setting's name, never approximated.
"""
