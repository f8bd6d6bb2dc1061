"""Query a worker of a local cluster, which runs from the given archive."""

import json
import sys

import ray
from ray_job import where

temporary, archive = sys.argv[1:]
ray.init(
    num_cpus=1,
    include_dashboard=False,
    log_to_driver=False,
    runtime_env={"working_dir": archive, "py_executable": "./bin/python"},
    _temp_dir=temporary,
)
print("ANSWER", json.dumps(ray.get(ray.remote(where).remote(1_000_000), timeout=60)))
print("DRIVER", json.dumps(where(1)))
ray.shutdown()
