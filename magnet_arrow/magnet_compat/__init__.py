"""MAGNET's modules under MAGNET's names, with pandas frames, for code that was written against aiq-magnet 0.1.0.

    import magnet_arrow.magnet_compat  # before the first `import magnet`
    from magnet.predictor import RunPredictor

It needs pandas, and neither HELM nor torch. `python -m magnet_arrow.magnet_compat SCRIPT.py …` runs a script that way.
Frames have MAGNET's columns, order and values, and are made from the JSON files of the runs, without a cache.
"""

from magnet_arrow.magnet_compat.modules import install

install()
