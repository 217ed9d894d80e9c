"""A second process beside this one, which reads ahead what is large, so that it is read on two cores.

`process.py` starts it, and takes what it makes; `cores.py` says whether there is a core for it. What is read, and what is made of it, is
said by whoever asks: of input files by `edge/source/ahead.py`, of a run's output files by `edge/ahead.py`.
"""
