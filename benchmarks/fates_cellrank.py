"""CellRank's part of `fates.py`, run by the Python of an environment with CellRank.

    python fates_cellrank.py FOLDER JOBS

GMRES without PETSc, as it comes from a package index. CellRank 2.0.7 refuses its own solution of
this chain with its default tolerance of 1e-6, for some probabilities are slightly negative. Timed
is the largest of these tolerances that it accepts.
"""

import json
import sys
import time
import warnings
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
from cellrank.estimators import GPCCA
from cellrank.kernels import PrecomputedKernel

TOLERANCES = (1e-6, 1e-8, 1e-10, 1e-12, 1e-14)


def peak_mb() -> float:
    """The highest resident memory of this process so far."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024


def main() -> None:
    """Read the chain, solve it, and say how long it took."""
    folder, jobs = Path(sys.argv[1]), int(sys.argv[2])
    warnings.simplefilter("ignore")
    chain, state = sp.load_npz(folder / "chain.npz"), np.load(folder / "state.npy")
    names = [None if number < 0 else f"branch {number}" for number in state]
    cells = anndata.AnnData(sp.csr_matrix((len(state), 1), dtype=np.float32))
    ends = pd.Series(pd.Categorical(names), index=cells.obs_names)
    for tolerance in TOLERANCES:
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again
        before, wall, cpu = peak_mb(), time.perf_counter(), time.process_time()
        estimator = GPCCA(PrecomputedKernel(chain, adata=cells))
        estimator.set_terminal_states(ends)
        try:
            estimator.compute_fate_probabilities(
                solver="gmres", use_petsc=False, tol=tolerance, n_jobs=jobs,
                show_progress_bar=False,
            )  # fmt: skip
        except ValueError as error:
            if "negative" not in str(error) or tolerance == TOLERANCES[-1]:
                raise
            continue
        break
    took = {
        "seconds": time.perf_counter() - wall,
        "CPU seconds": time.process_time() - cpu,
        "MB added": peak_mb() - before,
        "tolerance": tolerance,
    }
    np.save(folder / "cellrank.npy", np.asarray(estimator.fate_probabilities.X))
    print(json.dumps(took))


if __name__ == "__main__":
    main()
