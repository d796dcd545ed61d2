"""A Ray cluster of two nodes on this machine, in a process of its own.

Prints the address; then ``kill`` on stdin ends the newest node at once, as a power cut would,
``add`` starts another, and the end of stdin shuts everything down.
"""

from __future__ import annotations

import sys

from ray.cluster_utils import Cluster


def main() -> None:
    cluster = Cluster()
    cluster.add_node(num_cpus=0, include_dashboard=False)
    nodes = [cluster.add_node(num_cpus=1), cluster.add_node(num_cpus=1)]
    sys.stdout.write(f"{cluster.address}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        if line.strip() == "kill":
            cluster.remove_node(nodes.pop(), allow_graceful=False)
        else:
            nodes.append(cluster.add_node(num_cpus=1))
        sys.stdout.write("done\n")
        sys.stdout.flush()
    cluster.shutdown()


if __name__ == "__main__":
    main()
