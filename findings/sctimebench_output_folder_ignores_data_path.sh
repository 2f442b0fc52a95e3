#!/usr/bin/env bash
# scTimeBench 0.1.2: two configurations that differ only in `data_path` get one output folder.
#
# The folder of a method's outputs and that of the prepared data set are named by a hash of the
# method's name and metadata, of the data set's entry WITHOUT `data_path` (and `tag`), and of the
# preprocessing steps. The generic readers (`MaDataset` reads any .h5ad) are therefore one and the
# same for every file.
#
# Why it matters: scTimeBench skips training and generation where a method's outputs exist already, so
# a second file gets the predictions of the first, and its scores are filed under the same data set.
# Keep one `output_dir` (and database) for each data file.
#
# Seen:
#   scTimeBench 0.1.2
#   a.h5ad -> 10cf8579bbf39cad4ec0a9d7c5571b085173062e074eb09c8bb49f2c53ac11a1
#   b.h5ad -> 10cf8579bbf39cad4ec0a9d7c5571b085173062e074eb09c8bb49f2c53ac11a1
#   one folder for the data sets: True; one folder for the method's outputs: True
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet --no-compile scTimeBench==0.1.2 \
    anndata==0.12.19 scanpy==1.11.5 numpy==2.4.6 pandas==2.3.3 scipy==1.17.1
cat > "$tmp/folders.py" <<'PY'
import importlib.util
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import anndata
import numpy as np
import pandas as pd
import scTimeBench
from scTimeBench.shared.dataset.registry.ma import MaDataset

# the file alone: its package imports everything of scTimeBench[benchmark]
(place,) = (Path(folder) / "metrics" / "method_manager.py" for folder in scTimeBench.__path__)
spec = importlib.util.spec_from_file_location("method_manager", place)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)

tmp = Path(sys.argv[1])
method = {"name": "AnyMethod", "metadata": {}}
folders, outputs = [], []
for name, shift in (("a", 0), ("b", 5)):
    obs = pd.DataFrame({"cell_type": "x", "timepoint": [0.0, 1.0]}, index=[f"{name}0", f"{name}1"])
    anndata.AnnData(np.eye(2, dtype=np.float32) + shift, obs=obs).write_h5ad(tmp / f"{name}.h5ad")
    entry = {"name": "MaDataset", "data_path": str(tmp / f"{name}.h5ad")}
    dataset = MaDataset(entry, [], str(tmp))
    folders.append(Path(dataset.get_dataset_dir()).name)
    manager = module.MethodManager(SimpleNamespace(method=method), dataset)
    outputs.append(manager._encode_output_path())
print("scTimeBench", version("scTimeBench"))
for name, folder in zip("ab", folders, strict=True):
    print(f"{name}.h5ad -> {folder}")
same_data, same_outputs = folders[0] == folders[1], outputs[0] == outputs[1]
print(f"one folder for the data sets: {same_data}; one folder for the method's outputs: {same_outputs}")
assert same_data and same_outputs
PY
"$tmp/venv/bin/python" "$tmp/folders.py" "$tmp"
