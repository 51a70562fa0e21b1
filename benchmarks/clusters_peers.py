"""Groups vectors as BERTopic does by default and as EVoC does, for `clusters.py`; runs in `.venv-bench`.

    .venv-bench/bin/python benchmarks/clusters_peers.py VECTORS.npy GROUPS.npz

Knows nothing of the product, which is not installed there.
"""

from __future__ import annotations

import sys
import time
import warnings

import numpy as np


def main(given: str, wanted: str) -> None:
    """Write the group of each row by method, -1 for none, and say the seconds each took, with imports and compiling."""
    vectors = np.load(given)
    found = {}
    for method in (bertopic, evoc):
        began = time.perf_counter()
        found[method.__name__] = np.asarray(method(vectors)).astype(np.int32)
        sys.stderr.write(f"{method.__name__}, {len(vectors):,} rows: {time.perf_counter() - began:.1f} s\n")
    np.savez(wanted, **found)


def bertopic(vectors: np.ndarray) -> np.ndarray:
    """UMAP to five dimensions and HDBSCAN, with the parameters BERTopic gives them."""
    from hdbscan import HDBSCAN
    from umap import UMAP

    reducer = UMAP(n_neighbors=15, n_components=5, min_dist=0.0, metric="cosine", random_state=42)
    reduced = reducer.fit_transform(vectors)
    return HDBSCAN(min_cluster_size=10, metric="euclidean", cluster_selection_method="eom").fit_predict(reduced)


def evoc(vectors: np.ndarray) -> np.ndarray:
    """EVoC with its defaults, seeded."""
    from evoc import EVoC

    return EVoC(random_state=42).fit_predict(vectors)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    main(*sys.argv[1:])
