"""Votes: weights are UMAP's, an edge holds as much as partitions agree, and what is far joins nothing."""

from __future__ import annotations

import math

import numpy as np
from sklearn.metrics import adjusted_rand_score

from elmer_pipelines.clusters import votes
from elmer_pipelines.clusters.communities import communities
from elmer_pipelines.clusters.grouping import group
from elmer_pipelines.clusters.lattice import centred
from elmer_pipelines.clusters.neighbours import nearest


def _noisy(groups: int, size: int, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    truth = draw.permutation(np.repeat(np.arange(groups), size))
    vectors = draw.standard_normal((groups, 48))[truth] + noise * draw.standard_normal((groups * size, 48))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), truth


def test_each_signals_weights_sum_to_log2_of_their_number() -> None:
    vectors, _ = _noisy(8, 30, 1.0, seed=3)
    indices, similarities = nearest(vectors, 16)
    beyond = np.maximum(similarities[:, :1].astype(float) - similarities, 0.0)
    weights = np.exp(-beyond / votes._own_measure(beyond))
    assert np.allclose(weights.sum(axis=1), math.log2(16), atol=1e-6)
    graph = votes.smooth_graph(indices, similarities, np.ones(indices.shape, dtype=bool))
    # What both sides say is joined like chances: a + b - ab.
    one, other = 0, int(indices[0, 3])
    back = np.flatnonzero(indices[other] == one)
    said = [weights[0, 3], weights[other, back[0]] if len(back) else 0.0]
    assert graph[one, other] == graph[other, one]
    assert math.isclose(graph[one, other], said[0] + said[1] - said[0] * said[1], abs_tol=2e-4)


def test_an_edge_holds_as_much_as_partitions_agree() -> None:
    vectors, _ = _noisy(6, 80, 1.4, seed=4)
    indices, similarities = nearest(vectors, max(votes.WIDTHS))
    everything = np.ones(indices.shape, dtype=bool)
    agreed = votes.agreement(indices, similarities, everything)
    partitions = [
        communities(
            votes.smooth_graph(indices[:, :width], similarities[:, :width], everything[:, :width]), resolution, 2
        )
        for width in votes.WIDTHS
        for resolution in votes.RESOLUTIONS
    ]
    rows, columns = agreed.tocoo().coords
    share = np.mean([labels[rows] == labels[columns] for labels in partitions], axis=0)
    assert np.allclose(agreed.data, share**2)
    assert 0 < agreed.data.min() < 0.1
    assert agreed.data.max() == 1.0


def test_what_is_not_near_is_not_joined() -> None:
    vectors, _ = _noisy(6, 80, 1.4, seed=4)
    indices, similarities = nearest(vectors, max(votes.WIDTHS))
    near = np.ones(indices.shape, dtype=bool)
    near[7] = False
    near[indices == 7] = False
    assert votes.agreement(indices, similarities, near)[[7]].nnz == 0


def test_identical_signals_all_agree() -> None:
    vectors = np.tile(_noisy(1, 1, 0.0, seed=1)[0], (votes.FROM, 1))
    indices, similarities = nearest(vectors, max(votes.WIDTHS))
    weights = votes.smooth_graph(indices, similarities, np.ones(indices.shape, dtype=bool)).data
    assert set(weights.tolist()) == {1.0}


def test_votes_find_planted_groups_one_partition_blurs() -> None:
    gains = []
    for seed in range(4):
        vectors, truth = _noisy(30, 20, 1.15, seed)
        around = centred(vectors, len(vectors) / (len(vectors) + 100))
        indices, similarities = nearest(around, max(votes.WIDTHS))
        everything = np.ones(indices.shape, dtype=bool)
        alone = votes.smooth_graph(indices[:, :10], similarities[:, :10], everything[:, :10])
        together = votes.agreement(indices, similarities, everything)
        best = [max(adjusted_rand_score(truth, communities(graph, resolution, 2)) for resolution in votes.RESOLUTIONS)
                for graph in (alone, together)]  # fmt: skip
        gains.append(best[1] - best[0])
    assert np.mean(gains) > 0


def test_signals_are_put_to_the_vote_where_it_helps() -> None:
    assert [votes.helps(count) for count in (5, 399, 400, 5_000, 5_001)] == [False, False, True, True, False]
    vectors, truth = _noisy(20, 30, 0.7, seed=9)
    found = group(vectors, [f"S-{row:04d}" for row in range(len(vectors))], unrelated=0.2)
    assert adjusted_rand_score(truth, found.labels) > 0.95
