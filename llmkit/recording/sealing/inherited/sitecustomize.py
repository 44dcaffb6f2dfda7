"""Found by ``PYTHONPATH`` in the Python children of a sealed process, of any version: keep the syntax plain."""

import os
import sys
from importlib.machinery import PathFinder

_HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - light, in every child

if sys.version_info >= (3, 11):  # noqa: UP036 - any Python may be a child
    import llmkit_inherited_seal  # type: ignore[import-not-found]  # it lies beside this file

    llmkit_inherited_seal.begin()

sys.path[:] = [path for path in sys.path if path != _HERE]
_shadowed = PathFinder.find_spec("sitecustomize", sys.path)
if _shadowed is not None and _shadowed.loader is not None:
    from importlib.util import module_from_spec

    sys.modules["sitecustomize"] = module_from_spec(_shadowed)
    _shadowed.loader.exec_module(sys.modules["sitecustomize"])
